/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_journal.c - a client that writes down what it does, on a scripted server: nothing
 * goes out before it is on record, and what is on record is what went out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tkx/custom_loss.h>
#include <tkx/journal.h>

#include "client/ledger.h"
#include "journal/store_in.h"
#include "scripted.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

static scripted s;
static char folder[64], path[96];
static tkx_journal *journal;

static void set_up(void)
{
    s = (scripted){0};
    strcpy(folder, "/tmp/tkx-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run", folder);
    ck_assert_int_eq(tkx_journal_open(path, NULL, &journal, NULL), TKX_OK);
}

static void tear_down(void)
{
    static const char *const ends[] = {"", "-lock", "-wal", "-shm"};
    char name[128];

    tkx_journal_close(journal);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    ck_assert_int_eq(rmdir(folder), 0);
}

static tkx_future *create(void)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;

    options.base_model = "base";
    options.journal = journal;
    ck_assert_int_eq(tkx_service_create_lora(s.service, &options, &future, NULL), TKX_OK);
    return future;
}

static tkx_training *begin(void)
{
    tkx_training *training;
    tkx_future *future;

    scripted_begin(&s);
    future = create();
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
    return training;
}

static void finish(tkx_training *training)
{
    tkx_training_free(training);
    scripted_end(&s);
}

static tkx_future *forward_backward(tkx_training *t, size_t n)
{
    static tkx_datum data[3000];
    tkx_future *future = NULL;

    for (size_t i = 0; i < n; i++)
        data[i] = scripted_datum;
    ck_assert_int_eq(tkx_training_forward_backward(t, data, n, TKX_LOSS_CROSS_ENTROPY,
                                                   NULL, &future, NULL),
                     TKX_OK);
    return future;
}

static void expect_and_drop(tkx_future *future, tkx_status status)
{
    scripted_expect(&s, future, status);
    tkx_future_unref(future);
}

static int64_t number(const char *text)
{
    int64_t n = -1;

    ck_assert_int_eq(tkx__sql_int(&journal->store->sql, -1, &n, NULL, text, ""), TKX_OK);
    return n;
}

/* The recorded body of a part is that of the k-th request to the route. */
static void expect_recorded(int64_t call, int64_t part, const char *route, size_t k)
{
    const fake_request *sent = fake_io_sent(s.io, scripted_nth(&s, route, k));
    tkx__buf body;

    tkx__buf_init(&body, (size_t)1 << 24);
    ck_assert_int_eq(tkx__store_body(journal->store, call, part, &body, NULL), TKX_OK);
    ck_assert_uint_eq(body.size, sent->body_size);
    ck_assert_mem_eq(body.data, sent->body, body.size);
    tkx__buf_clear(&body);
}

START_TEST(nothing_goes_out_before_it_is_on_record)
{
    tkx_training *t = begin();
    tkx_future *future;

    fake_io_hold_work(s.io, true);
    future = forward_backward(t, 1);
    fake_io_advance(s.io, 5000);
    ck_assert_uint_eq(fake_io_count(s.io, "forward_backward"), 0);
    fake_io_hold_work(s.io, false);
    expect_and_drop(future, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "forward_backward"), 1);
    expect_recorded(1, 0, "forward_backward", 0);
    fake_io_turn(s.io);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM operations WHERE state='applied' AND"
                            " is_delivered AND request_id IS NOT NULL AND seq_id=1"),
                     1);
    finish(t);
}
END_TEST

START_TEST(the_model_is_on_record_before_it_is_asked_for)
{
    tkx_training *training;
    tkx_future *future;

    scripted_begin(&s);
    fake_io_hold_work(s.io, true);
    future = create();
    fake_io_advance(s.io, 5000);
    ck_assert_uint_eq(fake_io_count(s.io, "create_model"), 0);
    fake_io_hold_work(s.io, false);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
    /* A seed was drawn, so that the same model can be made again. */
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(s.io, scripted_last(&s, "create_model"))->body, "\"seed\":"));
    fake_io_turn(s.io);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM models WHERE model_id='M'"), 1);
    ck_assert_int_eq(tkx_journal_has_run(journal), 1);
    finish(training);
}
END_TEST

START_TEST(all_chunks_of_a_call_are_recorded_as_they_go_out)
{
    tkx_training *t = begin();

    expect_and_drop(forward_backward(t, 2500), TKX_OK);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM parts"), 3);
    ck_assert_int_eq(number("SELECT n_parts FROM calls"), 3);
    /* Chunks 2 and 3 are sent first. */
    expect_recorded(1, 1, "forward_backward", 0);
    expect_recorded(1, 2, "forward_backward", 1);
    expect_recorded(1, 0, "forward_backward", 2);
    finish(t);
}
END_TEST

START_TEST(compressed_bodies_are_recorded_unpacked_by_hash)
{
    s.config = "{\"proto_compress_fwdbwd\":true}";
    tkx_training *t = begin();

    expect_and_drop(forward_backward(t, 1), TKX_OK);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM parts WHERE content_encoding='zstd'"),
                     1);
    tkx__buf body;
    tkx__buf_init(&body, (size_t)1 << 20);
    ck_assert_int_eq(tkx__store_body(journal->store, 1, 0, &body, NULL), TKX_OK);
    ck_assert_int_eq(body.data[0], 1 << 3 | 2); /* model_id of the plain request */
    tkx__buf_clear(&body);
    finish(t);
}
END_TEST

static int custom_loss(tkx_custom_item *items, size_t n_items, tkx_custom_report *report,
                       void *user_data)
{
    (void)report, (void)user_data;
    ck_assert_uint_eq(n_items, 1);
    items[0].gradient[0] = -1;
    return 0;
}

/* Two calls of the run: what is sent behind the loss can be sent again without it. */
START_TEST(both_passes_of_a_custom_loss_are_recorded)
{
    static const int32_t id = 1;
    static const int64_t target = 2;
    static const tkx_named_tensor one[] = {
        {"target_tokens",
         {.dtype = TKX_DTYPE_INT64, .n_values = 1, .values.i64 = &target}}};
    static const tkx_chunk token = {.kind = TKX_CHUNK_TEXT, .tokens = &id, .n_tokens = 1};
    static const tkx_datum short_datum = {
        .model_input = {&token, 1}, .loss_fn_inputs = one, .n_loss_fn_inputs = 1};
    tkx_training *t = begin();
    tkx_future *future;

    ck_assert_int_eq(tkx_training_forward_backward_custom(t, &short_datum, 1, custom_loss,
                                                          NULL, NULL, &future, NULL),
                     TKX_OK);
    expect_and_drop(future, TKX_OK);
    fake_io_turn(s.io);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM operations WHERE state='applied'"), 2);
    ck_assert_int_eq(number("SELECT seq_id FROM operations WHERE op='forward'"), 1);
    ck_assert_int_eq(number("SELECT seq_id FROM operations WHERE op='forward_backward'"),
                     2);
    expect_recorded(1, 0, "forward", 0);
    expect_recorded(2, 0, "forward", 1);
    finish(t);
}
END_TEST

/* A server that reads JSON only: the JSON stands on record before it goes out. */
static bool refuse_protobuf(fake_io *io, size_t i, const char *route)
{
    const char *type = fake_io_header(io, i, "content-type");

    if (strstr(route, "forward_backward") && type && strstr(type, "protobuf")) {
        fake_io_answer(io, i, 415, NULL, "{\"detail\":\"JSON only\"}");
        return true;
    }
    return false;
}

START_TEST(another_encoding_is_recorded_anew)
{
    tkx_training *t;

    s.serve = refuse_protobuf;
    t = begin();
    expect_and_drop(forward_backward(t, 1), TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "forward_backward"), 2);
    expect_recorded(1, 0, "forward_backward", 1);
    ck_assert_int_eq(number("SELECT content_type IS NULL FROM parts"), 1);
    finish(t);
}
END_TEST

START_TEST(a_full_disk_stops_a_call_before_it_is_sent)
{
    tkx_training *t = begin();
    tkx_future *future;

    ck_assert_int_eq(tkx__sql_exec(&journal->store->sql, "PRAGMA max_page_count=1", NULL),
                     TKX_OK); /* as many as there are */
    for (int i = 0; i < 400; i++) {
        future = forward_backward(t, 200);
        fake_io_advance(s.io, 100);
        ck_assert(tkx_future_is_done(future));
        if (tkx_future_error(future))
            break;
        tkx_future_unref(future);
        ck_assert_int_lt(i, 399);
    }
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_IO);
    ck_assert_ptr_nonnull(
        strstr(tkx_error_message(tkx_future_error(future)), "disk is full"));
    tkx_future_unref(future);
    size_t n_sent = fake_io_count(s.io, "forward_backward");
    ck_assert_int_eq(number("SELECT COUNT(*) FROM calls"), (int64_t)n_sent);
    ck_assert_int_eq(
        tkx__sql_exec(&journal->store->sql, "PRAGMA max_page_count=100000", NULL),
        TKX_OK);
    /* Its number was not used up. */
    expect_and_drop(forward_backward(t, 1), TKX_OK);
    ck_assert_int_eq(number("SELECT MAX(seq_id) FROM parts"), (int64_t)n_sent + 1);
    finish(t);
}
END_TEST

START_TEST(a_refused_call_is_no_part_of_the_run)
{
    tkx_training *t = begin();

    s.refused = "optim_step";
    tkx_future *future = NULL;
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &future, NULL), TKX_OK);
    expect_and_drop(future, TKX_ERR_HTTP);
    s.refused = NULL;
    expect_and_drop(forward_backward(t, 1), TKX_OK);
    fake_io_turn(s.io);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM operations"), 1);
    ck_assert_int_eq(number("SELECT number FROM operations"), 1);
    ck_assert_int_eq(number("SELECT seq_id FROM operations"), 1);
    finish(t);
}
END_TEST

START_TEST(a_refused_model_is_forgotten)
{
    scripted_begin(&s);
    s.refused = "create_model";
    expect_and_drop(create(), TKX_ERR_HTTP);
    fake_io_turn(s.io);
    ck_assert_int_eq(tkx_journal_has_run(journal), 0);
    scripted_end(&s);
}
END_TEST

START_TEST(one_client_writes_at_a_time)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;
    tkx_training *t = begin();

    options.base_model = "base";
    options.journal = journal;
    ck_assert_int_eq(tkx_service_create_lora(s.service, &options, &future, NULL),
                     TKX_ERR_BUSY);
    tkx_training_free(t);
    fake_io_turn(s.io);
    /* And one run stands in a file. */
    ck_assert_int_eq(tkx_service_create_lora(s.service, &options, &future, NULL), TKX_OK);
    expect_and_drop(future, TKX_ERR_INVALID_STATE);
    scripted_end(&s);
}
END_TEST

START_TEST(no_secret_is_written_down)
{
    tkx_checkpoint_options options = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_load_options load = TKX_LOAD_OPTIONS_INIT;
    tkx_future *future;
    tkx_training *t = begin();

    load.weights_access_token = "secret";
    options.path = "tinker://x/weights/y";
    options.weights_access_token = "secret";
    options.journal = journal;
    ck_assert_int_eq(
        tkx_service_create_from_checkpoint(s.service, &options, &future, NULL),
        TKX_ERR_UNSUPPORTED);
    ck_assert_int_eq(tkx_training_load_state(t, options.path, &load, &future, NULL),
                     TKX_ERR_UNSUPPORTED);
    finish(t);
}
END_TEST

START_TEST(opening_survives_any_failed_allocation)
{
    tkx_journal_close(journal);
    for (size_t n = 1;; n++) {
        fail_alloc_begin(n);
        tkx_status st = tkx_journal_open(path, NULL, &journal, NULL);
        if (st == TKX_OK)
            tkx_journal_close(journal);
        int hit = fail_alloc_hit();
        ck_assert_int_eq(fail_alloc_end(), 0);
        ck_assert_int_eq(st, hit ? TKX_ERR_NO_MEMORY : TKX_OK);
        if (!hit)
            break;
    }
    ck_assert_int_eq(tkx_journal_open(path, NULL, &journal, NULL), TKX_OK);
}
END_TEST

START_TEST(notes_are_kept)
{
    char text[8];

    ck_assert_int_eq(tkx_journal_set_note(journal, "k", "value", NULL), TKX_OK);
    ck_assert_int_eq(tkx_journal_get_note(journal, "k", text, sizeof text, NULL), TKX_OK);
    ck_assert_str_eq(text, "value");
    ck_assert_int_eq(tkx_journal_get_note(journal, "k", text, 5, NULL), TKX_ERR_LIMIT);
    ck_assert_int_eq(tkx_journal_get_note(journal, "x", text, sizeof text, NULL),
                     TKX_ERR_NOT_FOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, nothing_goes_out_before_it_is_on_record);
    tcase_add_test(tc, the_model_is_on_record_before_it_is_asked_for);
    tcase_add_test(tc, all_chunks_of_a_call_are_recorded_as_they_go_out);
    tcase_add_test(tc, compressed_bodies_are_recorded_unpacked_by_hash);
    tcase_add_test(tc, both_passes_of_a_custom_loss_are_recorded);
    tcase_add_test(tc, another_encoding_is_recorded_anew);
    tcase_add_test(tc, a_full_disk_stops_a_call_before_it_is_sent);
    tcase_add_test(tc, a_refused_call_is_no_part_of_the_run);
    tcase_add_test(tc, a_refused_model_is_forgotten);
    tcase_add_test(tc, one_client_writes_at_a_time);
    tcase_add_test(tc, no_secret_is_written_down);
    tcase_add_test(tc, opening_survives_any_failed_allocation);
    tcase_add_test(tc, notes_are_kept);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
