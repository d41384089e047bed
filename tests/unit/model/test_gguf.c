/* SPDX-License-Identifier: Apache-2.0 */
/* test_gguf.c - GGUF files, right and hostile. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/mapped.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

#define MODEL TKX_TEST_DATA "/models/gguf/llama-Q4_0.gguf"

static tkx__buf file;

static void u32(uint32_t v)
{
    tkx__buf_append(&file, &v, sizeof v);
}

static void u64(uint64_t v)
{
    tkx__buf_append(&file, &v, sizeof v);
}

static void text(const char *s)
{
    u64(strlen(s));
    tkx__buf_puts(&file, s);
}

static void begin(uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    tkx__buf_init(&file, 1 << 20);
    tkx__buf_puts(&file, "GGUF");
    u32(version);
    u64(n_tensors);
    u64(n_values);
}

static void tensor(const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                   uint64_t offset)
{
    text(name);
    u32(2);
    u64(cols);
    u64(rows);
    u32(type);
    u64(offset);
}

static void pad(size_t n)
{
    while (file.size < n)
        tkx__buf_putc(&file, '\0');
}

/* What the bytes so far come to; the error must say `says`. */
static void expect(tkx_status want, const char *says)
{
    char *copy = tkx__memdup(file.data, file.size);
    tkx__gguf *gguf = NULL;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx__gguf_parse(copy, file.size, "test", &gguf, &err), want);
    if (says)
        ck_assert_msg(strstr(tkx_error_message(err), says), "%s", tkx_error_message(err));
    tkx_error_free(err);
    tkx__gguf_free(gguf);
    tkx__free(copy);
    tkx__buf_clear(&file);
}

START_TEST(reads_values_of_all_types)
{
    tkx__gguf *gguf;
    uint64_t u;
    double f;
    bool b;
    const char *s;
    size_t n;
    size_t at = 0;

    begin(2, 0, 6);
    text("i8");
    u32(TKX__GGUF_I8);
    tkx__buf_putc(&file, (char)-3);
    text("u64");
    u32(TKX__GGUF_U64);
    u64(1ull << 40);
    text("f64");
    u32(TKX__GGUF_F64);
    tkx__buf_append(&file, &(double){2.5}, 8);
    text("yes");
    u32(TKX__GGUF_BOOL);
    tkx__buf_putc(&file, 1);
    text("words");
    u32(TKX__GGUF_ARRAY);
    u32(TKX__GGUF_STRING);
    u64(2);
    text("ab");
    text("");
    text("nested");
    u32(TKX__GGUF_ARRAY);
    u32(TKX__GGUF_ARRAY);
    u64(1);
    u32(TKX__GGUF_U8);
    u64(3);
    tkx__buf_puts(&file, "xyz");
    ck_assert_int_eq(tkx__gguf_parse(file.data, file.size, "test", &gguf, NULL), TKX_OK);
    ck_assert_uint_eq(tkx__gguf_n_values(gguf), 6);
    ck_assert(tkx__gguf_get_u64(gguf, "u64", &u) && u == 1ull << 40);
    ck_assert(!tkx__gguf_get_u64(gguf, "i8", &u)); /* negative */
    ck_assert(tkx__gguf_get_f64(gguf, "i8", &f) && f == -3);
    ck_assert(tkx__gguf_get_f64(gguf, "f64", &f) && f == 2.5);
    ck_assert(tkx__gguf_get_bool(gguf, "yes", &b) && b);
    ck_assert(!tkx__gguf_get_bool(gguf, "u64", &b));
    ck_assert(!tkx__gguf_get_u64(gguf, "words", &u));
    ck_assert(!tkx__gguf_get_string(gguf, "words", &s, &n)); /* an array is no string */
    ck_assert(tkx__gguf_next_string(tkx__gguf_find(gguf, "words"), &at, &s, &n) &&
              n == 2);
    ck_assert(tkx__gguf_next_string(tkx__gguf_find(gguf, "words"), &at, &s, &n) &&
              n == 0);
    ck_assert(!tkx__gguf_next_string(tkx__gguf_find(gguf, "words"), &at, &s, &n));
    tkx__gguf_free(gguf);
    tkx__buf_clear(&file);
}
END_TEST

START_TEST(turns_dims_round)
{
    tkx__gguf *gguf;
    const tkx__tensor *t;

    begin(3, 1, 0);
    tensor("w", 64, 2, 8, 0);
    pad(96 + 136); /* the data starts at the next multiple of 32 */
    ck_assert_int_eq(tkx__gguf_parse(file.data, file.size, "test", &gguf, NULL), TKX_OK);
    t = tkx__tensors_find(tkx__gguf_tensors(gguf), "w");
    ck_assert_uint_eq(t->dims[0], 2);
    ck_assert_uint_eq(t->dims[1], 64);
    ck_assert_uint_eq(t->size_bytes, 136);
    tkx__gguf_free(gguf);
    tkx__buf_clear(&file);
}
END_TEST

START_TEST(refuses_other_versions)
{
    begin(1, 0, 0);
    expect(TKX_ERR_UNSUPPORTED, "version 1");
    begin(4, 0, 0);
    expect(TKX_ERR_UNSUPPORTED, "not known");
    begin(3u << 24, 0, 0);
    expect(TKX_ERR_UNSUPPORTED, "big-endian");
    tkx__buf_puts(&file, "GGML....");
    expect(TKX_ERR_PARSE, "begin with GGUF");
}
END_TEST

START_TEST(refuses_hostile_counts)
{
    begin(3, UINT64_MAX, 0);
    expect(TKX_ERR_PARSE, "tensors");
    begin(3, 0, 1ull << 60);
    expect(TKX_ERR_PARSE, "metadata values");
    begin(3, 0, 1);
    text("k");
    u32(TKX__GGUF_ARRAY);
    u32(TKX__GGUF_F64);
    u64(UINT64_MAX / 8 + 2); /* times 8 it would wrap to 8 */
    pad(file.size + 64);
    expect(TKX_ERR_PARSE, "ends");
    begin(3, 0, 1);
    u64(UINT64_MAX);
    pad(file.size + 64);
    expect(TKX_ERR_PARSE, "ends");
    begin(3, 1, 0);
    text("w");
    u32(UINT32_MAX);
    pad(file.size + 64);
    expect(TKX_ERR_PARSE, "dimensions");
}
END_TEST

START_TEST(refuses_deep_nesting)
{
    begin(3, 0, 1);
    text("k");
    u32(TKX__GGUF_ARRAY);
    for (int i = 0; i < 1000; i++) {
        u32(TKX__GGUF_ARRAY);
        u64(1);
    }
    expect(TKX_ERR_PARSE, "nested");
}
END_TEST

START_TEST(refuses_bad_tensors)
{
    begin(3, 1, 0);
    tensor("w", 33, 2, 8, 0);
    expect(TKX_ERR_PARSE, "cannot be");
    begin(3, 1, 0);
    tensor("w", 1ull << 40, 1ull << 40, 0, 0);
    expect(TKX_ERR_PARSE, "cannot be");
    begin(3, 1, 0);
    tensor("w", 4, 1, 99, 0);
    expect(TKX_ERR_UNSUPPORTED, "type 99");
    begin(3, 1, 0);
    tensor("w", 4, 1, 0, 4);
    pad(256);
    expect(TKX_ERR_PARSE, "multiple of 32");
    begin(3, 1, 0);
    tensor("w", 4, 100, 0, 0);
    pad(256);
    expect(TKX_ERR_PARSE, "past the end");
    begin(3, 2, 0);
    tensor("v", 16, 1, 0, 0);
    tensor("w", 16, 1, 0, 32);
    pad(512);
    expect(TKX_ERR_PARSE, "overlap");
    begin(3, 2, 0);
    tensor("w", 8, 1, 0, 0);
    tensor("w", 8, 1, 0, 32);
    pad(512);
    expect(TKX_ERR_PARSE, "twice");
}
END_TEST

START_TEST(refuses_bad_alignment_and_twin_keys)
{
    begin(3, 0, 1);
    text("general.alignment");
    u32(TKX__GGUF_U32);
    u32(20);
    expect(TKX_ERR_PARSE, "multiple of 8");
    begin(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        text("k");
        u32(TKX__GGUF_U32);
        u32(1);
    }
    expect(TKX_ERR_PARSE, "twice");
}
END_TEST

/* Every prefix of a real file is refused; the heap block ends where the prefix does. */
START_TEST(refuses_every_cut)
{
    tkx__mapped whole;
    tkx__gguf *gguf;

    ck_assert_int_eq(tkx__mapped_open(&whole, MODEL, NULL), TKX_OK);
    for (size_t n = 1; n < whole.size; n += n < 1500 ? 1 : 997) {
        char *copy = tkx__memdup(whole.data, n);

        ck_assert_int_ne(tkx__gguf_parse(copy, n, "cut", &gguf, NULL), TKX_OK);
        tkx__free(copy);
    }
    tkx__mapped_close(&whole);
}
END_TEST

START_TEST(survives_memory_failure)
{
    for (size_t n = 1;; n++) {
        tkx__gguf *gguf = NULL;
        int ended;

        fail_alloc_begin(n);
        tkx__gguf_open(MODEL, &gguf, NULL);
        ended = !fail_alloc_hit();
        ck_assert_int_eq(gguf != NULL, ended);
        tkx__gguf_free(gguf);
        ck_assert_int_eq(fail_alloc_end(), 0);
        if (ended)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf");
    TCase *tc = tcase_create("gguf");

    tcase_add_test(tc, reads_values_of_all_types);
    tcase_add_test(tc, turns_dims_round);
    tcase_add_test(tc, refuses_other_versions);
    tcase_add_test(tc, refuses_hostile_counts);
    tcase_add_test(tc, refuses_deep_nesting);
    tcase_add_test(tc, refuses_bad_tensors);
    tcase_add_test(tc, refuses_bad_alignment_and_twin_keys);
    tcase_add_test(tc, refuses_every_cut);
    tcase_add_test(tc, survives_memory_failure);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
