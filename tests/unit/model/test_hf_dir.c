/* SPDX-License-Identifier: Apache-2.0 */
/* test_hf_dir.c - folders of shards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/hf_dir.h"
#include "support/suite.h"

static char folder[64];

static void make_folder(void)
{
    strcpy(folder, "/tmp/tkx-hf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void drop_folder(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    unlink(path);
    rmdir(folder);
}

static void put(const char *name, const char *bytes, size_t n)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

START_TEST(joins_the_shards)
{
    tkx__hf_dir *hf;

    ck_assert_int_eq(tkx__hf_dir_open(TKX_TEST_DATA "/models/qwen3-sharded", &hf, NULL),
                     TKX_OK);
    ck_assert_ptr_nonnull(
        tkx__tensors_find(tkx__hf_dir_tensors(hf), "model.embed_tokens.weight"));
    ck_assert_ptr_nonnull(
        tkx__tensors_find(tkx__hf_dir_tensors(hf), "model.norm.weight"));
    ck_assert_ptr_null(tkx__tensors_find(tkx__hf_dir_tensors(hf), "lm_head.weight"));
    tkx__hf_dir_free(hf);
}
END_TEST

START_TEST(stays_inside_the_folder)
{
    static const char *const names[] = {"../a.safetensors", "/a.safetensors", ".hidden",
                                        "", "b/../../a"};
    tkx__hf_dir *hf;
    char json[256];
    int n = snprintf(json, sizeof json, "{\"weight_map\":{\"t\":\"%s\"}}", names[_i]);

    put("model.safetensors.index.json", json, (size_t)n);
    ck_assert_int_eq(tkx__hf_dir_open(folder, &hf, NULL), TKX_ERR_PARSE);
}
END_TEST

START_TEST(lists_all_that_is_missing)
{
    static const char empty[] = "\2\0\0\0\0\0\0\0{}";
    static const char json[] =
        "{\"weight_map\":{\"one\":\"a.safetensors\",\"two\":\"a.safetensors\"}}";
    tkx__hf_dir *hf;
    tkx_error *err = NULL;

    put("a.safetensors", empty, sizeof empty - 1);
    put("model.safetensors.index.json", json, sizeof json - 1);
    ck_assert_int_eq(tkx__hf_dir_open(folder, &hf, &err), TKX_ERR_PARSE);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "one"));
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "two"));
    tkx_error_free(err);
}
END_TEST

START_TEST(needs_a_file)
{
    tkx__hf_dir *hf;

    ck_assert_int_eq(tkx__hf_dir_open(folder, &hf, NULL), TKX_ERR_NOT_FOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hf_dir");
    TCase *tc = tcase_create("hf_dir");

    tcase_add_checked_fixture(tc, make_folder, drop_folder);
    tcase_add_test(tc, joins_the_shards);
    tcase_add_loop_test(tc, stays_inside_the_folder, 0, 5);
    tcase_add_test(tc, lists_all_that_is_missing);
    tcase_add_test(tc, needs_a_file);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
