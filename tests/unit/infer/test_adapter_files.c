/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of adapters: every order and spelling is read, hostile ones are refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "infer/adapter_in.h"
#include "support/suite.h"

static char path[64];

static void make_path(void)
{
    int fd;

    strcpy(path, "/tmp/tkx-adapter-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void drop_path(void)
{
    unlink(path);
}

typedef struct member {
    const char *name;
    const char *data; /* NULL: a link to the next member's name */
    unsigned type;
} member;

static void write_archive(const member *members, size_t n, int is_gzip)
{
    struct archive *a = archive_write_new();

    archive_write_set_format_pax(a);
    if (is_gzip)
        archive_write_add_filter_gzip(a);
    ck_assert_int_eq(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        const char *data = members[i].data;

        archive_entry_set_pathname(e, members[i].name);
        archive_entry_set_filetype(e, members[i].type ? members[i].type : AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, data ? (la_int64_t)strlen(data) : 0);
        if (!data)
            archive_entry_set_symlink(e, "/etc/passwd");
        ck_assert_int_eq(archive_write_header(a, e), ARCHIVE_OK);
        if (data && *data)
            ck_assert_int_eq(archive_write_data(a, data, strlen(data)),
                             (la_ssize_t)strlen(data));
        archive_entry_free(e);
    }
    ck_assert_int_eq(archive_write_free(a), ARCHIVE_OK);
}

static tkx_status open_archive(tkx_error **err)
{
    adapter_files files;
    tkx_status st = tkx__adapter_files_open(path, &files, err);

    if (st == TKX_OK) {
        ck_assert_str_eq(tkx__buf_text(&files.config), "{}");
        ck_assert_str_eq(tkx__buf_text(&files.tensors), "data");
    }
    tkx__adapter_files_close(&files);
    return st;
}

#define CONFIG(prefix)                                                                   \
    {                                                                                    \
        prefix "adapter_config.json", "{}", 0                                            \
    }
#define TENSORS(prefix)                                                                  \
    {                                                                                    \
        prefix "adapter_model.safetensors", "data", 0                                    \
    }

START_TEST(reads_any_order_and_spelling)
{
    static const member plain[] = {
        CONFIG(""), TENSORS(""), {"checkpoint_complete", "", 0}};
    static const member other[] = {
        {"/", "", AE_IFDIR}, TENSORS("./"), {"./README", "x", 0}, CONFIG("/")};

    write_archive(plain, 3, 0);
    ck_assert_int_eq(open_archive(NULL), TKX_OK);
    write_archive(other, 4, 1);
    ck_assert_int_eq(open_archive(NULL), TKX_OK);
}
END_TEST

#define OTHER(name)                                                                      \
    {                                                                                    \
        name, "other", 0                                                                 \
    }

/* A pair in a folder of the archive is read; nearer to the root goes before deeper. */
START_TEST(looks_into_folders)
{
    static const member nested[] = {
        {"run/", "", AE_IFDIR}, TENSORS("./run/"), {"run/x", "x", 0}, CONFIG("run/")};
    static const member several[] = {
        OTHER("a/adapter_config.json"),         OTHER("b/adapter_config.json"),
        OTHER("a/adapter_model.safetensors"),   CONFIG(""),
        OTHER("b/c/adapter_model.safetensors"), TENSORS("")};

    write_archive(nested, 4, 1);
    ck_assert_int_eq(open_archive(NULL), TKX_OK);
    write_archive(several, 6, 0);
    ck_assert_int_eq(open_archive(NULL), TKX_OK);
}
END_TEST

static const struct hostile {
    member members[3];
    size_t n;
    tkx_status status;
    const char *says;
} hostile[] = {
    {{CONFIG("")}, 1, TKX_ERR_NOT_FOUND, "adapter_model.safetensors"},
    {{TENSORS("")}, 1, TKX_ERR_NOT_FOUND, "adapter_config.json"},
    {{CONFIG(""), TENSORS(""), CONFIG("./")}, 3, TKX_ERR_PARSE, "twice"},
    {{CONFIG(""), TENSORS(""), {"../escape", "x", 0}}, 3, TKX_ERR_PARSE, "../escape"},
    {{CONFIG(""), TENSORS(""), {"a/../../x", "x", 0}}, 3, TKX_ERR_PARSE, "a/../../x"},
    {{TENSORS(""), {"adapter_config.json", NULL, AE_IFLNK}},
     2,
     TKX_ERR_PARSE,
     "plain file"},
    {{TENSORS(""), CONFIG("folder/")}, 2, TKX_ERR_NOT_FOUND, "adapter_config.json"},
    {{TENSORS("a/"), CONFIG("a/"), CONFIG("b/")}, 3, TKX_ERR_PARSE, "twice"},
};

START_TEST(refuses_hostile_archives)
{
    const struct hostile *h = &hostile[_i];
    tkx_error *err = NULL;

    write_archive(h->members, h->n, 0);
    ck_assert_int_eq(open_archive(&err), h->status);
    ck_assert_msg(strstr(tkx_error_message(err), h->says), "%s", tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

static void put(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

START_TEST(refuses_what_is_no_archive)
{
    static const char blank[12288];

    put("", 0);
    ck_assert_int_ne(open_archive(NULL), TKX_OK);
    put(blank, sizeof blank); /* a download that went wrong looks like this */
    ck_assert_int_ne(open_archive(NULL), TKX_OK);
    put("\x1f\x8b garbage", 10);
    ck_assert_int_ne(open_archive(NULL), TKX_OK);
    put("PK\3\4 a zip file is no tar", 24);
    ck_assert_int_ne(open_archive(NULL), TKX_OK);
}
END_TEST

/* A cut archive never reads as a whole one with less in it. */
START_TEST(refuses_a_cut)
{
    static const member plain[] = {CONFIG(""), TENSORS("")};
    static char bytes[1 << 16];
    FILE *f;
    size_t n;

    write_archive(plain, 2, 0);
    f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t cut = 1; cut + 1024 < n; cut += 97) {
        adapter_files files;

        put(bytes, cut);
        if (tkx__adapter_files_open(path, &files, NULL) == TKX_OK) {
            ck_assert_str_eq(tkx__buf_text(&files.config),
                             "{}"); /* only padding is missing */
            ck_assert_str_eq(tkx__buf_text(&files.tensors), "data");
        }
        tkx__adapter_files_close(&files);
    }
}
END_TEST

START_TEST(names_what_is_not_there)
{
    tkx_error *err = NULL;
    adapter_files files;

    ck_assert_int_eq(tkx__adapter_files_open("/nowhere/a.tar", &files, &err),
                     TKX_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "/nowhere/a.tar"));
    tkx_error_free(err);
    tkx__adapter_files_close(&files);
    ck_assert_int_eq(tkx__adapter_files_open("/tmp", &files, NULL), TKX_ERR_NOT_FOUND);
    tkx__adapter_files_close(&files);
    ck_assert_int_eq(tkx__adapter_files_open("/dev/null", &files, NULL), TKX_ERR_IO);
    tkx__adapter_files_close(&files);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("adapter_files");
    TCase *tc = tcase_create("adapter_files");

    tcase_add_checked_fixture(tc, make_path, drop_path);
    tcase_add_test(tc, reads_any_order_and_spelling);
    tcase_add_test(tc, looks_into_folders);
    tcase_add_loop_test(tc, refuses_hostile_archives, 0,
                        (int)(sizeof hostile / sizeof hostile[0]));
    tcase_add_test(tc, refuses_what_is_no_archive);
    tcase_add_test(tc, refuses_a_cut);
    tcase_add_test(tc, names_what_is_not_there);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
