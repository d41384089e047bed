/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spellings.c - one small model in the spellings that real files have: names without
 * their prefix, biases that no key announces, a number for each layer, factors of the
 * rotation without a type.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "model/weights.h"
#include "support/suite.h"

/* hidden 4, two heads of 2, one key/value head, intermediate 6, vocabulary 3 */
static const struct shape {
    const char *gguf;
    const char *hf;
    size_t rows; /* 0: a vector */
    size_t cols;
} shapes[] = {
    {"token_embd.weight", "embed_tokens.weight", 3, 4},
    {"output_norm.weight", "norm.weight", 0, 4},
    {"blk.0.attn_norm.weight", "layers.0.input_layernorm.weight", 0, 4},
    {"blk.0.ffn_norm.weight", "layers.0.post_attention_layernorm.weight", 0, 4},
    {"blk.0.attn_q.weight", "layers.0.self_attn.q_proj.weight", 4, 4},
    {"blk.0.attn_k.weight", "layers.0.self_attn.k_proj.weight", 2, 4},
    {"blk.0.attn_v.weight", "layers.0.self_attn.v_proj.weight", 2, 4},
    {"blk.0.attn_output.weight", "layers.0.self_attn.o_proj.weight", 4, 4},
    {"blk.0.ffn_gate.weight", "layers.0.mlp.gate_proj.weight", 6, 4},
    {"blk.0.ffn_up.weight", "layers.0.mlp.up_proj.weight", 6, 4},
    {"blk.0.ffn_down.weight", "layers.0.mlp.down_proj.weight", 4, 6},
};
#define N_SHAPES (sizeof shapes / sizeof shapes[0])

static char folder[] = "/tmp/tkx-spellings-XXXXXX";
static char path[64];

static void make_folder(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void drop_folder(void)
{
    static const char *const files[] = {"m.gguf", "config.json", "model.safetensors"};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static FILE *create(const char *name)
{
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    return f;
}

/* ---- GGUF ---- */

static void put(FILE *f, const void *bytes, size_t n)
{
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
}

static void put_u32(FILE *f, uint32_t v)
{
    put(f, &v, sizeof v);
}

static void put_u64(FILE *f, uint64_t v)
{
    put(f, &v, sizeof v);
}

static void put_text(FILE *f, const char *text)
{
    put_u64(f, strlen(text));
    put(f, text, strlen(text));
}

typedef struct key {
    const char *name;
    tkx__gguf_type type; /* ARRAY: of two I32, the numbers */
    double number;
    const char *text;
    int32_t array[2];
} key;

static void put_key(FILE *f, const key *k)
{
    float number = (float)k->number;

    put_text(f, k->name);
    put_u32(f, k->type);
    if (k->type == TKX__GGUF_STRING) {
        put_text(f, k->text);
    } else if (k->type == TKX__GGUF_ARRAY) {
        put_u32(f, TKX__GGUF_I32);
        put_u64(f, 2);
        put(f, k->array, sizeof k->array);
    } else if (k->type == TKX__GGUF_F32) {
        put(f, &number, sizeof number);
    } else {
        put_u32(f, (uint32_t)k->number);
    }
}

static const key common[] = {
    {.name = "general.architecture", .type = TKX__GGUF_STRING, .text = "llama"},
    {.name = "general.alignment", .type = TKX__GGUF_U32, .number = 24},
    {.name = "llama.block_count", .type = TKX__GGUF_U32, .number = 1},
    {.name = "llama.embedding_length", .type = TKX__GGUF_U32, .number = 4},
    {.name = "llama.feed_forward_length", .type = TKX__GGUF_U32, .number = 6},
};
#define N_COMMON (sizeof common / sizeof common[0])
#define HEADS                                                                            \
    {                                                                                    \
        .name = "llama.attention.head_count", .type = TKX__GGUF_U32, .number = 2         \
    }
#define KV_HEADS                                                                         \
    {                                                                                    \
        .name = "llama.attention.head_count_kv", .type = TKX__GGUF_U32, .number = 1      \
    }

static size_t put_tensor(FILE *f, const char *name, size_t rows, size_t cols, size_t at)
{
    size_t bytes = (rows ? rows : 1) * cols * sizeof(float);

    put_text(f, name);
    put_u32(f, rows ? 2 : 1);
    put_u64(f, cols);
    if (rows)
        put_u64(f, rows);
    put_u32(f, 0); /* F32 */
    put_u64(f, at);
    return at + (bytes + 23) / 24 * 24;
}

/* The model with some more keys, and one more vector of `bias_size` if it is named. */
static tkx__weights *open_gguf(const key *keys, size_t n_keys, const char *bias,
                               size_t bias_size, tkx_error **err)
{
    FILE *f = create("m.gguf");
    tkx__weights *w = NULL;
    size_t at = 0;
    float one = 1;

    put(f, "GGUF", 4);
    put_u32(f, 3);
    put_u64(f, N_SHAPES + (bias ? 1 : 0));
    put_u64(f, N_COMMON + n_keys);
    for (size_t i = 0; i < N_COMMON; i++)
        put_key(f, &common[i]);
    for (size_t i = 0; i < n_keys; i++)
        put_key(f, &keys[i]);
    for (size_t i = 0; i < N_SHAPES; i++)
        at = put_tensor(f, shapes[i].gguf, shapes[i].rows, shapes[i].cols, at);
    if (bias)
        at = put_tensor(f, bias, 0, bias_size, at);
    while (ftell(f) % 24)
        put(f, "", 1);
    for (size_t i = 0; i < at; i += sizeof one)
        put(f, &one, sizeof one);
    fclose(f);
    if (tkx__weights_open(path, &w, err) != TKX_OK)
        return NULL;
    return w;
}

static const struct biased {
    const char *name;
    size_t size;
    tkx__layer_vector vector;
} biases[] = {
    {"blk.0.attn_q.bias", 4, TKX__VEC_Q_BIAS},
    {"blk.0.attn_output.bias", 4, TKX__VEC_O_BIAS},
    {"blk.0.ffn_up.bias", 6, TKX__VEC_UP_BIAS},
};

START_TEST(takes_the_biases_that_are_there)
{
    const struct biased *b = &biases[_i];
    const key keys[] = {HEADS, KV_HEADS};
    tkx_error *err = NULL;
    tkx__weights *w = open_gguf(keys, 2, b->name, b->size, &err);

    ck_assert_msg(w != NULL, "%s", tkx_error_message(err));
    for (int v = TKX__VEC_Q_BIAS; v < TKX__N_LAYER_VECTORS; v++)
        ck_assert_int_eq(w->layers[0].vectors[v] != NULL, v == (int)b->vector);
    ck_assert_float_eq(w->layers[0].vectors[b->vector][b->size - 1], 1);
    tkx__weights_free(w);
    ck_assert_ptr_null(open_gguf(keys, 2, b->name, b->size + 1, &err));
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), b->name));
    tkx_error_free(err);
}
END_TEST

START_TEST(takes_one_number_for_each_layer)
{
    const key same[] = {
        {.name = "llama.attention.head_count", .type = TKX__GGUF_ARRAY, .array = {2, 2}},
        KV_HEADS};
    const key other[] = {
        {.name = "llama.attention.head_count", .type = TKX__GGUF_ARRAY, .array = {2, 4}},
        KV_HEADS};
    tkx_error *err = NULL;
    tkx__weights *w = open_gguf(same, 2, NULL, 0, &err);

    ck_assert_msg(w != NULL, "%s", tkx_error_message(err));
    ck_assert_uint_eq(w->config.n_heads, 2);
    tkx__weights_free(w);
    ck_assert_ptr_null(open_gguf(other, 2, NULL, 0, &err));
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "llama.attention.head_count"));
    tkx_error_free(err);
}
END_TEST

#define FACTOR(key, value)                                                               \
    {                                                                                    \
        .name = "llama.rope." key, .type = TKX__GGUF_F32, .number = value                \
    }
#define TYPE(value)                                                                      \
    {                                                                                    \
        .name = "llama.rope.scaling.type", .type = TKX__GGUF_STRING, .text = value       \
    }

static const struct scaled {
    key keys[3];
    size_t n;
    float inv_freq;
    double magnitude;
} rotations[] = {
    {{FACTOR("scaling.factor", 4)}, 1, 0.25f, 1}, /* a factor alone is linear */
    {{FACTOR("scale_linear", 2)}, 1, 0.5f, 1},
    {{FACTOR("scaling.factor", 4), TYPE("none")}, 2, 1, 1},
    {{FACTOR("scaling.factor", 4), TYPE("linear")}, 2, 0.25f, 1},
    {{FACTOR("scaling.factor", 4), TYPE("yarn"), FACTOR("scaling.attn_factor", 0.5)},
     3,
     1,
     0.569314718055994},
};

START_TEST(scales_as_the_runtimes_do)
{
    const struct scaled *r = &rotations[_i];
    key keys[5] = {HEADS, KV_HEADS};
    tkx_error *err = NULL;
    tkx__weights *w;

    memcpy(keys + 2, r->keys, r->n * sizeof *keys);
    w = open_gguf(keys, 2 + r->n, NULL, 0, &err);
    ck_assert_msg(w != NULL, "%s", tkx_error_message(err));
    ck_assert_float_eq(w->inv_freq[0], r->inv_freq);
    ck_assert_double_eq_tol(w->config.rope.magnitude, r->magnitude, 1e-12);
    tkx__weights_free(w);
}
END_TEST

/* ---- folders ---- */

static const char config[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"hidden_size\":4,"
    "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"intermediate_size\":6,"
    "\"vocab_size\":3,\"tie_word_embeddings\":true}";

static tkx_status to_file(void *ctx, const void *bytes, size_t n, tkx_error **err)
{
    (void)err;
    put(ctx, bytes, n);
    return TKX_OK;
}

static tkx_status open_folder(const char *prefix, tkx__weights **w, tkx_error **err)
{
    static float ones[64];
    char names[N_SHAPES][96];
    tkx__tensor tensors[N_SHAPES] = {{0}};
    FILE *f = create("config.json");

    put(f, config, strlen(config));
    fclose(f);
    for (size_t i = 0; i < N_SHAPES; i++) {
        const struct shape *s = &shapes[i];

        snprintf(names[i], sizeof names[i], "%s%s", prefix, s->hf);
        tensors[i] = (tkx__tensor){.name = names[i],
                                   .n_dims = s->rows ? 2 : 1,
                                   .dims = {s->rows ? s->rows : s->cols, s->cols},
                                   .data = ones};
    }
    f = create("model.safetensors");
    ck_assert_int_eq(tkx__safetensors_write(tensors, N_SHAPES, NULL, 0, to_file, f, NULL),
                     TKX_OK);
    fclose(f);
    return tkx__weights_open(folder, w, err);
}

START_TEST(knows_the_usual_prefixes)
{
    static const char *const prefixes[] = {"model.", "", "language_model.model.",
                                           "model.language_model."};
    tkx_error *err = NULL;
    tkx__weights *w;

    ck_assert_msg(open_folder(prefixes[_i], &w, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    ck_assert_ptr_eq(w->head.data, w->embedding.data);
    tkx__weights_free(w);
}
END_TEST

START_TEST(names_what_is_missing_as_usual)
{
    tkx_error *err = NULL;
    tkx__weights *w;

    ck_assert_int_eq(open_folder("other.", &w, &err), TKX_ERR_PARSE);
    ck_assert_ptr_nonnull(
        strstr(tkx_error_message(err), "model.embed_tokens.weight: missing"));
    tkx_error_free(err);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spellings");
    TCase *tc = tcase_create("spellings");

    tcase_add_checked_fixture(tc, make_folder, drop_folder);
    tcase_add_loop_test(tc, takes_the_biases_that_are_there, 0,
                        (int)(sizeof biases / sizeof biases[0]));
    tcase_add_test(tc, takes_one_number_for_each_layer);
    tcase_add_loop_test(tc, scales_as_the_runtimes_do, 0,
                        (int)(sizeof rotations / sizeof rotations[0]));
    tcase_add_loop_test(tc, knows_the_usual_prefixes, 0, 4);
    tcase_add_test(tc, names_what_is_missing_as_usual);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
