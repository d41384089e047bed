/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tape_replay.c - answering from a recording.
 *
 * A request is matched by method, URL, range and body, and gets the first such exchange
 * that has not been used.  Background traffic is matched without its body; when its
 * recorded answers are used up, heartbeats and the like get the last one again, and a
 * long poll just runs out.  Answers come at the next turn of the loop.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/tape_in.h"

/* --- tokens ---------------------------------------------------------------------- */

/* The recording has no token, and the one it had would have expired. */
static char *make_token(const tkx__tape *t)
{
    static const char head[] = "{\"alg\":\"none\"}";
    char claims[128];
    char *token = tkx__calloc(1, 512);
    int64_t now = t->inner.ops->wall_ms(t->inner.ctx) / 1000;
    size_t n;

    if (!token)
        return NULL;
    snprintf(claims, sizeof claims,
             "{\"sub\":\"replay\",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now,
             now + 86400);
    tkx__base64_encode(head, sizeof head - 1, token);
    n = strcspn(token, "=");
    token[n++] = '.';
    memset(token + n, 0, 512 - n);
    tkx__base64_encode(claims, strlen(claims), token + n);
    n += strcspn(token + n, "=");
    memcpy(token + n, ".none", sizeof ".none");
    return token;
}

/* A copy of the answer for the receiver, with a token in the place of a redacted one. */
static char *answer_of(const tkx__tape *t, const tkx__taped *x, size_t *size)
{
    static const char mark[] = TKX__REDACTED_JWT;
    const char *at = strstr(x->answer, mark);
    char *token;
    tkx__buf buf;

    *size = x->answer_size;
    if (!at)
        return tkx__memdup(x->answer, x->answer_size + 1);
    token = make_token(t);
    tkx__buf_init(&buf, x->answer_size + 512);
    tkx__buf_append(&buf, x->answer, (size_t)(at - x->answer));
    tkx__buf_puts(&buf, token ? token : "");
    tkx__buf_puts(&buf, at + sizeof mark - 1);
    tkx__free(token);
    char *copy = tkx__buf_take(&buf, size);
    tkx__buf_clear(&buf);
    return copy;
}

/* --- delivering ------------------------------------------------------------------ */

static void fill_error(const tkx__taped *x, tkx_error **error)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    facts.is_retryable = x->is_retryable;
    tkx__fail_facts(error, x->error, &facts, "%s", x->message);
}

static void deliver(void *arg)
{
    tkx__tape_request *r = arg;
    tkx__reply_fn *fn = r->fn;
    void *fn_arg = r->arg;
    tkx_error *error = r->error;
    tkx__reply reply = {0};

    r->error = NULL;
    if (!error && r->taped && r->taped->error != TKX_OK)
        fill_error(r->taped, &error);
    if (!error && r->taped) {
        reply.body = answer_of(r->tape, r->taped, &reply.body_size);
        reply.http_status = r->taped->http_status;
        reply.headers = r->taped->headers;
        reply.n_headers = r->taped->n_headers;
        if (!reply.body)
            tkx__fail_memory(&error);
    }
    if (error)
        reply.http_status = 0;
    reply.error = error;
    reply.elapsed_ms = r->taped ? r->taped->elapsed_ms : 0;
    tkx__tape_drop(r);
    fn(&reply, fn_arg);
    tkx__free(reply.body);
    tkx_error_free(error);
}

/* --- matching -------------------------------------------------------------------- */

typedef struct wanted {
    const char *method;
    tkx__buf url;
    const char *range;
    char *body;
    size_t body_size;
    uint64_t hash;
} wanted;

static bool is_same_route(const tkx__taped *x, const wanted *w)
{
    return strcmp(x->method, w->method) == 0 &&
           strcmp(x->url, tkx__buf_text(&w->url)) == 0 && strcmp(x->range, w->range) == 0;
}

static bool is_same_body(const tkx__taped *x, const wanted *w)
{
    return x->body_size == w->body_size && memcmp(x->body, w->body, w->body_size) == 0;
}

/* The first unused one; of background traffic the last one, when all are used. */
static tkx__taped *find(tkx__tape *t, const wanted *w)
{
    tkx__taped *last = NULL;

    for (tkx__taped *x = t->buckets[w->hash & (t->n_buckets - 1)]; x;
         x = x->next_in_bucket) {
        if (x->hash != w->hash || !is_same_route(x, w) ||
            (!x->is_background && !is_same_body(x, w)))
            continue;
        if (!x->is_used)
            return x;
        if (x->is_background && !x->is_dropped)
            last = x;
    }
    return last;
}

static const tkx__taped *first_unused(const tkx__tape *t, const wanted *of_route)
{
    for (const tkx__taped *x = t->first; x; x = x->next)
        if (!x->is_used && !x->is_background && !x->is_dropped &&
            (!of_route || is_same_route(x, of_route)))
            return x;
    return NULL;
}

/* Some text around a place, in one line. */
static void put_excerpt(tkx__buf *out, const char *bytes, size_t size, size_t at)
{
    size_t from = at > 20 ? at - 20 : 0;
    size_t to = at + 40 < size ? at + 40 : size;

    tkx__buf_putc(out, '\'');
    for (size_t i = from; i < to; i++)
        tkx__buf_putc(out, bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?');
    tkx__buf_putc(out, '\'');
}

/* What was expected, what came. */
static tkx_error *mismatch(const tkx__tape *t, const wanted *w)
{
    const tkx__taped *same = first_unused(t, w);
    const tkx__taped *next = first_unused(t, NULL);
    tkx_error *error = NULL;
    tkx__buf why;
    size_t at = 0;

    tkx__buf_init(&why, 1 << 16);
    if (same) {
        while (at < same->body_size && at < w->body_size && same->body[at] == w->body[at])
            at++;
        tkx__buf_printf(&why,
                        "exchange %" PRId64 " is of this route, but the bodies differ "
                        "from byte %zu on: recorded (%zu bytes) ",
                        same->n, at, same->body_size);
        put_excerpt(&why, same->body, same->body_size, at);
        tkx__buf_printf(&why, ", sent (%zu bytes) ", w->body_size);
        put_excerpt(&why, w->body, w->body_size, at);
    } else if (next) {
        tkx__buf_printf(&why, "the next recorded request is exchange %" PRId64 ", %s %s",
                        next->n, next->method, next->url);
    } else {
        tkx__buf_puts(&why, "all recorded exchanges have been used");
    }
    tkx__fail(&error, TKX_ERR_PROTOCOL,
              "replay of %s: %s %s is not what was recorded: %s", t->path, w->method,
              tkx__buf_text(&w->url), tkx__buf_text(&why));
    tkx__buf_clear(&why);
    return error;
}

static bool is_long_poll(const tkx__taped *x)
{
    return strstr(x->url, "/retrieve_futures") != NULL;
}

/* What comes of the request, and after how long; -1: it stays open. */
static int64_t decide(tkx__tape_request *r, const wanted *w, int64_t timeout_ms)
{
    tkx__tape *t = r->tape;
    tkx__taped *x = find(t, w);

    if (!x && strstr(tkx__buf_text(&w->url), "/telemetry")) /* newer than the recording */
        return timeout_ms > 0 ? timeout_ms : -1;
    if (!x) {
        atomic_fetch_add(&t->n_mismatched, 1);
        r->error = mismatch(t, w);
        return 0;
    }
    bool is_again = x->is_used;
    x->is_used = true;
    if (x->is_dropped || (is_again && is_long_poll(x))) {
        tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
        facts.is_retryable = 1;
        tkx__fail_facts(&r->error, TKX_ERR_TIMEOUT, &facts,
                        "replay: this request had no answer when it was recorded");
        return timeout_ms > 0 ? timeout_ms : -1;
    }
    if (!x->is_background)
        atomic_fetch_add(&t->n_replayed, 1);
    r->taped = x;
    return 0;
}

/* --- the io ---------------------------------------------------------------------- */

static bool describe(const tkx__tape *t, const tkx__request *request, wanted *w)
{
    bool is_text;

    w->method = request->method;
    w->range = tkx__tape_range(request);
    w->body = tkx__tape_body(t, request->body, &w->body_size, &is_text);
    tkx__buf_init(&w->url, 1 << 20);
    tkx__tape_put_url(t, request->url, &w->url);
    bool is_background = tkx__tape_is_background(tkx__buf_text(&w->url));
    if (w->body)
        w->hash = tkx__tape_hash(w->method, tkx__buf_text(&w->url), w->range,
                                 is_background ? "" : w->body,
                                 is_background ? 0 : w->body_size);
    return w->body && w->url.status == TKX_OK;
}

static tkx__transfer *op_send(void *ctx, const tkx__request *request, tkx__reply_fn *fn,
                              void *arg)
{
    tkx__tape *t = ctx;
    tkx__tape_request *r = tkx__tape_add(t, fn, arg);
    wanted w = {0};

    if (!r)
        return NULL;
    tkx__tape_learn(t, request);
    r->timer = t->inner.ops->timer_new(t->inner.ctx, deliver, r);
    bool is_fine = r->timer && describe(t, request, &w);
    if (is_fine) {
        int64_t delay = decide(r, &w, request->timeout_ms);
        if (delay >= 0)
            t->inner.ops->timer_arm(t->inner.ctx, r->timer, delay);
    }
    tkx__buf_clear(&w.url);
    tkx__free(w.body);
    if (is_fine)
        return (tkx__transfer *)(void *)r;
    tkx__tape_drop(r);
    return NULL;
}

static void op_cancel(void *ctx, tkx__transfer *transfer)
{
    (void)ctx;
    tkx__tape_drop((tkx__tape_request *)(void *)transfer);
}

tkx_status tkx__tape_replay(const tkx__tape_config *config, tkx__tape **out,
                            tkx_error **err)
{
    tkx__tape *t = tkx__calloc(1, sizeof *t);
    tkx_status st;

    if (!t)
        return tkx__fail_memory(err);
    st = tkx__tape_init(t, config, err);
    t->ops.send = op_send;
    t->ops.cancel = op_cancel;
    if (st == TKX_OK)
        st = tkx__tape_read(t, err);
    if (st == TKX_OK)
        *out = t;
    else
        tkx__tape_free(t);
    return st;
}
