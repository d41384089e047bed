/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_adapter.c - an adapter's config and tensors against a small base of both kinds of
 * layer; an input with a NUL is "config NUL tensors", any other an archive.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "infer/adapter.h"
#include "infer/adapter_in.h"

#define HIDDEN 8
#define N_EXPERTS 3

static tkx__weights base;
static tkx__layer_weights layers[2];
static tkx__stored experts[3 * N_EXPERTS];

static tkx__stored shape(size_t rows, size_t cols)
{
    return (tkx__stored){.n_rows = rows, .n_cols = cols, .row_bytes = cols * 4};
}

/* Layer 0 dense, layer 1 with experts; shapes alone, an adapter looks at no weights. */
static void set_up(void)
{
    base.path = "base";
    base.config = (tkx__model_config){.n_layers = 2,
                                      .hidden_size = HIDDEN,
                                      .n_heads = 2,
                                      .n_kv_heads = 1,
                                      .head_dim = 4,
                                      .vocab_size = 10,
                                      .n_experts = N_EXPERTS,
                                      .is_moe_layer = {false, true}};
    base.is_qk_interleaved = true;
    base.head = shape(10, HIDDEN);
    base.layers = layers;
    for (int i = 0; i < TKX__N_LAYER_MATRICES; i++)
        layers[0].matrices[i] = layers[1].matrices[i] = shape(HIDDEN, HIDDEN);
    for (int i = 0; i < 3 * N_EXPERTS; i++)
        experts[i] = shape(HIDDEN, HIDDEN);
    layers[1].experts = experts;
}

static volatile unsigned char sink;

static void touch(const tkx__lora *pair)
{
    if (!pair)
        return;
    sink = ((const unsigned char *)pair->a.data)[pair->a.n_rows * pair->a.row_size - 1];
    sink = ((const unsigned char *)pair->b.data)[pair->b.n_rows * pair->b.row_size - 1];
}

static void use(const tkx__adapter *a)
{
    touch(tkx__adapter_head(a));
    for (size_t layer = 0; layer < 2; layer++) {
        for (int m = 0; m < TKX__MAT_ROUTER; m++) {
            for (size_t e = 0; e < N_EXPERTS; e++)
                touch(tkx__adapter_find(a, layer, (tkx__layer_matrix)m, e));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint8_t *split = size && bytes[0] == '{' ? memchr(bytes, 0, size) : NULL;
    tkx__adapter *a = NULL;
    tkx_error *err = NULL;
    adapter_files files;

    if (!base.path)
        set_up();
    if (split) {
        size_t n = (size_t)(split - bytes);

        if (tkx__adapter_parse(bytes, n, split + 1, size - n - 1, "input", &base, &a,
                               &err) == TKX_OK)
            use(a);
        tkx__adapter_unref(a);
    } else {
        (void)tkx__adapter_files_parse(bytes, size, "input", &files, &err);
        tkx__adapter_files_close(&files);
    }
    tkx_error_free(err);
    return 0;
}
