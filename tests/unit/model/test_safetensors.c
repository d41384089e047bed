/* SPDX-License-Identifier: Apache-2.0 */
/* test_safetensors.c - safetensors read, refused and written. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/safetensors.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

/* A file of this header and n_data bytes of zeros, in a block of its own. */
static tkx_status parse_text(const char *header, size_t n_data, tkx_error **err)
{
    uint64_t n = strlen(header);
    size_t size = sizeof n + (size_t)n + n_data;
    char *bytes = tkx__calloc(1, size);
    tkx__safetensors *file = NULL;
    tkx_status st;

    memcpy(bytes, &n, sizeof n);
    memcpy(bytes + sizeof n, header, (size_t)n);
    st = tkx__safetensors_parse(bytes, size, "test", &file, err);
    tkx__safetensors_free(file);
    tkx__free(bytes);
    return st;
}

static const struct bad_case {
    const char *header;
    size_t n_data;
    const char *says;
} bad_cases[] = {
    {"", 0, "empty"},
    {"[]", 0, "object"},
    {"{} x", 0, "object"},
    {"{\"a\":1}", 0, "no dtype"},
    {"{\"a\":{\"dtype\":\"F7\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
     "unknown dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
     "whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4,
     "whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
     4, "dimensions"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "pair"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4,
     "claims bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "cut short"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "need 8"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4503599627370496,4503599627370496],\"data_"
     "offsets\":[0,4]}}",
     4, "larger than any memory"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     8, "twice"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
     6, "inside the one before"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
     12, "belong to none"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5,
     "belong to no tensor"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "no string"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice"},
};

START_TEST(says_what_is_wrong)
{
    const struct bad_case *bad = &bad_cases[_i];
    tkx_error *err = NULL;

    ck_assert_int_ne(parse_text(bad->header, bad->n_data, &err), TKX_OK);
    ck_assert_msg(strstr(tkx_error_message(err), bad->says), "%s: %s", bad->says,
                  tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

START_TEST(accepts_a_scalar_and_an_empty_tensor)
{
    ck_assert_int_eq(
        parse_text("{\"e\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[4,4]},"
                   "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}  ",
                   4, NULL),
        TKX_OK);
}
END_TEST

/* Every prefix of a good file is refused, whatever the place of the cut. */
START_TEST(refuses_every_cut)
{
    float data[6] = {1, 2, 3, 4, 5, 6};
    tkx__tensor t = {.name = "x", .n_dims = 2, .dims = {2, 3}, .data = data};
    tkx__buf buf;
    tkx__safetensors *file = NULL;

    tkx__buf_init(&buf, 4096);
    ck_assert_int_eq(
        tkx__safetensors_write(&t, 1, NULL, 0, tkx__write_to_buf, &buf, NULL), TKX_OK);
    for (size_t n = 0; n < buf.size; n++) {
        char *copy =
            tkx__memdup(buf.data, n ? n : 1); /* so that a sanitizer sees one byte more */

        ck_assert_int_eq(tkx__safetensors_parse(copy, n, "cut", &file, NULL),
                         TKX_ERR_PARSE);
        tkx__free(copy);
    }
    tkx__buf_clear(&buf);
}
END_TEST

START_TEST(writes_what_it_reads)
{
    float f[2] = {1.5f, -2};
    uint16_t h[3] = {1, 2, 3};
    int64_t wide = -7;
    const tkx__tensor in[] = {
        {.name = "half \"quoted\"",
         .dtype = TKX__DTYPE_BF16,
         .n_dims = 1,
         .dims = {3},
         .data = h},
        {.name = "f", .dtype = TKX__DTYPE_F32, .n_dims = 2, .dims = {1, 2}, .data = f},
        {.name = "wide", .dtype = TKX__DTYPE_I64, .data = &wide},
    };
    const tkx__safetensors_pair meta[] = {{"format", "pt"}, {"note", "a\nb"}};
    tkx__buf buf;
    tkx__safetensors *file;
    const tkx__tensor *t;

    tkx__buf_init(&buf, 4096);
    ck_assert_int_eq(
        tkx__safetensors_write(in, 3, meta, 2, tkx__write_to_buf, &buf, NULL), TKX_OK);
    ck_assert_int_eq(tkx__safetensors_parse(buf.data, buf.size, "test", &file, NULL),
                     TKX_OK);
    ck_assert_uint_eq(tkx__safetensors_tensors(file)->n, 3);
    ck_assert_str_eq(tkx__safetensors_metadata(file, "note"), "a\nb");
    ck_assert_ptr_null(tkx__safetensors_metadata(file, "none"));
    for (size_t i = 0; i < 3; i++) {
        t = tkx__tensors_find(tkx__safetensors_tensors(file), in[i].name);
        ck_assert_ptr_nonnull(t);
        ck_assert_int_eq(t->dtype, in[i].dtype);
        ck_assert_uint_eq(t->n_dims, in[i].n_dims);
        ck_assert_mem_eq(t->data, in[i].data, t->size_bytes);
        ck_assert_uint_eq((uintptr_t)t->data % tkx__dtype_get(t->dtype)->alignment, 0);
    }
    tkx__safetensors_free(file);
    tkx__buf_clear(&buf);
}
END_TEST

static const struct instead {
    const char *text;
    const char *says;
} others[] = {
    {"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"},
    {"GGUF and the rest of it", "GGUF file"},
    {"PK\x03\x04 and the rest of it", "convert it"},
    {"<!DOCTYPE html><html></html>", "web page"},
};

START_TEST(says_what_it_is_instead)
{
    tkx__safetensors *file;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx__safetensors_parse(others[_i].text, strlen(others[_i].text),
                                            "test", &file, &err),
                     TKX_ERR_PARSE);
    ck_assert_msg(strstr(tkx_error_message(err), others[_i].says), "%s",
                  tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

START_TEST(refuses_to_write_quantised_types)
{
    tkx__tensor t = {
        .name = "q", .dtype = TKX__DTYPE_Q8_0, .n_dims = 1, .dims = {32}, .data = ""};
    tkx__buf buf;

    tkx__buf_init(&buf, 4096);
    ck_assert_int_eq(
        tkx__safetensors_write(&t, 1, NULL, 0, tkx__write_to_buf, &buf, NULL),
        TKX_ERR_INVALID_ARGUMENT);
    tkx__buf_clear(&buf);
}
END_TEST

START_TEST(survives_memory_failure)
{
    for (size_t n = 1;; n++) {
        tkx__safetensors *file = NULL;
        int ended;
        tkx_status st;

        fail_alloc_begin(n);
        st = tkx__safetensors_open(TKX_TEST_DATA "/models/llama/model.safetensors", &file,
                                   NULL);
        ended = !fail_alloc_hit();
        ck_assert_int_eq(st, ended ? TKX_OK : TKX_ERR_NO_MEMORY);
        tkx__safetensors_free(file);
        ck_assert_int_eq(fail_alloc_end(), 0);
        if (ended)
            break;
    }
}
END_TEST

START_TEST(names_a_file_that_is_not_there)
{
    tkx__safetensors *file;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx__safetensors_open("/nowhere/m.safetensors", &file, &err),
                     TKX_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "/nowhere/m.safetensors"));
    tkx_error_free(err);
    ck_assert_int_eq(tkx__safetensors_open("/", &file, NULL), TKX_ERR_IO);
    ck_assert_int_eq(tkx__safetensors_open("/dev/null", &file, NULL), TKX_ERR_IO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tc = tcase_create("safetensors");

    tcase_add_loop_test(tc, says_what_it_is_instead, 0,
                        (int)(sizeof others / sizeof others[0]));
    tcase_add_loop_test(tc, says_what_is_wrong, 0,
                        (int)(sizeof bad_cases / sizeof bad_cases[0]));
    tcase_add_test(tc, accepts_a_scalar_and_an_empty_tensor);
    tcase_add_test(tc, refuses_every_cut);
    tcase_add_test(tc, writes_what_it_reads);
    tcase_add_test(tc, refuses_to_write_quantised_types);
    tcase_add_test(tc, survives_memory_failure);
    tcase_add_test(tc, names_a_file_that_is_not_there);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
