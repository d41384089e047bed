/* SPDX-License-Identifier: Apache-2.0 */
/* test_store.c - files that are opened and files that are refused; calls as they go. */
#include "store_fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "journal/store_in.h"

/* --- opening --------------------------------------------------------------------- */

static void close_store(void)
{
    tkx__store_close(kept);
    kept = NULL;
}

static void sql(const char *text)
{
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void expect_refusal(tkx_status status, const char *says)
{
    tkx_error *err = NULL;

    ck_assert_int_eq(open_store(1, &err), status);
    ck_assert_msg(strstr(tkx_error_message(err), says), "%s", tkx_error_message(err));
    tkx_error_free(err);
}

START_TEST(what_was_written_is_there_again)
{
    tkx__store_model model;
    char *note;

    begin_run();
    applied("forward_backward", 1);
    ck_assert_int_eq(tkx__store_set_note(kept, "a", "b", NULL), TKX_OK);
    close_store();
    ck_assert_int_eq(open_store(1, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_get_model(kept, &arena, &model, NULL), TKX_OK);
    ck_assert_str_eq(model.model_id, "S:train:0");
    ck_assert_str_eq(model.session_id, "S");
    ck_assert_int_eq(tkx__store_get_note(kept, "a", &note, NULL), TKX_OK);
    ck_assert_str_eq(note, "b");
    tkx__free(note);
    ck_assert_int_eq(tkx__store_get_note(kept, "c", &note, NULL), TKX_OK);
    ck_assert_ptr_null(note);
}
END_TEST

START_TEST(nobody_else_reads_it)
{
    struct stat sb;

    ck_assert_int_eq(stat(path, &sb), 0);
    ck_assert_uint_eq(sb.st_mode & 0777, 0600);
}
END_TEST

START_TEST(a_file_in_use_is_refused)
{
    tkx__store *first = kept;

    expect_refusal(TKX_ERR_BUSY, "in use");
    kept = first;
}
END_TEST

START_TEST(something_else_is_refused_and_left_alone)
{
    char text[32] = "";
    FILE *file;

    close_store();
    file = fopen(path, "w");
    fputs("this is a letter, not a journal", file);
    fclose(file);
    expect_refusal(TKX_ERR_PARSE, "not a journal");
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(fgets(text, sizeof text, file));
    ck_assert_str_eq(text, "this is a letter, not a journal");
    fclose(file);
    unlink(path);
    sql("CREATE TABLE theirs (x);");
    expect_refusal(TKX_ERR_PARSE, "not a journal");
    sql("INSERT INTO theirs VALUES (1);");
}
END_TEST

START_TEST(a_newer_one_is_refused)
{
    close_store();
    sql("PRAGMA user_version=2;");
    expect_refusal(TKX_ERR_UNSUPPORTED, "version 2");
}
END_TEST

/* Cut at any page, or written over in its middle. */
START_TEST(a_damaged_one_is_refused)
{
    struct stat sb;
    FILE *file;

    begin_run();
    for (int i = 1; i < 60; i++)
        applied("forward_backward", i);
    close_store();
    ck_assert_int_eq(stat(path, &sb), 0);
    ck_assert_int_gt(sb.st_size, 8192);
    if (_i == 0) {
        ck_assert_int_eq(truncate(path, sb.st_size / 2), 0);
    } else {
        file = fopen(path, "r+");
        fseek(file, 4096 * _i, SEEK_SET);
        for (int i = 0; i < 4096; i++)
            fputc(0xff, file);
        fclose(file);
    }
    expect_refusal(TKX_ERR_PARSE, _i < 2 ? "damaged" : "damage");
}
END_TEST

START_TEST(an_empty_one_is_begun)
{
    close_store();
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(open_store(1, NULL), TKX_OK);
    begin_run();
}
END_TEST

START_TEST(a_full_disk_is_an_error)
{
    char *large = malloc(400001);
    int64_t call;
    tkx_error *err = NULL;
    tkx__store_request request = {.route = "r", .seq_id = 1, .sha256 = "x", .size = 1};

    begin_run();
    memset(large, 'x', 400000);
    request.frame = large;
    request.frame_size = 400000;
    ck_assert_int_eq(tkx__sql_exec(&kept->sql, "PRAGMA max_page_count=40", NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_begin(kept, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_add_call(kept, "forward", 1, 1, &call, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_put_part(kept, call, 0, &request, &err), TKX_ERR_IO);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "disk is full"));
    tkx_error_free(err);
    tkx__store_rollback(kept);
    ck_assert_int_eq(tkx__sql_exec(&kept->sql, "PRAGMA max_page_count=4000", NULL),
                     TKX_OK);
    applied("forward", 1); /* it goes on when there is room */
    free(large);
}
END_TEST

/* --- calls ----------------------------------------------------------------------- */

START_TEST(one_run_a_file)
{
    const tkx__store_model again = {.op = "create_model"};

    begin_run();
    ck_assert_int_eq(tkx__store_add_model(kept, &again, NULL), TKX_ERR_INVALID_STATE);
}
END_TEST

START_TEST(a_model_that_was_refused_never_was)
{
    const tkx__store_model model = {.op = "create_model"};
    tkx__store_model found;

    ck_assert_int_eq(tkx__store_add_model(kept, &model, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_refused_model(kept, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_get_model(kept, &arena, &found, NULL), TKX_OK);
    ck_assert_int_eq(found.n, 0);
    begin_run();
    ck_assert_int_eq(tkx__store_refused_model(kept, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_get_model(kept, &arena, &found, NULL), TKX_OK);
    ck_assert_int_eq(found.n,
                     1); /* it exists: whatever failed later was another matter */
}
END_TEST

START_TEST(open_and_undelivered_calls_are_listed)
{
    tkx__store_part *parts;
    int64_t a, b, c;

    begin_run();
    applied("forward_backward", 1);
    a = add("optim_step", 2, "a");
    b = add("forward", 3, "b");
    c = add("optim_step", 4, "c");
    ck_assert_int_eq(tkx__store_promised(kept, a, 0, "req", NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_promised(kept, b, 0, "req-b", NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_ended(kept, b, 0, TKX__STORE_APPLIED, NULL, NULL, NULL),
                     TKX_OK);
    ck_assert_uint_eq(list(&parts), 3);
    ck_assert_str_eq(parts[0].request_id, "req");
    ck_assert_int_eq(parts[0].state, TKX__STORE_PROMISED);
    ck_assert_int_eq(parts[1].state, TKX__STORE_APPLIED);
    ck_assert_ptr_null(parts[2].request_id);
    ck_assert_int_eq(parts[2].number, 4);
    end(a, TKX__STORE_APPLIED, NULL);
    end(b, TKX__STORE_APPLIED, NULL);
    end(c, TKX__STORE_FAILED, NULL);
    ck_assert_uint_eq(list(&parts), 0);
}
END_TEST

/* A late promise does not undo an end. */
START_TEST(an_end_stands)
{
    tkx__store_part *parts;
    int64_t call;

    begin_run();
    call = add("optim_step", 1, "x");
    ck_assert_int_eq(
        tkx__store_ended(kept, call, 0, TKX__STORE_APPLIED, NULL, NULL, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_promised(kept, call, 0, "late", NULL), TKX_OK);
    ck_assert_uint_eq(list(&parts), 1);
    ck_assert_int_eq(parts[0].state, TKX__STORE_APPLIED);
}
END_TEST

START_TEST(a_refused_number_is_used_again)
{
    tkx__store_totals totals;
    tkx__store_part *parts;
    int64_t next;

    begin_run();
    applied("forward_backward", 1);
    end(add("optim_step", 2, "refused"), TKX__STORE_REFUSED, NULL);
    ck_assert_int_eq(tkx__store_next_seq(kept, &next, NULL), TKX_OK);
    ck_assert_int_eq(next, 2);
    add("forward", 2, "also refused, but nobody wrote it down");
    add("optim_step", 2, "taken");
    ck_assert_uint_eq(list(&parts), 1);
    ck_assert_str_eq(parts[0].op, "optim_step");
    ck_assert_int_eq(parts[0].number, 2);
    ck_assert_int_eq(tkx__store_totals_get(kept, &arena, &totals, NULL), TKX_OK);
    ck_assert_int_eq(totals.n_calls, 2);
    ck_assert_int_eq(totals.n_open, 1);
    ck_assert_int_eq(tkx__store_next_seq(kept, &next, NULL), TKX_OK);
    ck_assert_int_eq(next, 3);
}
END_TEST

/* A body that was recorded again is the one that counts. */
START_TEST(a_part_can_be_written_anew)
{
    const tkx__body_source source = {.bytes = "json", .size = 4};
    tkx__store_request request = {.route = "other", .seq_id = 1};
    char sha256[TKX__SHA_TEXT];
    tkx__store_part *parts;
    tkx__buf frame, body;
    int64_t call;

    begin_run();
    call = add("forward", 1, "protobuf");
    tkx__buf_init(&frame, 4096);
    tkx__buf_init(&body, 4096);
    ck_assert_int_eq(tkx__body_pack(&source, &frame, sha256, &request.size, NULL),
                     TKX_OK);
    request.frame = frame.data;
    request.frame_size = frame.size;
    request.sha256 = sha256;
    ck_assert_int_eq(tkx__store_put_part(kept, call, 0, &request, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_body(kept, call, 0, &body, NULL), TKX_OK);
    ck_assert_str_eq(body.data, "json");
    ck_assert_uint_eq(list(&parts), 1);
    ck_assert_str_eq(parts[0].route, "other");
    tkx__buf_clear(&frame);
    tkx__buf_clear(&body);
}
END_TEST

START_TEST(a_step_of_a_transaction_fails_alone)
{
    tkx__store_totals totals;

    begin_run();
    ck_assert_int_eq(tkx__store_begin(kept, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_mark(kept, NULL), TKX_OK);
    add("optim_step", 1, "kept");
    tkx__store_release(kept, true);
    ck_assert_int_eq(tkx__store_mark(kept, NULL), TKX_OK);
    add("optim_step", 2, "undone");
    tkx__store_release(kept, false);
    ck_assert_int_eq(tkx__store_commit(kept, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_totals_get(kept, &arena, &totals, NULL), TKX_OK);
    ck_assert_int_eq(totals.n_steps, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_was_written_is_there_again);
    tcase_add_test(tc, nobody_else_reads_it);
    tcase_add_test(tc, a_file_in_use_is_refused);
    tcase_add_test(tc, something_else_is_refused_and_left_alone);
    tcase_add_test(tc, a_newer_one_is_refused);
    tcase_add_loop_test(tc, a_damaged_one_is_refused, 0, 4);
    tcase_add_test(tc, an_empty_one_is_begun);
    tcase_add_test(tc, a_full_disk_is_an_error);
    tcase_add_test(tc, one_run_a_file);
    tcase_add_test(tc, a_model_that_was_refused_never_was);
    tcase_add_test(tc, open_and_undelivered_calls_are_listed);
    tcase_add_test(tc, an_end_stands);
    tcase_add_test(tc, a_refused_number_is_used_again);
    tcase_add_test(tc, a_part_can_be_written_anew);
    tcase_add_test(tc, a_step_of_a_transaction_fails_alone);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
