/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll.c - follow one server-side promise until it settles.
 *
 *     RESERVE --bytes--> ROUND --result--> DECODE --> (gone)
 *        ^                |  ^
 *        | metadata only  |  | timer, or at once
 *        +----------------+  |
 *                         +--+   try again, 5xx, no link, 429, 402, few 400s
 *
 * Rounds have no end of their own: only a result, a failure, a final status, the caller's
 * deadline or a cancel ends them.  Whatever goes wrong on the way, the promise is asked
 * again and the operation itself is never sent a second time.
 */
#include "api/poll.h"

#include <string.h>

#include "api/backoff.h"
#include "api/budget.h"
#include "api/call.h"
#include "api/http_error.h"
#include "api/poll_result.h"
#include "api/scan.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/decimal.h"

#define MAX_BAD_REQUESTS 3 /* 400s in a row that may be a proxy's */
#define FREE_FAST_ROUNDS 3 /* quick "not ready" answers before the floor applies */
#define FAST_ROUND_MS 1000
#define INLINE_BYTES ((size_t)64 << 10) /* larger results are decoded by a worker */
#define DEFAULT_MAX_REPLY ((size_t)1 << 30)

struct tkx__poll {
    tkx__site *site;
    tkx__poll_spec spec;
    tkx__poll_fn *fn;
    void *arg;
    tkx__call *call;
    tkx__timer *timer;
    tkx__budget_wait wait;
    int64_t reserved; /* bytes of the response budget that we hold */
    int64_t started_ms;
    unsigned iteration;
    unsigned n_link_failures;
    unsigned n_bad;
    unsigned n_bad_detail;
    unsigned n_fast;
    bool allow_metadata_only;
    bool asked_fetch; /* a metadata-only answer has come */
    bool was_paused;
    bool told_queue;   /* the observer has seen a state that is not over yet */
    bool is_working;   /* a worker holds the payload */
    bool is_cancelled; /* ... and nobody waits for it */
    tkx__header headers[2];
    char iteration_text[12];
    char roundtrip_text[32];
    tkx__body body;
    char *body_text;
    char *trace_id; /* a copy, for the worker's errors; NULL: none */
    /* what the worker reads and writes */
    char *payload;
    size_t payload_size;
    bool is_protobuf;
    void *result;
    tkx_error *error;
    char request_id[];
};

static void begin_round(tkx__poll *p);

static void tell(tkx__poll *p, const tkx__poll_event *event)
{
    if (p->spec.on_event)
        p->spec.on_event(p->arg, event);
}

static void dispose(tkx__poll *p)
{
    tkx__site *site = p->site;
    int64_t reserved = p->reserved;

    tkx__call_cancel(p->call);
    if (p->timer)
        site->io.ops->timer_free(site->io.ctx, p->timer);
    tkx__budget_leave(&site->responses, &p->wait);
    if (p->result)
        p->spec.free_result(p->result);
    tkx_error_free(p->error);
    tkx__free(p->payload);
    tkx__free(p->body_text);
    tkx__free(p->trace_id);
    tkx__free(p);
    if (reserved)
        tkx__budget_give(&site->responses, reserved);
}

void tkx__poll_cancel(tkx__poll *p)
{
    if (p && p->is_working)
        p->is_cancelled = true;
    else if (p)
        dispose(p);
}

/* The end.  Every way that a poll finishes goes through here. */
static void settle(tkx__poll *p, void *result, tkx_error *error)
{
    static const tkx__poll_event active = {.kind = TKX__POLL_QUEUE,
                                           .queue_state = "active"};
    tkx__poll_fn *fn = p->fn;
    void *arg = p->arg;

    /* A pause would otherwise never end for who watches. */
    if (p->told_queue || result || tkx_error_status(error) == TKX_ERR_REQUEST_FAILED)
        tell(p, &active);
    dispose(p);
    fn(arg, result, error);
}

static tkx__error_facts facts_of(const tkx__poll *p, int http_status)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    facts.http_status = http_status;
    facts.request_id = p->request_id;
    facts.seq_id = p->spec.seq_id;
    facts.attempts = (int)p->iteration;
    facts.elapsed_ms = tkx__site_now(p->site) - p->started_ms;
    facts.trace_id = p->trace_id;
    return facts;
}

static tkx_error *http_error(const tkx__poll *p, const tkx__reply *reply)
{
    const tkx__error_facts facts = facts_of(p, reply->http_status);

    return tkx__poll_http_error(p->site, &p->spec, &facts, reply);
}

static void fail_http(tkx__poll *p, const tkx__reply *reply)
{
    settle(p, NULL, http_error(p, reply));
}

/* A round that failed and is repeated; error is taken. */
static void note_trouble(const tkx__poll *p, tkx_error *error)
{
    if (p->site->on_trouble)
        p->site->on_trouble(p->site->trouble_arg, error);
    tkx_error_free(error);
}

/* --- when to ask again ----------------------------------------------------------- */

static void on_timer(void *arg)
{
    begin_round(arg);
}

static void round_after(tkx__poll *p, int64_t delay_ms)
{
    const tkx__io *io = &p->site->io;

    tkx__span_enter(p->spec.span,
                    p->was_paused ? TKX__PHASE_BILLING : TKX__PHASE_BACK_OFF);
    if (!p->timer)
        p->timer = io->ops->timer_new(io->ctx, on_timer, p);
    if (!p->timer) {
        tkx_error *error = NULL;
        tkx__fail_memory(&error);
        settle(p, NULL, error);
        return;
    }
    if (p->spec.deadline_ms) {
        int64_t left = p->spec.deadline_ms - tkx__site_now(p->site);
        if (left < delay_ms)
            delay_ms = left > 0 ? left : 0;
    }
    io->ops->timer_arm(io->ctx, p->timer, delay_ms);
}

/* At once, unless rounds come back so fast that this would be a hot loop. */
static void round_again(tkx__poll *p, int64_t round_ms, unsigned n_free)
{
    if (round_ms >= FAST_ROUND_MS) {
        p->n_fast = 0;
        begin_round(p);
        return;
    }
    unsigned n = p->n_fast++;
    if (n < n_free) {
        begin_round(p);
        return;
    }
    round_after(p, tkx__backoff_floor_ms(n - n_free, tkx__site_uniform(p->site)));
}

static void back_off(tkx__poll *p, int http_status)
{
    const tkx__poll_event event = {.kind = TKX__POLL_BACKOFF, .http_status = http_status};

    tell(p, &event);
    round_after(p, tkx__backoff_link_ms(p->n_link_failures++));
}

/* --- the result ------------------------------------------------------------------ */

/* Any thread: reads the payload, sets result or error.  Giving large memory back takes
   its time too, so that is done here. */
static void decode_work(void *arg)
{
    tkx__poll *p = arg;
    const tkx__payload payload = {p->payload ? p->payload : "", p->payload_size,
                                  p->is_protobuf};
    const tkx__error_facts facts = facts_of(p, 200);

    tkx__poll_read_result(&p->spec, &payload, &facts, &p->result, &p->error);
    tkx__free(p->payload);
    p->payload = NULL;
}

static void decode_done(void *arg)
{
    tkx__poll *p = arg;
    void *result = p->result;
    tkx_error *error = p->error;

    p->is_working = false;
    if (p->is_cancelled) {
        dispose(p);
        return;
    }
    p->result = NULL;
    p->error = NULL;
    settle(p, result, error);
}

static void take_result(tkx__poll *p, tkx__reply *reply, bool is_protobuf)
{
    p->payload = reply->body;
    p->payload_size = reply->body_size;
    reply->body = NULL;
    p->is_protobuf = is_protobuf;
    tkx__span_enter(p->spec.span, TKX__PHASE_DECODE);
    if (p->payload_size > INLINE_BYTES) {
        p->is_working =
            p->site->io.ops->work(p->site->io.ctx, decode_work, decode_done, p);
        if (p->is_working)
            return;
    }
    decode_work(p);
    decode_done(p);
}

/* --- judging an answer ----------------------------------------------------------- */

enum { K_TYPE, K_STATUS, K_QUEUE, K_REASON, K_SIZE, N_KEYS };
static const char *const keys[N_KEYS] = {"type", "status", "queue_state",
                                         "queue_state_reason", "response_payload_size"};

static void notify_queue(tkx__poll *p, tkx__span state, tkx__span reason, bool is_stated)
{
    char *state_text = tkx__span_dup(state);
    char *reason_text = tkx__span_dup(reason);
    const tkx__poll_event event = {.kind = TKX__POLL_QUEUE,
                                   .queue_state = state_text,
                                   .reason = reason_text,
                                   .is_stated = is_stated};

    if (state_text || reason_text) {
        p->told_queue = true;
        tell(p, &event);
    }
    tkx__free(state_text);
    tkx__free(reason_text);
}

static void on_reserved(void *arg)
{
    tkx__poll *p = arg;

    p->reserved = p->wait.cost;
    begin_round(p);
}

/* Take the bytes of the payload before it is asked for; then go on. */
static void reserve(tkx__poll *p, int64_t bytes)
{
    if (bytes <= 0 || p->reserved) {
        begin_round(p);
        return;
    }
    tkx__span_enter(p->spec.span, TKX__PHASE_ROOM);
    if (tkx__budget_take(&p->site->responses, &p->wait, bytes, on_reserved, p)) {
        p->reserved = bytes;
        begin_round(p);
    }
}

static void on_metadata(tkx__poll *p, tkx__span size)
{
    const tkx__poll_event event = {.kind = TKX__POLL_FETCHING};
    tkx_error *error = NULL;
    int64_t bytes = 0;

    if (!p->allow_metadata_only) {
        tkx__error_facts facts = facts_of(p, 200);
        tkx__fail_facts(
            &error, TKX_ERR_PROTOCOL, &facts,
            "%s: the service sent the size of the result of %s again instead of "
            "the result",
            p->spec.what, p->request_id);
        settle(p, NULL, error);
        return;
    }
    p->allow_metadata_only = false;
    tell(p, &event);
    tkx__span_i64(size, &bytes);
    reserve(p, bytes);
}

static void on_json(tkx__poll *p, tkx__reply *reply)
{
    tkx__span v[N_KEYS];

    if (reply->body_size > INLINE_BYTES ||
        !tkx__scan_pick(reply->body, reply->body_size, keys, N_KEYS, v)) {
        take_result(p, reply, false); /* large, or no object: the decoder tells */
        return;
    }
    if (tkx__span_is_string(v[K_TYPE], "try_again")) {
        notify_queue(p, v[K_QUEUE], v[K_REASON], false);
        round_again(p, reply->elapsed_ms, FREE_FAST_ROUNDS);
    } else if (tkx__span_is_string(v[K_STATUS], "complete_metadata")) {
        on_metadata(p, v[K_SIZE]);
    } else {
        take_result(p, reply, false);
    }
}

static void on_408(tkx__poll *p, tkx__reply *reply)
{
    tkx__span v[N_KEYS];

    if (tkx__scan_pick(reply->body, reply->body_size, keys, N_KEYS, v)) {
        p->n_bad = p->n_bad_detail = 0;
        if (!tkx__span_is_null(v[K_QUEUE]) && !tkx__span_is_string(v[K_QUEUE], ""))
            notify_queue(p, v[K_QUEUE], v[K_REASON], true);
    }
    round_again(p, reply->elapsed_ms, FREE_FAST_ROUNDS);
}

/* A 400 may be a proxy's fault; one with a JSON detail is how some servers report a
   failed operation, so it is believed the second time. */
static void on_400(tkx__poll *p, tkx__reply *reply)
{
    bool has_detail = tkx__body_has_detail(reply->body, reply->body_size);
    tkx__buf text;
    tkx_error *error = NULL;

    p->n_bad++;
    if (has_detail && ++p->n_bad_detail > 1) {
        tkx__error_facts facts = facts_of(p, 400);
        facts.category = TKX_ERROR_CATEGORY_USER;
        tkx__buf_init(&text, 1 << 16);
        tkx__server_message(&text, reply->body, reply->body_size);
        tkx__fail_facts(&error, TKX_ERR_REQUEST_FAILED, &facts,
                        "%s failed on the service: %s", p->spec.what,
                        tkx__buf_text(&text));
        tkx__buf_clear(&text);
        settle(p, NULL, error);
    } else if (p->n_bad > MAX_BAD_REQUESTS) {
        fail_http(p, reply);
    } else {
        begin_round(p);
    }
}

static void on_402(tkx__poll *p, tkx__reply *reply)
{
    const tkx__poll_event event = {.kind = TKX__POLL_PAUSED, .http_status = 402};

    if (!tkx__billing_on_402(&p->site->billing, tkx__site_now(p->site))) {
        fail_http(p, reply);
        return;
    }
    p->was_paused = true;
    tell(p, &event);
    round_after(p, TKX__BILLING_SLEEP_MS);
}

static void on_answer(tkx__poll *p, tkx__reply *reply)
{
    int http = reply->http_status;
    const tkx__poll_event event = {
        .kind = TKX__POLL_ANSWER, .http_status = http, .bytes = reply->body_size};

    tell(p, &event);
    if (p->was_paused && http != 402) {
        p->was_paused = false;
        tkx__billing_on_recovery(&p->site->billing);
    }
    if (http != 429)
        p->n_link_failures = 0;
    if (http >= 200 && http < 300) {
        if (tkx__poll_is_protobuf(reply))
            take_result(p, reply, true);
        else
            on_json(p, reply);
    } else if (http >= 500) {
        const tkx__poll_event wait = {.kind = TKX__POLL_BACKOFF, .http_status = http};
        tell(p, &wait);
        note_trouble(p, http_error(p, reply));
        round_again(p, reply->elapsed_ms, 0);
    } else if (http == 408) {
        on_408(p, reply);
    } else if (http == 429) {
        note_trouble(p, http_error(p, reply));
        back_off(p, http);
    } else if (http == 400) {
        on_400(p, reply);
    } else if (http == 402) {
        on_402(p, reply);
    } else if (http == 410) {
        tkx__error_facts facts = facts_of(p, 410);
        settle(p, NULL, tkx__poll_gone_error(&p->spec, &facts));
    } else {
        fail_http(p, reply);
    }
}

/* No answer.  A long poll that the client itself cut off is the normal case with servers
   that hold longer than we do, so that waits little. */
static void on_no_answer(tkx__poll *p, tkx_error *error)
{
    tkx_status st = tkx_error_status(error);

    if (st == TKX_ERR_TIMEOUT && p->n_link_failures > 1)
        p->n_link_failures = 1;
    if ((st != TKX_ERR_CONNECTION && st != TKX_ERR_TIMEOUT) ||
        (p->spec.deadline_ms && tkx__site_now(p->site) >= p->spec.deadline_ms)) {
        settle(p, NULL, error);
        return;
    }
    note_trouble(p, error);
    back_off(p, 0);
}

static void on_outcome(void *arg, tkx__outcome *outcome)
{
    tkx__poll *p = arg;

    p->call = NULL;
    if (outcome->error)
        on_no_answer(p, outcome->error);
    else
        on_answer(p, outcome->reply);
}

/* --- asking ---------------------------------------------------------------------- */

static bool make_body(tkx__poll *p)
{
    tkx__buf buf;

    if (p->body_text && p->asked_fetch == !p->allow_metadata_only)
        return true;
    tkx__buf_init(&buf, 1 << 20);
    tkx__buf_puts(&buf, "{\"request_id\":");
    tkx__put_quoted(&buf, p->request_id);
    tkx__buf_puts(&buf, ",\"allow_metadata_only\":");
    tkx__buf_puts(&buf, p->allow_metadata_only ? "true}" : "false}");
    tkx__free(p->body_text);
    p->body_text = tkx__buf_take(&buf, &p->body.size_bytes);
    p->body.bytes = p->body_text;
    p->asked_fetch = !p->allow_metadata_only;
    tkx__buf_clear(&buf);
    return p->body_text != NULL;
}

/* With six digits behind the point.  Every sample has one: no matter for printf. */
static void write_seconds(char *to, uint64_t us)
{
    to += tkx__decimal_print_u64(us / 1000000, to);
    *to++ = '.';
    for (uint64_t unit = 100000; unit > 0; unit /= 10)
        *to++ = (char)('0' + us / unit % 10);
    *to = '\0';
}

static size_t put_headers(tkx__poll *p)
{
    size_t n = 0;

    p->iteration_text[tkx__decimal_print_u64(p->iteration, p->iteration_text)] = '\0';
    p->headers[n++] = (tkx__header){"X-Tinker-Request-Iteration", p->iteration_text};
    if (p->iteration == 0 && p->spec.roundtrip_us >= 0) {
        write_seconds(p->roundtrip_text, (uint64_t)p->spec.roundtrip_us);
        p->headers[n++] =
            (tkx__header){"X-Tinker-Create-Promise-Roundtrip-Time", p->roundtrip_text};
    }
    return n;
}

static tkx_status try_round(tkx__poll *p, tkx_error **err)
{
    static const tkx__poll_event event = {.kind = TKX__POLL_ROUND};

    if (!make_body(p))
        return tkx__fail_memory(err);
    const tkx__call_spec spec = {
        .what = p->spec.what,
        .route = "retrieve_future",
        .lane = TKX__LANE_RETRIEVE,
        .body = &p->body,
        .accept =
            p->spec.wants_protobuf ? "application/x-protobuf, application/json" : NULL,
        .sdk_method = p->spec.sdk_method,
        .request_type = p->spec.request_type,
        .headers = p->headers,
        .n_headers = put_headers(p),
        .request_id = p->request_id,
        .seq_id = p->spec.seq_id,
        .timeout_ms = p->site->poll_timeout_ms,
        .deadline_ms = p->spec.deadline_ms,
        .is_raw = true,
        .span = p->spec.span,
        .max_reply_bytes =
            p->spec.max_reply_bytes ? p->spec.max_reply_bytes : DEFAULT_MAX_REPLY,
        .expected_reply_bytes =
            p->reserved > 0 ? (size_t)p->reserved : p->spec.expected_reply_bytes,
    };
    tell(p, &event);
    tkx__span_enter(p->spec.span,
                    p->allow_metadata_only ? TKX__PHASE_WAIT : TKX__PHASE_FETCH);
    p->iteration++;
    return tkx__call_start(p->site, &spec, on_outcome, p, &p->call, err);
}

static void begin_round(tkx__poll *p)
{
    tkx_error *error = NULL;

    if (try_round(p, &error) != TKX_OK)
        settle(p, NULL, error);
}

tkx_status tkx__poll_start(tkx__site *site, const tkx__poll_spec *spec, tkx__poll_fn *fn,
                           void *arg, tkx__poll **out, tkx_error **err)
{
    tkx_status st = TKX_OK;
    size_t n = strlen(spec->request_id) + 1;
    tkx__poll *p = tkx__malloc(sizeof *p + n);

    if (!p)
        return tkx__fail_memory(err);
    memset(p, 0, sizeof *p);
    memcpy(p->request_id, spec->request_id, n);
    p->site = site;
    p->spec = *spec;
    p->spec.request_id = p->request_id;
    p->fn = fn;
    p->arg = arg;
    p->started_ms = tkx__site_now(site);
    p->allow_metadata_only = !spec->no_metadata_first;
    if (spec->span && tkx__span_trace_id(spec->span))
        p->trace_id = tkx__strdup(tkx__span_trace_id(spec->span));
    *out = p;
    if (spec->announced_bytes > 0 &&
        !tkx__budget_take(&site->responses, &p->wait, spec->announced_bytes, on_reserved,
                          p))
        return TKX_OK;
    p->reserved = spec->announced_bytes > 0 ? spec->announced_bytes : 0;
    st = try_round(p, err);
    if (st != TKX_OK) {
        *out = NULL;
        dispose(p);
    }
    return st;
}
