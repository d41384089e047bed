/* SPDX-License-Identifier: Apache-2.0 */
/* The two forms of one request, and broken bytes of either. */
#include "mock_server/train_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/suite.h"

static tkx__arena arena;

static void open_arena(void)
{
    tkx__arena_init(&arena, 256, 1 << 24);
}

static void close_arena(void)
{
    tkx__arena_clear(&arena);
}

static const char json[] =
    "{\"forward_backward_input\":{\"data\":[{\"loss_fn_inputs\":{\"target_tokens\":"
    "{\"data\":[51,52,53],\"dtype\":\"int64\",\"shape\":[3]},\"weights\":{\"data\":[1,1,"
    "1],"
    "\"dtype\":\"float32\",\"shape\":[3]}},\"model_input\":{\"chunks\":[{\"tokens\":[50,"
    "51,52]"
    ",\"type\":\"encoded_text\"}]}}],\"loss_fn\":\"cross_entropy\",\"loss_fn_config\":"
    "{\"beta\":0.5}},\"model_id\":\"M\",\"seq_id\":3}";

/* The same request as the service's documents have it, with field 7 for the config. */
static const unsigned char proto[] = {
    0x0a, 0x01, 'M',  0x10, 0x03, 0x1a, 0x64, 0x0a, 0x10, 0x0a, 0x0e, 0x0a, 0x0c,
    0x32, 0,    0,    0,    0x33, 0,    0,    0,    0x34, 0,    0,    0,    0x12,
    0x30, 0x0a, 0x0d, 't',  'a',  'r',  'g',  'e',  't',  '_',  't',  'o',  'k',
    'e',  'n',  's',  0x12, 0x1f, 0x0a, 0x18, 0x33, 0,    0,    0,    0,    0,
    0,    0,    0x34, 0,    0,    0,    0,    0,    0,    0,    0x35, 0,    0,
    0,    0,    0,    0,    0,    0x18, 0x02, 0x22, 0x01, 0x03, 0x12, 0x1e, 0x0a,
    0x07, 'w',  'e',  'i',  'g',  'h',  't',  's',  0x12, 0x13, 0x0a, 0x0c, 0,
    0,    0x80, 0x3f, 0,    0,    0x80, 0x3f, 0,    0,    0x80, 0x3f, 0x18, 0x01,
    0x22, 0x01, 0x03, 0x22, 0x0d, 'c',  'r',  'o',  's',  's',  '_',  'e',  'n',
    't',  'r',  'o',  'p',  'y',  0x3a, 0x11, 0x0a, 0x04, 'b',  'e',  't',  'a',
    0x12, 0x09, 0x09, 0,    0,    0,    0,    0,    0,    0xe0, 0x3f};

static void check_request(const train_request *r)
{
    const nn_datum *d = &r->datums[0];
    ck_assert_str_eq(r->model_id, "M");
    ck_assert_int_eq(r->seq_id, 3);
    ck_assert(!r->is_forward_only);
    ck_assert_str_eq(r->loss.name, "cross_entropy");
    ck_assert_uint_eq(r->loss.n_params, 1);
    ck_assert_str_eq(r->loss.params[0].key, "beta");
    ck_assert_double_eq(r->loss.params[0].value, 0.5);
    ck_assert_uint_eq(r->n_datums, 1);
    ck_assert_uint_eq(d->n_tokens, 3);
    ck_assert_int_eq(d->tokens[2], 52);
    ck_assert_uint_eq(d->n_targets, 3);
    ck_assert_int_eq(d->targets[2], 53);
    ck_assert_uint_eq(d->weights.n, 3);
    ck_assert_float_eq(d->weights.data[2], 1.0f);
    ck_assert(!d->is_matrix);
}

START_TEST(both_forms_mean_the_same)
{
    train_request r;
    ck_assert_int_eq(train_request_read(&arena, json, sizeof json - 1, false, &r, NULL),
                     TKX_OK);
    check_request(&r);
    ck_assert_int_eq(
        train_request_read(&arena, (const char *)proto, sizeof proto, true, &r, NULL),
        TKX_OK);
    check_request(&r);
}
END_TEST

/* Cut or with any one byte changed: an error or a request, never a read out of bounds. */
START_TEST(broken_bytes_are_survived)
{
    train_request r;
    for (size_t n = 0; n < sizeof proto; n++) {
        char *cut = malloc(n ? n : 1);
        memcpy(cut, proto, n);
        train_request_read(&arena, cut, n, true, &r, NULL);
        free(cut);
    }
    for (size_t i = 0; i < sizeof proto; i++)
        for (int bit = 0; bit < 8; bit++) {
            unsigned char *copy = malloc(sizeof proto);
            memcpy(copy, proto, sizeof proto);
            copy[i] ^= (unsigned char)(1 << bit);
            train_request_read(&arena, (char *)copy, sizeof proto, true, &r, NULL);
            free(copy);
        }
}
END_TEST

static tkx_status read_tensor(const char *tensor)
{
    char text[1024];
    train_request r;
    snprintf(text, sizeof text,
             "{\"forward_input\":{\"loss_fn\":\"x\",\"data\":[{\"model_input\":{"
             "\"chunks\":[]},"
             "\"loss_fn_inputs\":{\"target_tokens\":%s}}]}}",
             tensor);
    return train_request_read(&arena, text, strlen(text), false, &r, NULL);
}

START_TEST(tensors_are_checked_against_their_shapes)
{
    ck_assert_int_eq(read_tensor("{\"data\":[1,2],\"dtype\":\"int64\",\"shape\":[1,2]}"),
                     0);
    ck_assert_int_eq(read_tensor("{\"data\":[],\"dtype\":\"int64\",\"shape\":[0]}"), 0);
    ck_assert_int_ne(read_tensor("{\"data\":[1,2],\"dtype\":\"int64\",\"shape\":[3]}"),
                     0);
    ck_assert_int_ne(read_tensor("{\"data\":[1],\"dtype\":\"int64\",\"shape\":[-1]}"), 0);
    ck_assert_int_ne(
        read_tensor(
            "{\"data\":[1],\"dtype\":\"int64\",\"shape\":[4294967296,4294967296]}"),
        0);
    ck_assert_int_ne(read_tensor("{\"data\":[1.5],\"dtype\":\"int64\"}"), 0);
    ck_assert_int_ne(read_tensor("{\"data\":[1],\"dtype\":\"float64\"}"), 0);
    ck_assert_int_ne(read_tensor("{\"data\":[1],\"dtype\":\"float32\"}"), 0);
}
END_TEST

START_TEST(sparse_tensors_become_dense)
{
    static const char text[] =
        "{\"forward_input\":{\"loss_fn\":\"x\",\"data\":[{\"model_input\":{\"chunks\":[]}"
        ","
        "\"loss_fn_inputs\":{\"weights\":{\"data\":[5,6],\"dtype\":\"float32\",\"shape\":"
        "[2,3],"
        "\"sparse_crow_indices\":[0,1,2],\"sparse_col_indices\":[2,0]}}}]}}";
    static const float want[] = {0, 0, 5, 6, 0, 0};
    train_request r;
    ck_assert_int_eq(train_request_read(&arena, text, sizeof text - 1, false, &r, NULL),
                     TKX_OK);
    ck_assert_uint_eq(r.datums[0].weights.n, 6);
    ck_assert_mem_eq(r.datums[0].weights.data, want, sizeof want);
    ck_assert_int_ne(read_tensor("{\"data\":[5],\"dtype\":\"int64\",\"shape\":[2,3],"
                                 "\"sparse_crow_indices\":[0,9,1],"
                                 "\"sparse_col_indices\":[1]}"),
                     0);
    ck_assert_int_ne(read_tensor("{\"data\":[5],\"dtype\":\"int64\",\"shape\":[1,3],"
                                 "\"sparse_crow_indices\":[0,1],"
                                 "\"sparse_col_indices\":[3]}"),
                     0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("train_request");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, open_arena, close_arena);
    tcase_add_test(tc, both_forms_mean_the_same);
    tcase_add_test(tc, broken_bytes_are_survived);
    tcase_add_test(tc, tensors_are_checked_against_their_shapes);
    tcase_add_test(tc, sparse_tensors_become_dense);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
