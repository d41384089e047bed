/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_operation.c - turns, chunks and failed submits (behaviour checks 12, 13, 15, 27),
 * and all interleavings of small cases: no call hangs, no number is lost or used twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/operation.h"
#include "base/error.h"
#include "base/mem.h"
#include "support/fake_io.h"
#include "support/suite.h"

#define MAX_CALLS 4

typedef struct call {
    tkx__operation *op;
    size_t n_parts;
    uint64_t first;
    int n_done, n_submitted;
    tkx_status status;
    char order[64]; /* results, joined */
} call;

typedef struct world {
    fake_io *io;
    tkx__site *site;
    tkx__turns turns;
    call calls[MAX_CALLS];
    size_t n_calls;
} world;

static tkx_status encode(void *arg, size_t i, int64_t seq_id, tkx__encoding encoding,
                         tkx__encoded *out, tkx_error **err)
{
    (void)arg, (void)err;
    char *text = tkx__malloc(64);
    snprintf(text, 64, "%s seq=%lld part=%zu", encoding == TKX__ENCODING_JSON ? "j" : "p",
             (long long)seq_id, i);
    *out = (tkx__encoded){.body = {.bytes = text, .size_bytes = strlen(text)},
                          .route = "submit",
                          .release = tkx__free,
                          .ctx = text};
    return TKX_OK;
}

static void *decode(const tkx__payload *payload, void *arg, tkx_error **err)
{
    (void)arg, (void)err;
    return tkx__strdup(payload->bytes);
}

static void on_end(void *arg, void **results, size_t n, tkx_error *error)
{
    call *c = arg;

    c->op = NULL;
    c->n_done++;
    c->status = tkx_error_status(error);
    for (size_t i = 0; !error && i < n; i++) {
        strncat(c->order, results[i], sizeof c->order - strlen(c->order) - 1);
        tkx__free(results[i]);
    }
    tkx_error_free(error);
}

static void on_all_submitted(void *arg)
{
    ((call *)arg)->n_submitted++;
}

static int64_t bytes_of(void *arg, size_t i)
{
    (void)arg, (void)i;
    return 10;
}

static bool keep_first(void *arg, uint64_t first)
{
    ((call *)arg)->first = first;
    return true;
}

static void begin(world *w)
{
    memset(w, 0, sizeof *w);
    w->io = fake_io_new();
    tkx__site_options options = {.io = *fake_io_table(w->io), .base_url = "http://x"};
    ck_assert_int_eq(tkx__site_new(&options, &w->site, NULL), TKX_OK);
    tkx__turns_init(&w->turns);
}

static void finish(world *w)
{
    tkx__site_close(w->site);
    for (size_t i = 0; i < w->n_calls; i++)
        ck_assert_int_eq(w->calls[i].n_done, 1);
    tkx__turns_clear(&w->turns);
    tkx__site_free(w->site);
    fake_io_free(w->io);
}

static call *submit_with(world *w, size_t n_parts, tkx__operation_spec spec)
{
    call *c = &w->calls[w->n_calls++];

    c->n_parts = n_parts;
    spec.what = "step";
    spec.request_type = "Step";
    spec.lane = TKX__LANE_TRAIN;
    spec.n_parts = n_parts;
    spec.encode = encode;
    spec.decode = decode;
    spec.free_result = tkx__free;
    spec.on_submitted = on_all_submitted;
    tkx__turns_reserve(&w->turns, n_parts, keep_first, c);
    c->op = tkx__operation_new(w->site, &spec, on_end, c);
    ck_assert_ptr_nonnull(c->op);
    tkx__operation_start(c->op, &w->turns, c->first);
    fake_io_turn(w->io);
    return c;
}

static call *submit(world *w, size_t n_parts)
{
    return submit_with(w, n_parts, (tkx__operation_spec){.is_parallel = true});
}

static bool is_poll(world *w, size_t i)
{
    return strstr(fake_io_sent(w->io, i)->url, "retrieve") != NULL;
}

static int seq_of(world *w, size_t i)
{
    const char *at = strstr(fake_io_sent(w->io, i)->body, "seq=");
    return at ? atoi(at + 4) : -1;
}

static void accept_submit(world *w, size_t i)
{
    char body[64];
    snprintf(body, sizeof body, "{\"request_id\":\"r%d\"}", seq_of(w, i));
    fake_io_answer(w->io, i, 200, NULL, body);
}

static void answer_poll(world *w, size_t i)
{
    char body[32];
    snprintf(body, sizeof body, "[%d]",
             atoi(strstr(fake_io_sent(w->io, i)->body, ":\"r") + 3));
    fake_io_answer(w->io, i, 200, NULL, body);
}

static void answer_all(world *w)
{
    for (size_t i = 0; i < fake_io_n_sent(w->io); i++) {
        if (fake_io_sent(w->io, i)->state != FAKE_OPEN)
            continue;
        if (is_poll(w, i))
            answer_poll(w, i);
        else
            accept_submit(w, i);
    }
}

static world w;

static void set_up(void)
{
    begin(&w);
}

static void tear_down(void)
{
    finish(&w);
}

START_TEST(the_second_waits_for_the_firsts_submit_only)
{
    submit(&w, 1);
    submit(&w, 1);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 1); /* the first submit is held */
    accept_submit(&w, 0);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 3); /* a poll, and the second submit */
    ck_assert_int_eq(seq_of(&w, 2), 2);
    answer_all(&w);
    ck_assert_int_eq(w.calls[0].status, TKX_OK);
    ck_assert_int_eq(w.calls[1].status, TKX_OK);
}
END_TEST

START_TEST(the_first_chunk_goes_last)
{
    submit(&w, 3);
    submit(&w, 1);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 2);
    ck_assert_int_eq(seq_of(&w, 0), 2);
    ck_assert_int_eq(seq_of(&w, 1), 3);
    accept_submit(&w, 1);
    ck_assert_uint_eq(fake_io_count(w.io, "submit"), 2);
    accept_submit(&w, 0);
    ck_assert_uint_eq(fake_io_count(w.io, "submit"), 3);
    answer_all(&w);
    answer_all(&w);
    ck_assert_str_eq(w.calls[0].order, "[1][2][3]");
    ck_assert_str_eq(w.calls[1].order, "[4]");
}
END_TEST

START_TEST(one_by_one_when_the_service_wants_it)
{
    submit_with(&w, 3, (tkx__operation_spec){0});
    for (size_t i = 0, n = 1; i < 5; i++) {
        if (is_poll(&w, i))
            continue;
        ck_assert_int_eq(seq_of(&w, i), (int)n);
        ck_assert_uint_eq(fake_io_count(w.io, "submit"), n);
        n++;
        accept_submit(&w, i);
    }
    answer_all(&w);
    ck_assert_str_eq(w.calls[0].order, "[1][2][3]");
}
END_TEST

START_TEST(a_failed_chunk_breaks_the_client_at_once)
{
    submit(&w, 3);
    submit(&w, 1);
    fake_io_answer(w.io, 0, 422, NULL, "{\"detail\":\"bad\"}");
    ck_assert_int_eq(w.calls[0].n_done, 0); /* chunk 3 is still on its way */
    accept_submit(&w, 1);
    ck_assert_int_eq(w.calls[0].status, TKX_ERR_HTTP);
    ck_assert_int_eq(w.calls[1].status, TKX_ERR_CLIENT_BROKEN);
    call *later = submit(&w, 2);
    ck_assert_int_eq(later->status, TKX_ERR_CLIENT_BROKEN);
    ck_assert_uint_eq(fake_io_count(w.io, "submit"), 2);
}
END_TEST

START_TEST(a_refused_number_goes_to_the_next)
{
    submit(&w, 1);
    submit(&w, 1);
    fake_io_answer(w.io, 0, 422, NULL, "{\"detail\":\"bad\"}");
    ck_assert_int_eq(w.calls[0].status, TKX_ERR_HTTP);
    ck_assert_int_eq(seq_of(&w, 1), 1);
    answer_all(&w);
    answer_all(&w);
    ck_assert_int_eq(w.calls[1].status, TKX_OK);
}
END_TEST

START_TEST(a_lost_submit_breaks_the_client)
{
    submit_with(&w, 1, (tkx__operation_spec){.is_save = true, .has_one_layer = true});
    submit(&w, 1);
    fake_io_fail(w.io, 0, TKX_ERR_CONNECTION, "reset");
    ck_assert_int_eq(w.calls[0].status, TKX_ERR_CONNECTION);
    ck_assert_int_eq(w.calls[1].status, TKX_ERR_CLIENT_BROKEN);
}
END_TEST

START_TEST(a_detached_call_is_still_submitted)
{
    submit(&w, 1);
    call *c = submit(&w, 2);
    submit(&w, 1);
    tkx__operation_detach(c->op);
    ck_assert_int_eq(c->n_done, 0);
    accept_submit(&w, 0);
    answer_all(&w);
    answer_all(&w);
    answer_all(&w);
    ck_assert_int_eq(c->status, TKX_ERR_CANCELLED);
    ck_assert_int_eq(c->n_submitted, 1);
    ck_assert_int_eq(w.calls[2].status, TKX_OK);
    ck_assert_uint_eq(fake_io_count(w.io, "submit"), 4);
}
END_TEST

START_TEST(detaching_a_submitted_call_stops_its_polls)
{
    call *c = submit(&w, 1);
    accept_submit(&w, 0);
    tkx__operation_detach(c->op);
    ck_assert_int_eq(c->status, TKX_ERR_CANCELLED);
    ck_assert_uint_eq(fake_io_n_open(w.io), 0);
}
END_TEST

START_TEST(uploads_share_a_byte_budget)
{
    w.site->uploads.balance = 15;
    submit_with(&w, 4,
                (tkx__operation_spec){.is_parallel = true, .part_bytes = bytes_of});
    ck_assert_uint_eq(fake_io_n_sent(w.io), 2); /* 15 - 10 - 10 is negative */
    accept_submit(&w, 0);
    ck_assert_uint_eq(fake_io_count(w.io, "submit"), 3);
    answer_all(&w);
    answer_all(&w);
    ck_assert_int_eq(w.calls[0].status, TKX_OK);
    ck_assert_int_eq(w.site->uploads.balance, 15);
}
END_TEST

START_TEST(a_server_that_reads_only_json_is_found_out_once)
{
    submit_with(&w, 1, (tkx__operation_spec){.has_protobuf = true});
    ck_assert_int_eq(fake_io_sent(w.io, 0)->body[0], 'p');
    fake_io_answer(w.io, 0, 415, NULL, "{\"detail\":\"no\"}");
    ck_assert_int_eq(fake_io_sent(w.io, 1)->body[0], 'j');
    accept_submit(&w, 1);
    ck_assert(w.site->no_protobuf);
    submit_with(&w, 1, (tkx__operation_spec){.has_protobuf = true});
    answer_all(&w);
    ck_assert_uint_eq(fake_io_count(w.io, "submit"), 3);
}
END_TEST

START_TEST(a_validation_error_is_no_reason_to_switch)
{
    w.site->protobuf_works = true;
    submit_with(&w, 1, (tkx__operation_spec){.has_protobuf = true});
    fake_io_answer(w.io, 0, 422, NULL, "{\"detail\":\"no\"}");
    ck_assert_int_eq(w.calls[0].status, TKX_ERR_HTTP);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 1);
}
END_TEST

START_TEST(encoding_off_the_loop_survives_a_close)
{
    submit_with(&w, 2,
                (tkx__operation_spec){.is_parallel = true, .encodes_on_worker = true});
    submit_with(&w, 1, (tkx__operation_spec){.encodes_on_worker = true});
    fake_io_hold_work(w.io, true);
    fake_io_turn(w.io);
    tkx__site_close(w.site);
    fake_io_hold_work(w.io, false);
    ck_assert_int_eq(w.calls[0].status, TKX_ERR_CLOSED);
    ck_assert_int_eq(w.calls[1].status, TKX_ERR_CLOSED);
    ck_assert_uint_eq(fake_io_count(w.io, "submit"),
                      w.calls[0].n_done == 1 ? fake_io_n_sent(w.io) : 0);
}
END_TEST

/* --- all interleavings ----------------------------------------------------------- */

/* A path through the tree of choices; replayed from the start each time, since machines
   cannot be copied.  choice[i] of n_choices[i] was taken at step i. */
typedef struct path {
    unsigned choice[64], n_choices[64];
    size_t length, at;
} path;

static unsigned choose(path *p, unsigned n)
{
    if (p->at == p->length) {
        ck_assert_uint_lt(p->length, 64);
        p->choice[p->length] = 0;
        p->n_choices[p->length++] = n;
    }
    return p->choice[p->at++];
}

/* The next path in depth-first order; false after the last. */
static bool next_path(path *p)
{
    while (p->length > 0 && p->choice[p->length - 1] + 1 == p->n_choices[p->length - 1])
        p->length--;
    if (p->length == 0)
        return false;
    p->choice[p->length - 1]++;
    p->at = 0;
    return true;
}

typedef struct shape {
    size_t n_calls, n_parts;
    bool mixes_polls; /* polls are answered at any moment, too; else when asked */
} shape;

typedef struct server {
    int accepted[16]; /* times that a number was accepted */
    bool has_failed;
} server;

static size_t open_requests(world *x, size_t *list, bool with_polls)
{
    size_t n = 0;

    for (size_t i = 0; i < fake_io_n_sent(x->io); i++)
        if (fake_io_sent(x->io, i)->state == FAKE_OPEN && (with_polls || !is_poll(x, i)))
            list[n++] = i;
    return n;
}

/* One step: some open request is answered, well, or (once in a path) not. */
static void step(world *x, path *p, server *s, const size_t *list, size_t n)
{
    size_t i = list[choose(p, (unsigned)n)];

    if (is_poll(x, i)) {
        answer_poll(x, i);
        return;
    }
    unsigned kind = s->has_failed ? 0 : choose(p, 3);
    if (kind == 0) {
        s->accepted[seq_of(x, i)]++;
        accept_submit(x, i);
    } else if (kind == 1) {
        s->has_failed = true;
        fake_io_answer(x->io, i, 422, NULL, "{\"detail\":\"bad\"}");
    } else {
        s->has_failed = true;
        fake_io_fail(x->io, i, TKX_ERR_CONNECTION, "reset");
    }
}

static void run_path(path *p, const shape *sh)
{
    world x;
    server s = {0};
    size_t list[32], n;

    begin(&x);
    for (size_t i = 0; i < sh->n_calls;
         i++) /* one layer, no retries: each fault counts */
        submit_with(&x, sh->n_parts,
                    (tkx__operation_spec){
                        .is_parallel = true, .is_save = true, .has_one_layer = true});
    while ((n = open_requests(&x, list, sh->mixes_polls)) > 0)
        step(&x, p, &s, list, n);
    while ((n = open_requests(&x, list, true)) > 0)
        answer_poll(&x, list[0]);

    int highest = 0;
    for (int k = 1; k < 16; k++) {
        ck_assert_int_le(s.accepted[k], 1);
        highest = s.accepted[k] ? k : highest;
    }
    for (size_t i = 0; i < x.n_calls; i++) {
        ck_assert_int_eq(x.calls[i].n_done, 1); /* nobody hangs */
        ck_assert_int_eq(x.calls[i].n_submitted, 1);
        if (!s.has_failed)
            ck_assert_int_eq(x.calls[i].status, TKX_OK);
    }
    /* A gap in what the server has is only there when the client knows that it is
       broken. */
    for (int k = 1; k <= highest; k++)
        ck_assert(s.accepted[k] || x.turns.loop.broken);
    if (x.turns.loop.broken)
        ck_assert_int_ne(x.calls[x.n_calls - 1].status, TKX_OK);
    ck_assert_ptr_null(x.turns.loop.waiters);
    finish(&x);
}

static const shape shapes[] = {{3, 3, false}, {2, 2, true}, {3, 1, true}, {1, 3, true}};

START_TEST(no_interleaving_hangs_or_loses_a_number)
{
    path p = {0};
    size_t n_paths = 0;

    do {
        run_path(&p, &shapes[_i]);
        n_paths++;
    } while (next_path(&p));
    ck_assert_uint_gt(n_paths, 8);
    printf("%zu calls of %zu chunks: %zu paths\n", shapes[_i].n_calls, shapes[_i].n_parts,
           n_paths);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operation");
    TCase *tc = tcase_create("operation");
    TCase *all = tcase_create("interleavings");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_second_waits_for_the_firsts_submit_only);
    tcase_add_test(tc, the_first_chunk_goes_last);
    tcase_add_test(tc, one_by_one_when_the_service_wants_it);
    tcase_add_test(tc, a_failed_chunk_breaks_the_client_at_once);
    tcase_add_test(tc, a_refused_number_goes_to_the_next);
    tcase_add_test(tc, a_lost_submit_breaks_the_client);
    tcase_add_test(tc, a_detached_call_is_still_submitted);
    tcase_add_test(tc, detaching_a_submitted_call_stops_its_polls);
    tcase_add_test(tc, uploads_share_a_byte_budget);
    tcase_add_test(tc, a_server_that_reads_only_json_is_found_out_once);
    tcase_add_test(tc, a_validation_error_is_no_reason_to_switch);
    tcase_add_test(tc, encoding_off_the_loop_survives_a_close);
    tcase_add_loop_test(all, no_interleaving_hangs_or_loses_a_number, 0, 4);
    suite_add_tcase(suite, tc);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
