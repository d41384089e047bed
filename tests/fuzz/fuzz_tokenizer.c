/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_tokenizer.c - tokenizer.json files and GGUF vocabularies; what loads also encodes
 * a text taken from the input, decodes the ids, and streams them.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "model/tokenizer/tokenizer.h"

static void use(tkx_tokenizer *t, const uint8_t *bytes, size_t size)
{
    static const char sample[] = " a b\n<s>\xE2\x96\x81\xE4\xBD\xA0\xF0\x9F\x98\x80"
                                 "1234 I'm'S";
    size_t n = size < 256 ? size : 256;
    tkx_text_stream *stream = NULL;
    tkx__ids ids = {0};
    int64_t wide[1024];
    const char *piece;
    char *text = NULL;
    size_t n_ids;

    (void)tkx__tokenizer_encode(t, sample, strlen(sample), TKX_ENCODE_ADD_SPECIAL, &ids,
                                NULL);
    (void)tkx__tokenizer_encode(t, (const char *)bytes + size - n, n,
                                TKX_ENCODE_PLAIN_TEXT, &ids, NULL);
    n_ids = ids.n < 1024 ? ids.n : 1024;
    for (size_t i = 0; i < n_ids; i++)
        wide[i] = ids.data[i];
    if (tkx_tokenizer_decode(t, wide, n_ids, 0, &text, &n, NULL) == TKX_OK)
        tkx_tokenizer_free_result(text);
    if (tkx_text_stream_new(t, TKX_DECODE_SKIP_SPECIAL, &stream, NULL) == TKX_OK) {
        for (size_t i = 0; i < n_ids; i++)
            (void)tkx_text_stream_push(stream, wide[i] + (int64_t)(i % 3), &piece, &n,
                                       NULL);
        (void)tkx_text_stream_finish(stream, &piece, &n, NULL);
        tkx_text_stream_free(stream);
    }
    tkx__ids_clear(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tkx_tokenizer *t = NULL;
    tkx__gguf *gguf = NULL;
    tkx_error *err = NULL;
    tkx_status st;

    if (size >= 4 && memcmp(bytes, "GGUF", 4) == 0) {
        st = tkx__gguf_parse(bytes, size, "input", &gguf, &err);
        if (st == TKX_OK)
            st = tkx__tokenizer_from_gguf(gguf, "input", &t, &err);
    } else {
        st = tkx__tokenizer_from_json((const char *)bytes, size, "input", &t, &err);
    }
    if (st == TKX_OK)
        use(t, bytes, size);
    tkx_tokenizer_unref(t);
    tkx__gguf_free(gguf);
    tkx_error_free(err);
    return 0;
}
