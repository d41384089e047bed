/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_safetensors.c - a file that opens has all of its bytes, and can be written
   again. */
#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "model/safetensors.h"

static volatile unsigned char sink;

static void write_again(const tkx__tensors *table)
{
    tkx__buf out;
    tkx__safetensors *file;

    tkx__buf_init(&out, (size_t)64 << 20);
    if (tkx__safetensors_write(table->items, table->n, NULL, 0, tkx__write_to_buf, &out,
                               NULL) != TKX_OK ||
        tkx__safetensors_parse(out.data, out.size, "again", &file, NULL) != TKX_OK)
        abort();
    if (tkx__safetensors_tensors(file)->n != table->n)
        abort();
    tkx__safetensors_free(file);
    tkx__buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tkx__safetensors *file;
    tkx_error *err = NULL;

    if (tkx__safetensors_parse(bytes, size, "input", &file, &err) == TKX_OK) {
        const tkx__tensors *table = tkx__safetensors_tensors(file);

        for (size_t i = 0; i < table->n; i++) {
            const tkx__tensor *t = &table->items[i];

            if (t->size_bytes)
                sink = ((const unsigned char *)t->data)[0] ^
                       ((const unsigned char *)t->data)[t->size_bytes - 1];
            if (tkx__tensors_find(table, t->name) != t)
                abort();
        }
        (void)tkx__safetensors_metadata(file, "format");
        write_again(table);
        tkx__safetensors_free(file);
    }
    tkx_error_free(err);
    return 0;
}
