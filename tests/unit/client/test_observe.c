/* SPDX-License-Identifier: Apache-2.0 */
/* test_observe.c - local trace and trace context of a client on a scripted server. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "observed.h"
#include "support/jdom.h"
#include "support/suite.h"

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00-" TRACE_ID "-00f067aa0ba902b7-01"

/* --- the trace file -------------------------------------------------------------- */

#define MAX_ROWS 64
#define MAX_DEPTH 8

typedef struct open_row {
    int64_t tid;
    size_t depth;
    int64_t ts;
    const char *names[MAX_DEPTH];
} open_row;

static open_row *row_of(open_row *rows, int64_t tid)
{
    for (size_t i = 0; i < MAX_ROWS; i++)
        if (rows[i].tid == tid || rows[i].tid == 0) {
            rows[i].tid = tid;
            return &rows[i];
        }
    ck_abort_msg("more rows than expected");
    return NULL;
}

/* How often a slice of that name was begun right inside one of that other name. */
typedef struct nesting {
    const char *inner, *outer;
    int n;
} nesting;

/* Every end has its begin, times never go back; returns how many slices stay open. */
static size_t check_events(const jdom *events, nesting *wanted, size_t n_wanted)
{
    open_row *rows = calloc(MAX_ROWS, sizeof *rows);
    size_t n_open = 0;

    for (size_t i = 0; i < jdom_count(events); i++) {
        const jdom *e = jdom_at(events, i);
        const char *ph = jdom_text(jdom_get(e, "ph"));
        open_row *row = row_of(rows, 1 + jdom_i64(jdom_get(e, "tid"), -1));
        int64_t ts = jdom_i64(jdom_get(e, "ts"), -1);

        ck_assert_int_ge(ts, 0);
        if (*ph == 'M')
            continue;
        ck_assert_int_ge(ts, row->ts);
        row->ts = ts;
        if (*ph == 'B') {
            const char *name = jdom_text(jdom_get(e, "name"));
            const char *outer = row->depth ? row->names[row->depth - 1] : "";
            for (size_t k = 0; k < n_wanted; k++)
                wanted[k].n += strcmp(wanted[k].inner, name) == 0 &&
                               strcmp(wanted[k].outer, outer) == 0;
            ck_assert_uint_lt(row->depth, MAX_DEPTH);
            row->names[row->depth++] = name;
            n_open++;
        } else if (*ph == 'E') {
            ck_assert_uint_gt(row->depth, 0);
            row->depth--;
            n_open--;
        } else {
            ck_assert_uint_gt(row->depth, 0); /* points and arrows lie in a slice */
        }
    }
    free(rows);
    return n_open;
}

static void run_with_trace(void)
{
    trace_options.path = path;
    scripted_begin(&s);
    work();
    scripted_end(&s);
}

START_TEST(slices_nest)
{
    nesting wanted[] = {
        {"forward_backward", "", 0},             /* the call and its 3 chunks */
        {"submit", "forward_backward", 0},       /* each of them */
        {"forward_backward", "submit", 0},       /* 3 requests */
        {"wait", "forward_backward", 0},         /* the call, the chunks */
        {"retrieve_future", "wait", 0},          /* one poll for each promise */
        {"encode", "forward_backward", 0},       /* 3 */
        {"decode", "forward_backward", 0},       /* 3 */
        {"optim_step", "submit", 0},             /* 1, and 4 sends of the other */
        {"pause", "submit", 0},                  /* 3 */
        {"queued: turn", "optim_step", 0},       /* 2 */
        {"asample", "submit", 0},                /* 1 */
        {"decode", "sample", 0},                 /* 1 */
        {"create_session", "create_session", 0}, /* a call that stands alone */
    };
    static const int expected[] = {4, 4, 3, 4, 7, 3, 3, 5, 3, 2, 1, 1, 1};
    tkx__arena arena;
    size_t size;

    run_with_trace();
    char *text = read_file(&size);
    tkx__arena_init(&arena, 1 << 16, (size_t)64 << 20);
    const jdom *events = jdom_parse(&arena, text, size);
    ck_assert_ptr_nonnull(events);
    ck_assert_uint_eq(check_events(events, wanted, sizeof wanted / sizeof *wanted), 0);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        ck_assert_msg(wanted[i].n == expected[i], "%s in %s: %d", wanted[i].inner,
                      wanted[i].outer, wanted[i].n);
    ck_assert_ptr_null(strstr(text, "tml-secret"));
    ck_assert_ptr_nonnull(strstr(text, "\"reason\":\"HTTP 503\""));
    ck_assert_ptr_nonnull(strstr(text, "\"request_id\":\"asample-"));
    tkx__arena_clear(&arena);
    free(text);
}
END_TEST

START_TEST(arrows_have_two_ends)
{
    int n[3] = {0};
    tkx__arena arena;
    size_t size;

    run_with_trace();
    char *text = read_file(&size);
    tkx__arena_init(&arena, 1 << 16, (size_t)64 << 20);
    const jdom *events = jdom_parse(&arena, text, size);
    for (size_t i = 0; i < jdom_count(events); i++) {
        const char *ph = jdom_text(jdom_get(jdom_at(events, i), "ph"));
        n[0] += *ph == 's';
        n[1] += *ph == 't';
        n[2] += *ph == 'f';
    }
    ck_assert_int_eq(n[0], 3 + 7); /* to the chunks; from each promise */
    ck_assert_int_eq(n[2], 3);
    ck_assert_int_eq(n[1], 7); /* ... to its poll */
    tkx__arena_clear(&arena);
    free(text);
}
END_TEST

/* What a crash leaves: complete lines and perhaps half of one. */
START_TEST(a_cut_file_is_still_read)
{
    size_t size;

    run_with_trace();
    char *text = read_file(&size);
    for (size_t cut = 200; cut < size; cut += 97) {
        char *part = calloc(1, cut + 3);
        tkx__arena arena;

        memcpy(part, text, cut);
        char *end = strrchr(part, '\n');
        if (strcmp(end - 2, "]\n") != 0)
            strcpy(end - (end[-1] == ','), "\n]");
        tkx__arena_init(&arena, 1 << 16, (size_t)64 << 20);
        const jdom *events = jdom_parse(&arena, part, strlen(part));
        ck_assert_msg(events != NULL, "cut at %zu", cut);
        check_events(events, NULL, 0);
        tkx__arena_clear(&arena);
        free(part);
    }
    free(text);
}
END_TEST

START_TEST(a_full_file_ends_what_it_has_begun)
{
    tkx__arena arena;
    size_t size;

    trace_options.max_bytes = 4000;
    run_with_trace();
    char *text = read_file(&size);
    ck_assert_uint_lt(size, 8000);
    tkx__arena_init(&arena, 1 << 16, (size_t)64 << 20);
    const jdom *events = jdom_parse(&arena, text, size);
    ck_assert_ptr_nonnull(events);
    ck_assert_uint_eq(check_events(events, NULL, 0), 0);
    const jdom *last = jdom_at(events, jdom_count(events) - 1);
    ck_assert_int_gt(jdom_i64(jdom_get(jdom_get(last, "args"), "n_dropped"), 0), 5);
    tkx__arena_clear(&arena);
    free(text);
}
END_TEST

START_TEST(a_trace_file_that_cannot_be_made_is_told)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context = NULL;
    tkx_error *err = NULL;

    trace_options.path = "/nowhere/at/all";
    options.trace = &trace_options;
    options.base_url = "http://x";
    ck_assert_int_eq(tkx_context_new(&options, &context, &err), TKX_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "/nowhere/at/all"));
    tkx_error_free(err);
}
END_TEST

/* --- trace context --------------------------------------------------------------- */

static const char *header_of(const char *url_part, size_t k, const char *name)
{
    return fake_io_header(s.io, scripted_nth(&s, url_part, k), name);
}

START_TEST(a_given_trace_is_passed_on)
{
    trace_options.traceparent = PARENT;
    trace_options.tracestate = "vendor=1,other=x";
    scripted_begin(&s);
    work();
    const char *submit = header_of("asample", 0, "traceparent");
    ck_assert_ptr_nonnull(submit);
    ck_assert_uint_eq(strlen(submit), 55);
    ck_assert_int_eq(strncmp(submit, "00-" TRACE_ID "-", 36), 0);
    ck_assert_str_eq(submit + 52, "-01");
    ck_assert_ptr_null(strstr(submit, "00f067aa0ba902b7")); /* a parent of our own */
    ck_assert_str_eq(header_of("asample", 0, "tracestate"), "vendor=1,other=x");
    for (size_t i = 0; i < fake_io_n_sent(s.io); i++)
        ck_assert_int_eq(strncmp(fake_io_header(s.io, i, "traceparent"), PARENT, 36), 0);
    scripted_end(&s);
}
END_TEST

START_TEST(each_operation_gets_a_trace_of_its_own)
{
    static const double chances[] = {0.1, 0.2, 0.35, 0.77, 0.9, 0.999, 0.03};

    trace_options.generates_context = 1;
    scripted_begin(&s);
    fake_io_set_uniforms(s.io, chances, sizeof chances / sizeof *chances);
    work();
    /* The last optim_step: 4 sends and a poll of one trace, each another parent. */
    const char *a = header_of("optim_step", 1, "traceparent");
    const char *b = header_of("optim_step", 2, "traceparent");
    const char *other = header_of("optim_step", 0, "traceparent");
    ck_assert_int_eq(strncmp(a, b, 36), 0);
    ck_assert_int_ne(strncmp(a + 36, b + 36, 16), 0);
    ck_assert_int_ne(strncmp(a, other, 36), 0);
    ck_assert_ptr_null(header_of("optim_step", 1, "tracestate"));
    scripted_end(&s);
}
END_TEST

START_TEST(the_parent_may_change)
{
    trace_options.generates_context = 0;
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    ck_assert_int_eq(tkx_trace_set_parent(s.context, PARENT, NULL, NULL), TKX_OK);
    tkx_future *a = sample(sampling);
    fake_io_turn(s.io);
    ck_assert_int_eq(tkx_trace_set_parent(s.context, NULL, NULL, NULL), TKX_OK);
    tkx_future *b = sample(sampling);
    finish(a, TKX_OK);
    finish(b, TKX_OK);
    ck_assert_int_eq(strncmp(header_of("asample", 0, "traceparent"), PARENT, 36), 0);
    ck_assert_ptr_null(header_of("asample", 1, "traceparent"));
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

START_TEST(errors_name_the_trace)
{
    trace_options.traceparent = PARENT;
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    s.refused = "asample";
    tkx_future *future = sample(sampling);
    fake_io_turn(s.io);
    ck_assert_str_eq(tkx_error_trace_id(tkx_future_error(future)), TRACE_ID);
    finish(future, TKX_ERR_HTTP);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

static const char *const bad_parents[] = {
    "",
    "00",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
    "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
};

START_TEST(a_bad_parent_is_refused)
{
    scripted_begin(&s);
    ck_assert_int_eq(tkx_trace_set_parent(s.context, bad_parents[_i], NULL, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_trace_set_parent(s.context, PARENT, "a=\n", NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    /* A version to come may be longer. */
    ck_assert_int_eq(tkx_trace_set_parent(s.context,
                                          "01-" TRACE_ID "-00f067aa0ba902b7-01-more",
                                          NULL, NULL),
                     TKX_OK);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("observe");
    TCase *tc = tcase_create("observe");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, slices_nest);
    tcase_add_test(tc, arrows_have_two_ends);
    tcase_add_test(tc, a_cut_file_is_still_read);
    tcase_add_test(tc, a_full_file_ends_what_it_has_begun);
    tcase_add_test(tc, a_trace_file_that_cannot_be_made_is_told);
    tcase_add_test(tc, a_given_trace_is_passed_on);
    tcase_add_test(tc, each_operation_gets_a_trace_of_its_own);
    tcase_add_test(tc, the_parent_may_change);
    tcase_add_test(tc, errors_name_the_trace);
    tcase_add_loop_test(tc, a_bad_parent_is_refused, 0,
                        (int)(sizeof bad_parents / sizeof *bad_parents));
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
