/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tape.c - what recording and replaying share: the layer over another io, and requests as
 * they are written and compared.
 */
#include "net/tape.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/tape_in.h"

#define MAX_BODY ((size_t)4 << 30)

/* --- the layer ------------------------------------------------------------------- */

#define INNER(ctx) (&((tkx__tape *)(ctx))->inner)

static int64_t op_now_ms(void *ctx)
{
    return INNER(ctx)->ops->now_ms(INNER(ctx)->ctx);
}

static int64_t op_now_us(void *ctx)
{
    return INNER(ctx)->ops->now_us(INNER(ctx)->ctx);
}

static int64_t op_wall_ms(void *ctx)
{
    return INNER(ctx)->ops->wall_ms(INNER(ctx)->ctx);
}

static double op_uniform(void *ctx)
{
    return INNER(ctx)->ops->uniform(INNER(ctx)->ctx);
}

static bool op_in_loop(void *ctx)
{
    return INNER(ctx)->ops->in_loop(INNER(ctx)->ctx);
}

static tkx__timer *op_timer_new(void *ctx, tkx__task_fn *fn, void *arg)
{
    return INNER(ctx)->ops->timer_new(INNER(ctx)->ctx, fn, arg);
}

static void op_timer_arm(void *ctx, tkx__timer *timer, int64_t delay_ms)
{
    INNER(ctx)->ops->timer_arm(INNER(ctx)->ctx, timer, delay_ms);
}

static void op_timer_disarm(void *ctx, tkx__timer *timer)
{
    INNER(ctx)->ops->timer_disarm(INNER(ctx)->ctx, timer);
}

static void op_timer_free(void *ctx, tkx__timer *timer)
{
    INNER(ctx)->ops->timer_free(INNER(ctx)->ctx, timer);
}

static bool op_post(void *ctx, tkx__task_fn *fn, void *arg)
{
    return INNER(ctx)->ops->post(INNER(ctx)->ctx, fn, arg);
}

static bool op_post_node(void *ctx, tkx__post_node *node)
{
    return INNER(ctx)->ops->post_node(INNER(ctx)->ctx, node);
}

static bool op_work(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg)
{
    return INNER(ctx)->ops->work(INNER(ctx)->ctx, work, done, arg);
}

static bool op_run_user(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg)
{
    return INNER(ctx)->ops->run_user(INNER(ctx)->ctx, work, done, arg);
}

_Static_assert(sizeof(tkx__io_ops) == 15 * sizeof(void (*)(void)),
               "every function of the table has to be passed on here");

tkx_status tkx__tape_init(tkx__tape *t, const tkx__tape_config *config, tkx_error **err)
{
    t->inner = config->io;
    t->ops = (tkx__io_ops){
        .now_ms = op_now_ms,
        .now_us = config->io.ops->now_us ? op_now_us : NULL,
        .wall_ms = op_wall_ms,
        .uniform = op_uniform,
        .in_loop = op_in_loop,
        .timer_new = op_timer_new,
        .timer_arm = op_timer_arm,
        .timer_disarm = op_timer_disarm,
        .timer_free = op_timer_free,
        .post = op_post,
        .post_node = op_post_node,
        .work = op_work,
        .run_user = op_run_user,
    };
    t->io = (tkx__io){&t->ops, t};
    t->log = config->log;
    t->base_url = tkx__strdup(config->base_url);
    t->path = tkx__strdup(config->path);
    tkx__secrets_add(&t->secrets, config->secret);
    return t->base_url && t->path ? TKX_OK : tkx__fail_memory(err);
}

const tkx__io *tkx__tape_io(const tkx__tape *tape)
{
    return &tape->io;
}

tkx__tape_counts tkx__tape_get_counts(const tkx__tape *tape)
{
    tkx__tape *t = (tkx__tape *)(uintptr_t)tape; /* atomics are read through it */

    return (tkx__tape_counts){atomic_load(&t->n_recorded), atomic_load(&t->n_replayed),
                              atomic_load(&t->n_mismatched)};
}

/* --- requests under way ---------------------------------------------------------- */

tkx__tape_request *tkx__tape_add(tkx__tape *t, tkx__reply_fn *fn, void *arg)
{
    tkx__tape_request *r = tkx__calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->tape = t;
    r->fn = fn;
    r->arg = arg;
    tkx__buf_init(&r->line, MAX_BODY);
    r->next = t->open;
    if (r->next)
        r->next->prev = r;
    t->open = r;
    return r;
}

void tkx__tape_drop(tkx__tape_request *r)
{
    tkx__tape *t = r->tape;

    if (r->prev)
        r->prev->next = r->next;
    else
        t->open = r->next;
    if (r->next)
        r->next->prev = r->prev;
    if (r->timer)
        t->inner.ops->timer_free(t->inner.ctx, r->timer);
    tkx_error_free(r->error);
    tkx__buf_clear(&r->line);
    tkx__free(r);
}

/* --- requests as text ------------------------------------------------------------ */

/* The value of "Name: value" when that is a credential. */
static const char *secret_of(const char *line)
{
    char name[64];
    size_t n = strcspn(line, ":");

    if (n >= sizeof name || line[n] != ':')
        return NULL;
    memcpy(name, line, n);
    name[n] = '\0';
    return tkx__is_secret_header(name) ? line + n + 1 + strspn(line + n + 1, " ") : NULL;
}

void tkx__tape_learn(tkx__tape *t, const tkx__request *request)
{
    size_t n = request->common ? tkx__header_set_count(request->common) : 0;

    for (size_t i = 0; i < request->n_headers; i++)
        if (tkx__is_secret_header(request->headers[i].name))
            tkx__secrets_add(&t->secrets, request->headers[i].value);
    for (size_t i = 0; i < n; i++)
        tkx__secrets_add(&t->secrets,
                         secret_of(tkx__header_set_line(request->common, i)));
}

const char *tkx__tape_range(const tkx__request *request)
{
    for (size_t i = 0; i < request->n_headers; i++)
        if (tkx__equals_nocase(request->headers[i].name, "range"))
            return request->headers[i].value;
    return "";
}

void tkx__tape_put_url(const tkx__tape *t, const char *url, tkx__buf *out)
{
    size_t n = strlen(t->base_url);

    if (strncmp(url, t->base_url, n) == 0 && url[n] == '/')
        url += n;
    tkx__redact_text(out, url, strlen(url), &t->secrets);
}

char *tkx__tape_redacted(const tkx__tape *t, const char *bytes, size_t *size,
                         bool *is_text)
{
    tkx__buf buf;
    char *copy;

    *is_text = tkx__utf8_valid_prefix(bytes, *size) == *size;
    if (!*is_text || *size == 0) {
        copy = tkx__malloc(*size + 1);
        if (!copy)
            return NULL;
        if (*size)
            memcpy(copy, bytes, *size);
        copy[*size] = '\0';
        tkx__redact_bytes(copy, *size, &t->secrets);
        return copy;
    }
    tkx__buf_init(&buf, MAX_BODY);
    tkx__redact_text(&buf, bytes, *size, &t->secrets);
    copy = tkx__buf_take(&buf, size);
    tkx__buf_clear(&buf);
    return copy;
}

/* A body that is read piece by piece, as a whole. */
static char *gather(const tkx__body *body)
{
    char *bytes = tkx__malloc(body->size_bytes + 1);
    size_t at = 0;

    while (bytes && at < body->size_bytes) {
        ssize_t n = body->read(body->ctx, at, bytes + at, body->size_bytes - at);
        if (n <= 0) {
            tkx__free(bytes);
            return NULL;
        }
        at += (size_t)n;
    }
    return bytes;
}

char *tkx__tape_body(const tkx__tape *t, const tkx__body *body, size_t *size,
                     bool *is_text)
{
    *size = body ? body->size_bytes : 0;
    if (!body || body->bytes)
        return tkx__tape_redacted(t, body ? body->bytes : "", size, is_text);
    char *whole = gather(body);
    char *redacted = whole ? tkx__tape_redacted(t, whole, size, is_text) : NULL;
    tkx__free(whole);
    return redacted;
}

static uint64_t hash_on(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) /* FNV-1a */
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

uint64_t tkx__tape_hash(const char *method, const char *url, const char *range,
                        const char *body, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    hash = hash_on(hash, method, strlen(method) + 1);
    hash = hash_on(hash, url, strlen(url) + 1);
    hash = hash_on(hash, range, strlen(range) + 1);
    return hash_on(hash, body, size);
}
