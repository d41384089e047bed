/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_checkpoint_download.c - links, archives and names that a server may send, and what
 * is left on the disk afterwards.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include <tkx/checkpoint_download.h>

#include "client/context.h"
#include "support/fake_io.h"
#include "support/suite.h"

#define SAMPLER "tinker://r:1/sampler_weights/x"
#define EXTERNAL "tinker://r:1/external_weights/x"
#define CONFIG "adapter_config.json"
#define TENSORS "adapter_model.safetensors"

static fake_io *io;
static tkx_context *context;
static tkx_rest *rest;
static tkx_future *future;
static char dir[64];

static void answer_config(fake_io *fake, size_t i, void *arg)
{
    (void)arg;
    if (strstr(fake_io_sent(fake, i)->url, "/client/"))
        fake_io_answer(fake, i, 200, NULL, "{}");
}

static void set_up(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    snprintf(dir, sizeof dir, "/tmp/tkx-download-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    io = fake_io_new();
    fake_io_serve(io, answer_config, NULL);
    options.base_url = "http://x";
    options.api_key = "tml-secret";
    ck_assert_int_eq(tkx__context_new_on(&options, fake_io_table(io), &context, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx_rest_new(context, NULL, &rest, NULL), TKX_OK);
}

static void tear_down(void)
{
    char command[128];

    tkx_future_unref(future);
    future = NULL;
    tkx_rest_free(rest);
    fake_io_turn(io);
    tkx_context_close(context, 0, 0, NULL);
    tkx_context_free(context);
    fake_io_free(io);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static tkx_status download(const char *path, size_t max_bytes, int is_forced)
{
    tkx_checkpoint_download_options options = TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT;

    options.tinker_path = path;
    options.directory = dir;
    options.max_bytes = max_bytes;
    options.is_forced = is_forced;
    return tkx_checkpoint_download(rest, &options, &future, NULL);
}

/* The open request whose URL has that in it. */
static size_t open_one(const char *url_part)
{
    fake_io_turn(io);
    size_t i = fake_io_find_open(io, 0, url_part);
    ck_assert_msg(i != FAKE_NONE, "no request for %s is open", url_part);
    return i;
}

static void answer_link(void)
{
    fake_io_answer(io, open_one("/archive"), 200, NULL,
                   "{\"url\":\"http://store/a?sig=1\",\"expires\":"
                   "\"2030-01-01T00:00:00Z\"}");
}

static void expect(tkx_status expected)
{
    fake_io_turn(io);
    ck_assert(tkx_future_is_done(future));
    const tkx_error *error = tkx_future_error(future);
    ck_assert_msg(tkx_error_status(error) == expected, "%s: %s",
                  tkx_status_name(tkx_error_status(error)), tkx_error_message(error));
}

static size_t n_entries(const char *path)
{
    size_t n = 0;
    DIR *d = opendir(path);

    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* ---- archives ---- */

typedef struct member {
    const char *name;
    unsigned type;
    const char *link;
} member;

static void put_member(struct archive *a, const member *m)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, m->name);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, 0);
    if (m->type == AE_IFREG && !m->link)
        archive_entry_set_size(entry, 5);
    archive_entry_set_filetype(entry, m->type);
    if (m->type == AE_IFLNK)
        archive_entry_set_symlink(entry, m->link);
    else if (m->link)
        archive_entry_set_hardlink(entry, m->link);
    ck_assert_int_eq(archive_write_header(a, entry), ARCHIVE_OK);
    if (m->type == AE_IFREG && !m->link)
        ck_assert_int_eq(archive_write_data(a, "12345", 5), 5);
    archive_entry_free(entry);
}

static size_t pack(const member *members, bool is_gz, char *out, size_t capacity)
{
    struct archive *a = archive_write_new();
    size_t used;

    if (is_gz)
        archive_write_add_filter_gzip(a);
    archive_write_set_format_ustar(a);
    ck_assert_int_eq(archive_write_open_memory(a, out, capacity, &used), ARCHIVE_OK);
    for (; members->name; members++)
        put_member(a, members);
    archive_write_close(a);
    archive_write_free(a);
    return used;
}

static char bytes[1 << 16];

START_TEST(an_archive_becomes_a_folder)
{
    const member members[] = {
        {"./", AE_IFDIR, NULL},        {"./checkpoint_complete", AE_IFREG, NULL},
        {"./" CONFIG, AE_IFREG, NULL}, {"sub/more", AE_IFREG, NULL},
        {TENSORS, AE_IFREG, NULL},     {NULL, 0, NULL}};
    tkx_checkpoint_download_result *result;
    char path[128], file[192];
    size_t i;

    ck_assert_int_eq(download(SAMPLER, 0, 0), TKX_OK);
    answer_link();
    i = open_one("http://store/a?sig=1");
    ck_assert_ptr_null(fake_io_header(io, i, "x-api-key"));
    fake_io_answer_bytes(io, i, 200, NULL, bytes,
                         pack(members, _i == 1, bytes, sizeof bytes));
    expect(TKX_OK);
    ck_assert_int_eq(tkx_future_take_checkpoint_download(future, &result, NULL), TKX_OK);
    snprintf(path, sizeof path, "%s/r:1_sampler_weights_x", dir);
    ck_assert_str_eq(result->path, path);
    ck_assert_uint_eq(result->n_files, 4);
    ck_assert_uint_eq(result->size_bytes, 15);
    ck_assert_uint_eq(n_entries(path), 4);
    ck_assert_uint_eq(n_entries(dir), 1);
    snprintf(file, sizeof file, "%s/checkpoint_complete", path);
    ck_assert_int_eq(access(file, F_OK), 0);
    tkx_checkpoint_download_result_free(result);
    tkx_future_unref(future);
    future = NULL;
    ck_assert_int_eq(download(SAMPLER, 0, 0), TKX_ERR_INVALID_STATE);
    ck_assert_ptr_null(future);
}
END_TEST

static const member good[] = {
    {CONFIG, AE_IFREG, NULL}, {TENSORS, AE_IFREG, NULL}, {NULL, 0, NULL}};
static const member bad[][4] = {
    {{"/tmp/tkx-evil", AE_IFREG, NULL}},
    {{CONFIG, AE_IFREG, NULL}, {"a/../../evil", AE_IFREG, NULL}},
    {{"link", AE_IFLNK, "/tmp"}, {"link/evil", AE_IFREG, NULL}},
    {{CONFIG, AE_IFREG, NULL}, {TENSORS, AE_IFREG, CONFIG}},
    {{CONFIG, AE_IFREG, NULL}, {CONFIG, AE_IFREG, NULL}},
    {{CONFIG, AE_IFREG, NULL}, {"no-tensors", AE_IFREG, NULL}},
    {{"back\\slash", AE_IFREG, NULL}},
    {{"fifo", AE_IFIFO, NULL}},
    {{CONFIG, AE_IFREG, NULL}, {CONFIG "/below", AE_IFREG, NULL}},
};

START_TEST(a_hostile_archive_leaves_nothing)
{
    ck_assert_int_eq(download(SAMPLER, 0, 0), TKX_OK);
    answer_link();
    fake_io_answer_bytes(io, open_one("http://store"), 200, NULL, bytes,
                         pack(bad[_i], false, bytes, sizeof bytes));
    fake_io_turn(io);
    ck_assert(tkx_future_is_done(future));
    ck_assert_ptr_nonnull(tkx_future_error(future));
    ck_assert_uint_eq(n_entries(dir), 0);
    ck_assert_int_ne(access("/tmp/tkx-evil", F_OK), 0);
}
END_TEST

START_TEST(a_cut_or_oversized_archive_leaves_nothing)
{
    size_t size = pack(good, false, bytes, sizeof bytes);

    ck_assert_int_eq(download(SAMPLER, _i ? 8 : 0, 0), TKX_OK);
    answer_link();
    fake_io_answer_bytes(io, open_one("http://store"), 200, NULL, bytes,
                         _i ? size : (size_t)700);
    expect(_i ? TKX_ERR_LIMIT : TKX_ERR_PARSE);
    ck_assert_uint_eq(n_entries(dir), 0);
}
END_TEST

/* ---- external weights ---- */

#define EXPIRY(time)                                                                     \
    "{\"urls\":{\"" TENSORS "\":\"http://store/2\",\"" CONFIG                            \
    "\":\"http://store/1\"},\"expires\":\"" time "\"}"

static void answer_urls(const char *body)
{
    fake_io_answer(io, open_one("external_weights/x/external_weights_urls"), 200, NULL,
                   body);
}

START_TEST(external_files_come_one_by_one)
{
    char path[128];
    size_t i;

    ck_assert_int_eq(download(EXTERNAL, 0, 0), TKX_OK);
    answer_urls(EXPIRY("2030-01-01T00:00:00Z"));
    i = open_one("http://store/1");
    ck_assert_ptr_null(fake_io_header(io, i, "x-api-key"));
    ck_assert_uint_eq(fake_io_find_open(io, 0, "http://store/2"), FAKE_NONE);
    fake_io_answer(io, i, 503, NULL, "busy"); /* passes */
    fake_io_advance(io, 20000);
    fake_io_answer(io, open_one("http://store/1"), 200, NULL, "{}");
    fake_io_answer(io, open_one("http://store/2"), 200, NULL, "tensors");
    expect(TKX_OK);
    snprintf(path, sizeof path, "%s/r:1_external_weights_x", dir);
    ck_assert_uint_eq(n_entries(path), 3);
}
END_TEST

START_TEST(links_are_signed_again_before_they_expire)
{
    fake_io_set_wall(io, 0);
    ck_assert_int_eq(download(EXTERNAL, 0, 0), TKX_OK);
    answer_urls(EXPIRY("1970-01-01T00:04:00Z"));
    fake_io_answer(io, open_one("http://store/1"), 200, NULL, "{}");
    answer_urls(EXPIRY("1970-01-01T01:00:00Z"));
    fake_io_answer(io, open_one("http://store/2"), 200, NULL, "tensors");
    expect(TKX_OK);
    ck_assert_uint_eq(fake_io_count(io, "http://store/1"), 1);
}
END_TEST

START_TEST(names_are_judged_before_anything_is_fetched)
{
    static const char *const names[] = {"../x", "/x",     "a//b", "a/.",
                                        "",     "a\\\\b", "a\\nb"};
    char body[256];

    ck_assert_int_eq(download(EXTERNAL, 0, 0), TKX_OK);
    snprintf(body, sizeof body,
             "{\"urls\":{\"" CONFIG "\":\"http://store/1\",\"%s\":\"http://store/2\"},"
             "\"expires\":\"2030-01-01T00:00:00Z\"}",
             names[_i]);
    answer_urls(body);
    expect(TKX_ERR_PARSE);
    ck_assert_uint_eq(fake_io_count(io, "http://store"), 0);
    ck_assert_uint_eq(n_entries(dir), 0);
}
END_TEST

/* ---- one way or the other ---- */

START_TEST(the_other_way_is_tried)
{
    size_t size = pack(good, false, bytes, sizeof bytes);

    ck_assert_int_eq(download("tinker://r:1/weights/x", 0, 0), TKX_OK);
    fake_io_answer(io, open_one("external_weights_urls"), 404, NULL,
                   "{\"detail\":\"Not Found\"}");
    answer_link();
    fake_io_answer_bytes(io, open_one("http://store"), 200, NULL, bytes, size);
    expect(TKX_OK);
}
END_TEST

START_TEST(neither_way_is_a_clear_error)
{
    ck_assert_int_eq(download("tinker://r:1/weights/x", 0, 0), TKX_OK);
    fake_io_answer(io, open_one("external_weights_urls"), 404, NULL,
                   "{\"detail\":\"Not Found\"}");
    fake_io_answer(io, open_one("/archive"), 404, NULL, "{\"detail\":\"Not Found\"}");
    expect(TKX_ERR_UNSUPPORTED);
    ck_assert_int_eq(tkx_error_http_status(tkx_future_error(future)), 404);
    ck_assert_uint_eq(n_entries(dir), 0);
}
END_TEST

START_TEST(a_refused_link_is_an_error_without_the_signature)
{
    ck_assert_int_eq(download(SAMPLER, 0, 0), TKX_OK);
    answer_link();
    fake_io_answer(io, open_one("http://store"), 403, NULL, "expired");
    expect(TKX_ERR_PERMISSION);
    ck_assert_ptr_null(strstr(tkx_error_message(tkx_future_error(future)), "sig=1"));
}
END_TEST

START_TEST(closing_leaves_nothing)
{
    ck_assert_int_eq(download(EXTERNAL, 0, 0), TKX_OK);
    answer_urls(EXPIRY("2030-01-01T00:00:00Z"));
    fake_io_answer(io, open_one("http://store/1"), 200, NULL, "{}");
    size_t i = open_one("http://store/2");
    if (_i) /* between two attempts */
        fake_io_answer(io, i, 500, NULL, "");
    tkx_context_close(context, 0, 0, NULL);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_CLOSED);
    ck_assert_uint_eq(n_entries(dir), 0);
}
END_TEST

START_TEST(a_cancelled_download_leaves_nothing)
{
    ck_assert_int_eq(download(EXTERNAL, 0, 0), TKX_OK);
    answer_urls(EXPIRY("2030-01-01T00:00:00Z"));
    fake_io_answer(io, open_one("http://store/1"), 200, NULL, "{}");
    tkx_future_cancel(future);
    fake_io_answer(io, open_one("http://store/2"), 200, NULL, "tensors");
    expect(TKX_ERR_CANCELLED);
    ck_assert_uint_eq(n_entries(dir), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint_download");
    TCase *tc = tcase_create("checkpoint_download");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, an_archive_becomes_a_folder, 0, 2);
    tcase_add_loop_test(tc, a_hostile_archive_leaves_nothing, 0,
                        (int)(sizeof bad / sizeof *bad));
    tcase_add_loop_test(tc, a_cut_or_oversized_archive_leaves_nothing, 0, 2);
    tcase_add_test(tc, external_files_come_one_by_one);
    tcase_add_test(tc, links_are_signed_again_before_they_expire);
    tcase_add_loop_test(tc, names_are_judged_before_anything_is_fetched, 0, 7);
    tcase_add_test(tc, the_other_way_is_tried);
    tcase_add_test(tc, neither_way_is_a_clear_error);
    tcase_add_test(tc, a_refused_link_is_an_error_without_the_signature);
    tcase_add_loop_test(tc, closing_leaves_nothing, 0, 2);
    tcase_add_test(tc, a_cancelled_download_leaves_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
