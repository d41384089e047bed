/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_gguf.c - GGUF files: header, every value and string, every tensor's ends. */
#include "fuzz/fuzz.h"
#include "model/config.h"
#include "model/gguf.h"

static volatile unsigned char sink; /* so that reads are not left out */

static void read_values(const tkx__gguf *gguf)
{
    for (size_t i = 0; i < tkx__gguf_n_values(gguf); i++) {
        const tkx__gguf_value *v = tkx__gguf_value_at(gguf, i);
        size_t offset = 0;
        const char *text;
        int64_t integer;
        double number;
        size_t n;

        while (tkx__gguf_next_string(v, &offset, &text, &n)) {
            if (n)
                sink = (unsigned char)(text[0] ^ text[n - 1]);
        }
        if (v->n)
            (void)tkx__gguf_i64_at(v, v->n - 1, &integer);
        if (v->n)
            (void)tkx__gguf_f64_at(v, v->n - 1, &number);
    }
}

static void read_tensors(const tkx__gguf *gguf)
{
    const tkx__tensors *table = tkx__gguf_tensors(gguf);
    float out[256];

    for (size_t i = 0; i < table->n; i++) {
        const tkx__tensor *t = &table->items[i];
        size_t n = tkx__dtype_get(t->dtype)->block_elements;

        if (t->n_elements < n)
            continue;
        (void)tkx__tensor_to_f32(t, 0, n, out, NULL);
        (void)tkx__tensor_to_f32(t, t->n_elements - n, n, out, NULL);
        sink = ((const unsigned char *)t->data)[t->size_bytes - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static tkx__model_config config;
    tkx__gguf *gguf;
    tkx_error *err = NULL;

    if (tkx__gguf_parse(bytes, size, "input", &gguf, &err) == TKX_OK) {
        read_values(gguf);
        read_tensors(gguf);
        (void)tkx__config_from_gguf(gguf, "input", &config, NULL);
        tkx__gguf_free(gguf);
    }
    tkx_error_free(err);
    return 0;
}
