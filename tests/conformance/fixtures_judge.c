/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_judge.c - how a call ended, and what it did on the way, beside expect.
 *
 * Where our client means to do otherwise, fixtures_rules.c says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fixtures_live.h"
#include "fixtures_rules.h"

static const jdom *expect_of(const fixture *f)
{
    /* The newest generation is the one that we follow. */
    const jdom *other = jdom_get(jdom_get(f->root, "expect_other"), "0.38.0");

    return other ? other : jdom_get(f->root, "expect");
}

/* ---- errors --------------------------------------------------------------------- */

/* The statuses that stand for each domain of expect.error. */
static bool is_domain(const char *domain, tkx_status status)
{
    if (strcmp(domain, "failed") == 0)
        return status == TKX_ERR_REQUEST_FAILED;
    if (strcmp(domain, "promise_lost") == 0)
        return status == TKX_ERR_PROMISE_GONE;
    if (strcmp(domain, "connection") == 0)
        return status == TKX_ERR_CONNECTION;
    if (strcmp(domain, "timeout") == 0)
        return status == TKX_ERR_TIMEOUT;
    if (strcmp(domain, "protocol") == 0)
        return status == TKX_ERR_PROTOCOL || status == TKX_ERR_PARSE;
    return strcmp(domain, "http") == 0 &&
           (status == TKX_ERR_HTTP || status == TKX_ERR_AUTH ||
            status == TKX_ERR_BILLING || status == TKX_ERR_PERMISSION);
}

/* What is expected, or the server's word where only its case makes the SDK not know
   it. */
static const char *category_said(fixture *f, const char *expected)
{
    static const char *const known[] = {"user", "server"};
    const jdom *reply = jdom_at(jdom_get(f->root, "replies"), 0);
    const char *file = fixture_text(f, reply, "body_file");
    const char *said = NULL;
    size_t size;
    const char *body = file ? fixture_file(f, file, &size) : NULL;

    if (body)
        said = fixture_text(f, jdom_parse(f->arena, body, size), "category");
    for (size_t i = 0; said && i < sizeof known / sizeof *known; i++)
        if (strcasecmp(said, known[i]) == 0 && strcmp(said, known[i]) != 0)
            return known[i];
    return expected;
}

static bool is_category(const char *category, tkx_error_category ours)
{
    if (strcasecmp(category, "user") == 0)
        return ours == TKX_ERROR_CATEGORY_USER;
    if (strcasecmp(category, "server") == 0)
        return ours == TKX_ERROR_CATEGORY_SERVER;
    return ours == TKX_ERROR_CATEGORY_UNKNOWN;
}

static bool message_holds(const tkx_error *error, const char *text)
{
    for (; error; error = tkx_error_cause(error))
        if (strstr(tkx_error_message(error), text))
            return true;
    return false;
}

static fixture_verdict judge_texts(fixture *f, const jdom *wanted, const tkx_error *error)
{
    const jdom *texts = jdom_get(wanted, "message_contains");

    for (size_t i = 0; i < jdom_count(texts); i++)
        if (!message_holds(error, jdom_text(jdom_at(texts, i))))
            return fixture_differs(f, "\"%s\" is not in the message: %s",
                                   jdom_text(jdom_at(texts, i)),
                                   tkx_error_message(error));
    return FIXTURE_PASSED;
}

fixture_verdict live_judge_error(fixture *f, const jdom *wanted, const tkx_error *error)
{
    const char *domain = fixture_text(f, wanted, "domain");
    const char *category = fixture_text(f, wanted, "category");
    const jdom *retryable = jdom_get(wanted, "retryable");
    tkx_status status = tkx_error_status(error);
    int64_t http = jdom_i64(jdom_get(wanted, "status"), 0);

    if (!domain)
        return fixture_differs(f, "expect.error has no domain");
    if (!fixture_rule_status(f, domain, http, status) && !is_domain(domain, status))
        return fixture_differs(f, "%s instead of an error of kind %s: %s",
                               tkx_status_name(status), domain, tkx_error_message(error));
    if (http && tkx_error_http_status(error) != http)
        return fixture_differs(f, "status %d, not %lld", tkx_error_http_status(error),
                               (long long)http);
    if (category &&
        !is_category(category_said(f, category), tkx_error_get_category(error)))
        return fixture_differs(f, "category %d, not %s",
                               (int)tkx_error_get_category(error), category);
    if (!jdom_is_null(retryable) &&
        jdom_flag(retryable, false) != (tkx_error_is_retryable(error) != 0))
        return fixture_differs(f, "retryable is %d", tkx_error_is_retryable(error));
    return judge_texts(f, wanted, error);
}

/* ---- the requests of the route -------------------------------------------------- */

/* The k-th request since the script began that went to the path; FAKE_NONE: none. */
static size_t nth_to(live *l, const char *path, size_t k)
{
    for (size_t i = l->first; path && i < fake_io_n_sent(l->io); i++) {
        const char *at = strstr(fake_io_sent(l->io, i)->url, "/api/v1/");

        if (at && live_is_path(at, path) && k-- == 0)
            return i;
    }
    return FAKE_NONE;
}

static const char *route_of(const live *l)
{
    return fixture_text(l->f, jdom_get(l->f->root, "route"), "path");
}

static fixture_verdict judge_seen(live *l)
{
    int64_t seen = jdom_i64(jdom_get(expect_of(l->f), "requests_seen"), -1);

    if (seen < 0 || (int64_t)l->n_seen == seen ||
        fixture_rule_more_requests(l->f, (int64_t)l->n_seen - seen) ||
        fixture_rule_fewer_requests(l->f, seen - (int64_t)l->n_seen))
        return FIXTURE_PASSED;
    return fixture_differs(l->f, "the route was asked %zu times, not %lld", l->n_seen,
                           (long long)seen);
}

static fixture_verdict judge_keys(live *l)
{
    const jdom *same = jdom_get(expect_of(l->f), "same_idempotency_key");
    const char *first = NULL;

    if (jdom_is_null(same))
        return FIXTURE_PASSED;
    for (size_t k = 0, i; (i = nth_to(l, route_of(l), k)) != FAKE_NONE; k++) {
        const char *key = fake_io_header(l->io, i, "x-idempotency-key");

        if (!key)
            return fixture_differs(l->f, "request %zu has no idempotency key", k);
        if (first && (strcmp(first, key) == 0) != jdom_flag(same, false))
            return fixture_differs(l->f, "the idempotency keys of the requests are %s",
                                   jdom_flag(same, false) ? "different" : "the same");
        first = first ? first : key;
    }
    return FIXTURE_PASSED;
}

static fixture_verdict judge_counts(live *l)
{
    const jdom *counts = jdom_get(expect_of(l->f), "retry_count_headers");

    for (size_t k = 0; k < jdom_count(counts); k++) {
        size_t i = nth_to(l, route_of(l), k);
        const char *ours =
            i == FAKE_NONE ? NULL : fake_io_header(l->io, i, "x-stainless-retry-count");

        if (i == FAKE_NONE && (k < l->n_followed || k >= l->n_seen))
            continue; /* the transport sent it, or a rule allows that nobody did */
        if (!ours || strtoll(ours, NULL, 10) != jdom_i64(jdom_at(counts, k), -1))
            return fixture_differs(l->f, "retry count of request %zu is %s", k,
                                   ours ? ours : "missing");
    }
    return FIXTURE_PASSED;
}

/* Values that the bodies of successive requests to a path have under a key. */
static fixture_verdict judge_values(live *l, const char *what, const char *path,
                                    const char *key)
{
    const jdom *values = jdom_get(expect_of(l->f), what);
    size_t k;

    for (k = 0; k < jdom_count(values); k++) {
        size_t i = nth_to(l, path, k);
        const fake_request *q = i == FAKE_NONE ? NULL : fake_io_sent(l->io, i);
        const jdom *ours =
            q ? jdom_get(jdom_parse(l->f->arena, q->body, q->body_size), key) : NULL;

        if (!q && k < l->n_followed) /* the transport sent it */
            continue;
        if (!ours || !jdom_equal(ours, jdom_at(values, k)))
            return fixture_differs(l->f, "%s of request %zu differs", key, k);
    }
    if (values && nth_to(l, path, k) != FAKE_NONE)
        return fixture_differs(l->f, "more requests with %s than there should be", key);
    return FIXTURE_PASSED;
}

/* ---- pauses --------------------------------------------------------------------- */

static fixture_verdict judge_waits(live *l)
{
    const jdom *waits = jdom_get(expect_of(l->f), "waits");
    size_t n = 0, i, next;

    for (size_t k = 0; (i = nth_to(l, route_of(l), k)) != FAKE_NONE; k++) {
        int64_t ms;

        next = nth_to(l, route_of(l), k + 1);
        if (next == FAKE_NONE)
            break;
        ms = fake_io_sent(l->io, next)->sent_at_ms - fake_io_sent(l->io, i)->ended_at_ms;
        size_t n_now = fixture_rule_wait(l->f, waits, n, ms);
        n += n_now;
        if (n_now == 0 && ms > 0 && !fixture_rule_extra_wait(l->f, k, ms))
            return fixture_differs(l->f, "a pause of %lld ms after request %zu",
                                   (long long)ms, k);
    }
    if (n < jdom_count(waits))
        return fixture_differs(l->f, "no pause of %g s (%s)",
                               jdom_f64(jdom_get(jdom_at(waits, n), "seconds"), 0),
                               fixture_text(l->f, jdom_at(waits, n), "layer"));
    return FIXTURE_PASSED;
}

/* ---- the queue ------------------------------------------------------------------ */

static const char *state_name(tkx_queue_state state)
{
    return state == TKX_QUEUE_STATE_ACTIVE              ? "active"
           : state == TKX_QUEUE_STATE_PAUSED_CAPACITY   ? "paused_capacity"
           : state == TKX_QUEUE_STATE_PAUSED_RATE_LIMIT ? "paused_rate_limit"
                                                        : "unknown";
}

static fixture_verdict judge_queue(live *l, tkx_future *future)
{
    const jdom *events = jdom_get(expect_of(l->f), "queue_events");

    if (!events)
        return FIXTURE_PASSED;
    for (size_t k = 0; k < jdom_count(events) && k < l->n_queue; k++) {
        const char *state = jdom_text(jdom_at(jdom_at(events, k), 0));
        const char *reason = jdom_text(jdom_at(jdom_at(events, k), 1));

        if (!state || strcmp(state, state_name(l->queue[k].state)) != 0 ||
            strcmp(reason ? reason : "", l->queue[k].reason ? l->queue[k].reason : "") !=
                0)
            return fixture_differs(l->f, "queue event %zu is %s (%s)", k,
                                   state_name(l->queue[k].state),
                                   l->queue[k].reason ? l->queue[k].reason : "no reason");
    }
    /* Whether "active" comes before an answer is found to be unreadable is a matter of
       where it is found. */
    if (tkx_future_error(future) && l->n_queue + 1 == jdom_count(events) &&
        fixture_rule_silent_failure(jdom_at(events, l->n_queue)))
        return FIXTURE_PASSED;
    /* Whoever was told of a pause is told of its end here, also of a bad one. */
    if (l->n_queue == jdom_count(events) + 1 &&
        l->queue[l->n_queue - 1].state == TKX_QUEUE_STATE_ACTIVE &&
        (fixture_rule_silent_end(l->f) || tkx_future_error(future)))
        return FIXTURE_PASSED;
    if (l->n_queue != jdom_count(events))
        return fixture_differs(l->f, "%zu queue events, not %zu", l->n_queue,
                               jdom_count(events));
    return FIXTURE_PASSED;
}

/* ---- all of it ------------------------------------------------------------------ */

static fixture_verdict judge_way(live *l, tkx_future *future)
{
    const char *submits = strcmp(l->f->op, "sample") == 0 ? "/api/v1/asample" : NULL;
    fixture_verdict v = judge_seen(l);

    if (v == FIXTURE_PASSED)
        v = judge_keys(l);
    if (v == FIXTURE_PASSED)
        v = judge_counts(l);
    if (v == FIXTURE_PASSED)
        v = judge_values(l, "allow_metadata_only_sent", route_of(l),
                         "allow_metadata_only");
    if (v == FIXTURE_PASSED)
        v = judge_values(l, "seq_ids_sent", submits ? submits : route_of(l), "seq_id");
    if (v == FIXTURE_PASSED)
        v = judge_waits(l);
    return v == FIXTURE_PASSED ? judge_queue(l, future) : v;
}

static fixture_verdict judge_result(live *l, tkx_future *future, const live_op *op)
{
    fixture_verdict verdict;
    tkx_error *err = NULL;
    tkx__json_writer w;
    tkx__buf buf;
    tkx_status st;

    tkx__buf_init(&buf, SIZE_MAX);
    tkx__json_writer_init(&w, &buf, 0);
    st = op->take(l, future, &w, &err);
    if (st == TKX_OK)
        st = tkx__json_written(&w, "result", &err);
    verdict = fixture_judge(l->f, st, &buf, err ? err : tkx_future_error(future));
    tkx_error_free(err);
    tkx__buf_clear(&buf);
    return verdict;
}

static fixture_verdict judge(live *l, tkx_future *future, const live_op *op)
{
    const char *outcome = fixture_text(l->f, expect_of(l->f), "outcome");
    const jdom *wanted = jdom_get(expect_of(l->f), "error");
    int64_t http = jdom_i64(jdom_get(wanted, "status"), 0);
    bool is_error = outcome && strcmp(outcome, "error") == 0;
    bool is_lenient = jdom_flag(jdom_get(l->f->root, "lenient"), false);
    fixture_verdict verdict;

    /* Where the SDK differs from what is right, any end without a wrong value will do. */
    if (is_lenient && tkx_future_error(future))
        return FIXTURE_PASSED;
    if (is_error && fixture_rule_other_way(l->f, http))
        return tkx_future_error(future)
                   ? live_judge_error(l->f, wanted, tkx_future_error(future))
                   : FIXTURE_PASSED;
    if (is_error && tkx_future_error(future))
        verdict = live_judge_error(l->f, wanted, tkx_future_error(future));
    else
        verdict = judge_result(l, future, op);
    return verdict == FIXTURE_PASSED && !is_lenient ? judge_way(l, future) : verdict;
}

/* Nobody waits for it: what can be seen is what was sent. */
static fixture_verdict judge_background(live *l)
{
    int64_t wanted = jdom_i64(jdom_get(expect_of(l->f), "requests_seen"), 1);
    fixture_verdict v;

    fake_io_turn(l->io);
    for (int i = 0; i < 60 && (int64_t)l->n_seen < wanted; i++)
        if (!live_step(l))
            break;
    v = judge_seen(l);
    if (v == FIXTURE_PASSED)
        v = judge_keys(l);
    if (v == FIXTURE_PASSED)
        v = judge_counts(l);
    return v == FIXTURE_PASSED ? judge_waits(l) : v;
}

static fixture_verdict run(fixture *f)
{
    const live_op *op = live_find_op(f->op);
    fixture_verdict verdict = FIXTURE_FAILED;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    live l;

    if (!op)
        return FIXTURE_NOT_HERE;
    if (!live_begin(&l, f))
        goto done;
    if (live_is_about_start(f))
        live_script(&l);
    if (!(live_is_about_start(f) && op->make == live_started) && !op->make(&l))
        goto done;
    live_script(&l);
    if (op->call(&l, &future, &err) != TKX_OK)
        fixture_differs(f, "not called: %s", tkx_error_message(err));
    else if (!op->take)
        verdict = judge_background(&l);
    else if (live_wait(&l, future) && !l.n_unknown)
        verdict = judge(&l, future, op);
done:
    tkx_error_free(err);
    tkx_future_unref(future);
    live_end(&l);
    return verdict;
}

fixture_verdict fixture_run_call(fixture *f)
{
    return live_guard(f, run);
}
