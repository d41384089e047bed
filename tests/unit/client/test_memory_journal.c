/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memory_journal.c - the nth allocation fails, for every n, in a run that is written
 * down and in one that is resumed: a clean end each time, and whatever a failed resume
 * left behind, the next one goes on with it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory_run.h"
#include "support/suite.h"

enum { N_SLICES = 8, N_CALLS = 3 };

static char folder[64], path[96];
static char *prepared; /* a run whose last call has had no answer */
static size_t prepared_size;

static void remove_run(void)
{
    static const char *const ends[] = {"", "-lock", "-wal", "-shm"};
    char name[128];

    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static void set_up(void)
{
    /* Thousands of files that are synced: in memory, where there is such a folder. */
    strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/tkx-memory-XXXXXX"
                                                 : "/tmp/tkx-memory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run", folder);
}

static void tear_down(void)
{
    remove_run();
    free(prepared);
    ck_assert_int_eq(rmdir(folder), 0);
}

static tkx_journal *open_journal(void)
{
    tkx_journal_options options = TKX_JOURNAL_OPTIONS_INIT;
    tkx_journal *journal = NULL;

    options.sync = TKX_JOURNAL_SYNC_NORMAL;
    tkx_journal_open(path, &options, &journal, NULL);
    return journal;
}

/* --- a run that is written down -------------------------------------------------- */

static void run_journaled(void)
{
    bool has_begun = memory_begin(NULL);
    tkx_journal *journal;

    remove_run();
    journal = open_journal();
    if (has_begun && journal) {
        tkx_training *t = memory_create(journal);

        if (t)
            memory_step(t);
        tkx_training_free(t);
    }
    scripted_end(&s);
    tkx_journal_close(journal);
}

START_TEST(a_journaled_step_survives_any_failed_allocation)
{
    memory_sweep(_i, N_SLICES, run_journaled, NULL);
}
END_TEST

/* --- a run that is resumed ------------------------------------------------------- */

static void call_and_wait(tkx_training *t, bool is_pass)
{
    tkx_future *future = NULL;

    if (is_pass)
        tkx_training_forward_backward(t, &scripted_datum, 1, "cross_entropy", NULL,
                                      &future, NULL);
    else
        tkx_training_optim_step(t, NULL, &future, NULL);
    fake_io_turn(s.io);
    tkx_future_unref(future);
}

static void read_prepared(void)
{
    FILE *from = fopen(path, "rb");

    fseek(from, 0, SEEK_END);
    prepared_size = (size_t)ftell(from);
    rewind(from);
    prepared = malloc(prepared_size);
    ck_assert_uint_eq(fread(prepared, 1, prepared_size, from), prepared_size);
    fclose(from);
}

static void prepare(void)
{
    ck_assert(memory_begin(NULL));
    tkx_journal *journal = open_journal();
    tkx_training *t = memory_create(journal);

    call_and_wait(t, true);
    call_and_wait(t, false);
    s.held = "forward_backward";
    call_and_wait(t, true);
    tkx_training_free(t);
    scripted_end(&s);
    tkx_journal_close(journal);
    read_prepared();
}

static void restore(void)
{
    remove_run();
    FILE *to = fopen(path, "wb");
    ck_assert_uint_eq(fwrite(prepared, 1, prepared_size, to), prepared_size);
    fclose(to);
}

static bool is_model_lost;

/* True: it went on with the whole run. */
static bool resume(void)
{
    bool has_begun = memory_begin(NULL), is_whole = false;
    tkx_journal *journal = open_journal();
    tkx_future *future = NULL;

    s.missing = is_model_lost ? "get_info" : NULL;
    if (has_begun && journal &&
        tkx_training_resume(s.service, journal, NULL, &future, NULL) == TKX_OK) {
        tkx_resume_report *report = NULL;
        tkx_training *t = NULL;

        if (memory_ends_well(future) &&
            tkx_future_take_resumed(future, &t, &report, NULL) == TKX_OK) {
            ck_assert_uint_eq(report->n_calls, N_CALLS);
            is_whole = true;
        }
        tkx_resume_report_free(report);
        tkx_training_free(t);
        tkx_future_unref(future);
    }
    scripted_end(&s);
    tkx_journal_close(journal);
    return is_whole;
}

static void run_resume(void)
{
    restore();
    resume();
}

static void next_resume(void)
{
    ck_assert_msg(resume(), "a failed resume cannot be resumed");
}

/* The model is there: open requests are settled. */
START_TEST(a_resume_survives_any_failed_allocation)
{
    is_model_lost = false;
    prepare();
    memory_sweep(_i, N_SLICES, run_resume, next_resume);
}
END_TEST

/* It is gone: planned anew, made again, carried out again. */
START_TEST(so_does_one_that_makes_the_model_again)
{
    is_model_lost = true;
    prepare();
    memory_sweep(_i, N_SLICES, run_resume, next_resume);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_journal");
    TCase *tc = tcase_create("memory_journal");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_journaled_step_survives_any_failed_allocation, 0, N_SLICES);
    tcase_add_loop_test(tc, a_resume_survives_any_failed_allocation, 0, N_SLICES);
    tcase_add_loop_test(tc, so_does_one_that_makes_the_model_again, 0, N_SLICES);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
