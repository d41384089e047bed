/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal/body.h - request bodies as they are kept: one zstd frame and a hash.
 *
 * The hash is of the body without content encoding, so the same request has the same one
 * whether it travels compressed or not.  Thread: any.
 */
#ifndef TKX_JOURNAL_BODY_H
#define TKX_JOURNAL_BODY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

#define TKX__SHA_TEXT 65 /* hex and NUL */

/* Where a body comes from: bytes, or slices read in order (as net/io.h has it). */
typedef struct tkx__body_source {
    const void *bytes; /* NULL: use read */
    size_t size;
    ssize_t (*read)(void *ctx, uint64_t offset, char *to, size_t n);
    void *ctx;
    bool is_zstd; /* it is a zstd frame already */
} tkx__body_source;

/* Append the frame; size: of the body inside. */
tkx_status tkx__body_pack(const tkx__body_source *source, tkx__buf *frame,
                          char sha256[TKX__SHA_TEXT], size_t *size, tkx_error **err);

/* Append the body.  PARSE unless it has this size and hash. */
tkx_status tkx__body_unpack(const void *frame, size_t frame_size, size_t size,
                            const char *sha256, tkx__buf *body, tkx_error **err);

/* Append bytes as a frame, for sending. */
tkx_status tkx__body_compress(const void *bytes, size_t size, tkx__buf *frame,
                              tkx_error **err);

#endif
