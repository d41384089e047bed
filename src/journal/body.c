/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.c - one pass over a body: hashed and compressed slice by slice, so that a large
 * one never stands in memory whole beside its frame.
 */
#include "journal/body.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "base/error.h"
#include "base/mem.h"

#define SLICE ((size_t)128 << 10)
#define LEVEL 1

typedef struct packer {
    EVP_MD_CTX *hash;
    ZSTD_CCtx *zip;   /* NULL: the frame is taken as it is */
    ZSTD_DCtx *unzip; /* NULL: the source is plain */
    char *in, *out;   /* [SLICE] */
    tkx__buf *frame;
    size_t size;
    bool is_frame_over;
} packer;

static void packer_clear(packer *p)
{
    EVP_MD_CTX_free(p->hash);
    ZSTD_freeCCtx(p->zip);
    ZSTD_freeDCtx(p->unzip);
    tkx__free(p->in);
    tkx__free(p->out);
}

static bool packer_init(packer *p, tkx__buf *frame, bool is_zstd)
{
    *p = (packer){.hash = EVP_MD_CTX_new(), .frame = frame};
    p->in = tkx__malloc(SLICE);
    p->out = tkx__malloc(SLICE);
    if (is_zstd)
        p->unzip = ZSTD_createDCtx();
    else
        p->zip = ZSTD_createCCtx();
    if (!p->hash || !p->in || !p->out || (!p->zip && !p->unzip) ||
        EVP_DigestInit_ex(p->hash, EVP_sha256(), NULL) != 1)
        return false;
    if (p->zip)
        ZSTD_CCtx_setParameter(p->zip, ZSTD_c_compressionLevel, LEVEL);
    return true;
}

/* Plain bytes into the frame; n 0 ends it. */
static bool zip(packer *p, const char *bytes, size_t n)
{
    ZSTD_inBuffer in = {bytes, n, 0};
    size_t left;

    do {
        ZSTD_outBuffer out = {p->out, SLICE, 0};
        left = ZSTD_compressStream2(p->zip, &out, &in, n ? ZSTD_e_continue : ZSTD_e_end);
        if (ZSTD_isError(left))
            return false;
        tkx__buf_append(p->frame, p->out, out.pos);
    } while (in.pos < in.size || (n == 0 && left > 0));
    return true;
}

/* A slice of a frame: kept as it is, hashed unpacked. */
static bool unzip(packer *p, const char *bytes, size_t n)
{
    ZSTD_inBuffer in = {bytes, n, 0};

    tkx__buf_append(p->frame, bytes, n);
    for (;;) {
        ZSTD_outBuffer out = {p->out, SLICE, 0};
        size_t left = ZSTD_decompressStream(p->unzip, &out, &in);
        if (ZSTD_isError(left))
            return false;
        EVP_DigestUpdate(p->hash, p->out, out.pos);
        p->size += out.pos;
        p->is_frame_over = left == 0;
        if (in.pos == in.size && out.pos < SLICE)
            return true;
    }
}

static bool take_slice(packer *p, const char *bytes, size_t n)
{
    if (p->unzip)
        return unzip(p, bytes, n);
    EVP_DigestUpdate(p->hash, bytes, n);
    p->size += n;
    return zip(p, bytes, n);
}

static bool take_all(packer *p, const tkx__body_source *s)
{
    for (size_t at = 0; at < s->size;) {
        size_t n = s->size - at < SLICE ? s->size - at : SLICE;
        const char *from = s->bytes ? (const char *)s->bytes + at : p->in;
        if (!s->bytes) {
            ssize_t got = s->read(s->ctx, at, p->in, n);
            if (got <= 0)
                return false;
            n = (size_t)got;
        }
        if (!take_slice(p, from, n))
            return false;
        at += n;
    }
    return p->unzip ? p->is_frame_over : zip(p, NULL, 0);
}

static void hex(const unsigned char *digest, char out[TKX__SHA_TEXT])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

tkx_status tkx__body_pack(const tkx__body_source *source, tkx__buf *frame,
                          char sha256[TKX__SHA_TEXT], size_t *size, tkx_error **err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    tkx_status st = TKX_OK;
    packer p;

    if (!packer_init(&p, frame, source->is_zstd))
        st = tkx__fail_memory(err);
    else if (!take_all(&p, source))
        st = tkx__fail(err, TKX_ERR_INVALID_STATE,
                       "journal: a request body of %zu bytes could not be read",
                       source->size);
    else if (frame->status == TKX_ERR_LIMIT)
        st = tkx__fail(err, TKX_ERR_LIMIT,
                       "journal: a request body of %zu bytes is too large to keep",
                       source->size);
    else if (frame->status != TKX_OK || EVP_DigestFinal_ex(p.hash, digest, NULL) != 1)
        st = tkx__fail_memory(err);
    else
        hex(digest, sha256);
    *size = p.size;
    packer_clear(&p);
    return st;
}

tkx_status tkx__body_unpack(const void *frame, size_t frame_size, size_t size,
                            const char *sha256, tkx__buf *body, tkx_error **err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char found[TKX__SHA_TEXT] = "";
    char *to = tkx__buf_reserve(body, size ? size : 1);

    if (!to)
        return tkx__fail_memory(err);
    /* ZSTD_decompress would stop at a size that is not in the frame's head: it never is
       more than `size`, which the caller bounds. */
    size_t n = ZSTD_decompress(to, size, frame, frame_size);
    if (!ZSTD_isError(n) && n == size &&
        EVP_Digest(to, size, digest, NULL, EVP_sha256(), NULL) == 1)
        hex(digest, found);
    if (!sha256 || strcmp(found, sha256) != 0)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "journal: a request body is damaged: it is not the one that was "
                         "written");
    tkx__buf_grew(body, size);
    return TKX_OK;
}

tkx_status tkx__body_compress(const void *bytes, size_t size, tkx__buf *frame,
                              tkx_error **err)
{
    size_t bound = ZSTD_compressBound(size);
    char *to = ZSTD_isError(bound) ? NULL : tkx__buf_reserve(frame, bound);

    if (!to)
        return tkx__fail_memory(err);
    size_t n = ZSTD_compress(to, bound, bytes, size, LEVEL);
    if (ZSTD_isError(n))
        return tkx__fail_memory(err);
    tkx__buf_grew(frame, n);
    return TKX_OK;
}
