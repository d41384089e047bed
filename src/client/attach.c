/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.c - every recorded request to its end.
 *
 *     promise on record ----------------------------------> POLLING -> SETTLED
 *     none: READING (body, rewritten for a new model and
 *           recorded again) -> SENDING -> promise --------^
 *
 * One request is sent at a time, in the order of the numbers, and a few are polled.  The
 * service knows a number it has seen, so a request that did arrive is not done again.
 * What cannot be told for certain (a promise that is gone, a number used otherwise) makes
 * the model lost: it is never guessed.
 */
#include "client/attach.h"

#include <string.h>

#include "api/call.h"
#include "api/scan.h"
#include "base/error.h"
#include "base/mem.h"
#include "client/rewrite.h"
#include "client/task.h"

#define N_POLLED 16 /* requests ahead of the one that is settled last */
#define MAX_BODY ((size_t)2 << 30)

typedef struct request {
    tkx__attach *attach;
    tkx__buf body;
    tkx__body sent;
    bool is_polled, is_over;
    tkx__call *call;
    tkx__poll *poll;
} request;

struct tkx__attach {
    tkx__op base; /* in the site's list */
    tkx__post_node start;
    tkx__site *site;
    tkx__ledger *ledger; /* counted */
    char *model_id;
    tkx__attach_fn *fn;
    void *arg;
    tkx__task *task; /* borrowed: it waits for this */
    size_t n, next, n_over, n_sent;
    size_t n_polled;
    bool is_reading; /* a worker has the body of the one that is sent next */
    bool is_sending;
    bool is_ended;
    tkx__attach_end end;
    tkx_error *error;
    tkx__attached *parts; /* [n] */
    request *requests;    /* [n] */
};

static void step(tkx__attach *a);

static size_t index_of(const request *r)
{
    return (size_t)(r - r->attach->requests);
}

static tkx__attached *part_of(const request *r)
{
    return &r->attach->parts[index_of(r)];
}

/* --- the end --------------------------------------------------------------------- */

/* error is taken.  The first end stands. */
static void end(tkx__attach *a, tkx__attach_end how, tkx_error *error)
{
    if (a->is_ended) {
        tkx_error_free(error);
        return;
    }
    a->is_ended = true;
    a->end = how;
    a->error = error;
    for (size_t i = 0; i < a->n; i++) {
        tkx__call_cancel(a->requests[i].call);
        tkx__poll_cancel(a->requests[i].poll);
        a->requests[i].call = NULL;
        a->requests[i].poll = NULL;
    }
}

/* Nothing is under way any more: tell it. */
static void finish(tkx__attach *a)
{
    tkx_error *error = a->error;

    if (a->is_reading)
        return;
    a->error = NULL;
    tkx__op_unregister(a->site, &a->base);
    a->fn(a->arg, a->end, error);
}

static void abort_attach(tkx__op *base)
{
    tkx__attach *a = (tkx__attach *)base;
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CLOSED, "resume: the context was closed");
    end(a, TKX__ATTACH_FAILED, error);
    finish(a);
}

/* --- results --------------------------------------------------------------------- */

static void tell_end(const request *r, tkx__part_end how)
{
    const tkx__attached *p = part_of(r);
    tkx__recorder *recorder = &r->attach->ledger->recorder;
    const char *path = p->result && p->kind->path_of ? p->kind->path_of(p->result) : NULL;

    recorder->ops->ended(recorder, p->row->call, (size_t)p->row->part, how, path,
                         p->error);
}

static void settled(request *r)
{
    r->is_over = true;
    r->attach->n_over++;
}

/* The service has it no more, so whether it was done is unknown. */
static bool is_gone(const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    return tkx_error_status(error) == TKX_ERR_PROMISE_GONE || http == 404 || http == 410;
}

static void on_polled(void *arg, void *result, tkx_error *error)
{
    request *r = arg;
    tkx__attached *p = part_of(r);
    tkx__attach *a = r->attach;

    r->poll = NULL;
    a->n_polled--;
    p->result = result;
    if (!error) {
        tell_end(r, TKX__PART_APPLIED);
        settled(r);
    } else if (p->row->state == TKX__STORE_APPLIED) { /* known; only its result is lost */
        tkx_error_free(error);
        settled(r);
    } else if (tkx_error_status(error) == TKX_ERR_REQUEST_FAILED) {
        p->error = error;
        tell_end(r, TKX__PART_FAILED);
        settled(r);
    } else {
        end(a, is_gone(error) ? TKX__ATTACH_LOST : TKX__ATTACH_FAILED, error);
    }
    step(a);
}

static void on_event(void *arg, const tkx__poll_event *event)
{
    tkx__task_on_event(((const request *)arg)->attach->task, event);
}

static void poll(request *r, const char *request_id)
{
    const tkx__attached *p = part_of(r);
    tkx_error *error = NULL;
    const tkx__poll_spec spec = {
        .what = p->kind->op,
        .request_id = request_id,
        .request_type = p->kind->request_type,
        .sdk_method = p->kind->sdk_method,
        .wants_protobuf = p->kind->kind == TKX__OP_PASS,
        .seq_id = p->row->seq_id,
        .roundtrip_us = -1,
        .decode = p->kind->decode,
        .free_result = p->kind->free_result,
        .on_event = on_event,
    };

    if (tkx__poll_start(r->attach->site, &spec, on_polled, r, &r->poll, &error) == TKX_OK)
        r->attach->n_polled++;
    else
        end(r->attach, TKX__ATTACH_FAILED, error);
}

/* --- sending again --------------------------------------------------------------- */

/* The service refuses this request, and would each time. */
static bool is_refusal(const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    return http == 400 || http == 413 || http == 415 || http == 422;
}

/* Refused: its number is free if nothing was to follow; else there is a hole. */
static void refused(request *r, tkx_error *error)
{
    tkx__attach *a = r->attach;
    bool is_last = index_of(r) + 1 == a->n;

    part_of(r)->error = error;
    tell_end(r, is_last ? TKX__PART_REFUSED : TKX__PART_FAILED);
    settled(r);
    if (!is_last)
        end(a, TKX__ATTACH_LOST, tkx__error_copy(error));
}

static void on_sent(void *arg, tkx__outcome *outcome)
{
    static const char *const key[] = {"request_id"};
    request *r = arg;
    tkx__attach *a = r->attach;
    const tkx__store_part *row = part_of(r)->row;
    tkx_error *error = outcome->error;
    tkx__span id = {0};

    r->call = NULL;
    a->is_sending = false;
    tkx__buf_clear(&r->body);
    if (error && is_refusal(error)) {
        refused(r, error);
    } else if (error) {
        int http = tkx_error_http_status(error);
        end(a, is_gone(error) || http == 409 ? TKX__ATTACH_LOST : TKX__ATTACH_FAILED,
            error);
    } else {
        tkx__scan_pick(outcome->reply->body, outcome->reply->body_size, key, 1, &id);
        char *request_id = tkx__span_dup(id);
        if (request_id) {
            a->ledger->recorder.ops->promised(&a->ledger->recorder, row->call,
                                              (size_t)row->part, request_id);
            poll(r, request_id);
        } else {
            tkx__fail(&error, TKX_ERR_PROTOCOL,
                      "resume, %s: the service answered HTTP %d without a request_id",
                      row->op, outcome->reply->http_status);
            end(a, TKX__ATTACH_FAILED, error);
        }
        tkx__free(request_id);
    }
    step(a);
}

/* Static texts: that is what the layer below compares. */
static const char *static_type(const char *type)
{
    return type && strcmp(type, "application/x-protobuf") == 0 ? "application/x-protobuf"
                                                               : NULL;
}

static void send_body(request *r)
{
    tkx__attach *a = r->attach;
    const tkx__attached *p = part_of(r);
    tkx_error *error = NULL;
    const tkx__call_spec spec = {
        .what = p->kind->op,
        .route = p->row->route,
        .lane = TKX__LANE_TRAIN,
        .body = &r->sent,
        .content_type = static_type(p->row->content_type),
        .content_encoding = p->row->content_encoding ? "zstd" : NULL,
        .sdk_method = p->kind->sdk_method,
        .seq_id = p->row->seq_id,
        .max_retries = p->kind->kind == TKX__OP_SAVE ? 0 : TKX__INNER_RETRIES,
        .is_outer = true,
        .final_409 = true,
    };

    r->sent = (tkx__body){.bytes = tkx__buf_text(&r->body), .size_bytes = r->body.size};
    if (tkx__call_start(a->site, &spec, on_sent, r, &r->call, &error) != TKX_OK) {
        end(a, TKX__ATTACH_FAILED, error);
        return;
    }
    a->is_sending = true;
    a->n_sent++;
    tkx__task_on_sending(a->task, r->sent.size_bytes);
}

/* --- its body -------------------------------------------------------------------- */

typedef struct body_entry {
    tkx__entry entry;
    request *request;
} body_entry;

/* The body for the model at hand, recorded as it will be sent. */
static tkx_status rewrite(request *r, tkx__store *store, tkx__buf *plain, tkx_error **err)
{
    const tkx__store_part *row = part_of(r)->row;
    const tkx__rewrite to = {
        .model_id = r->attach->model_id, .seq_id = row->seq_id, .model_seq_id = -1};
    tkx__encoded encoded = {
        .route = row->route, .content_type = row->content_type, .content_encoding = NULL};
    tkx__store_request again = {0};
    char sha256[TKX__SHA_TEXT];
    tkx__buf body, frame;

    tkx__buf_init(&body, MAX_BODY);
    tkx__buf_init(&frame, MAX_BODY);
    tkx_status st = row->content_type
                        ? tkx__rewrite_proto(plain->data, plain->size, &to, &body, err)
                        : tkx__rewrite_json(plain->data, plain->size, &to, &body, err);
    if (st == TKX_OK) {
        encoded.body = (tkx__body){.bytes = body.data, .size_bytes = body.size};
        st = tkx__ledger_pack(&encoded, &frame, &again, sha256, err);
    }
    if (st == TKX_OK) {
        again.content_encoding = row->content_encoding;
        again.seq_id = row->seq_id;
        st = tkx__store_put_part(store, row->call, (size_t)row->part, &again, err);
    }
    tkx__buf_clear(&frame);
    tkx__buf_clear(plain);
    *plain = body;
    return st;
}

static tkx_status read_body(tkx__entry *entry, tkx__store *store, tkx_error **err)
{
    request *r = ((body_entry *)entry)->request;
    const tkx__store_part *row = part_of(r)->row;
    tkx__buf plain;

    tkx__buf_init(&plain, MAX_BODY);
    tkx_status st = tkx__store_body(store, row->call, row->part, &plain, err);
    if (st == TKX_OK && plain.size && row->is_foreign)
        st = rewrite(r, store, &plain, err);
    if (st == TKX_OK && row->content_encoding) {
        st = tkx__body_compress(plain.data, plain.size, &r->body, err);
    } else if (st == TKX_OK) {
        r->body = plain;
        return st;
    }
    tkx__buf_clear(&plain);
    return st;
}

static void body_read(tkx__entry *entry, tkx_error *error)
{
    request *r = ((body_entry *)entry)->request;
    tkx__attach *a = r->attach;

    tkx__free(entry);
    a->is_reading = false;
    if (error)
        end(a, TKX__ATTACH_FAILED, error);
    else if (!a->is_ended)
        send_body(r);
    step(a);
}

static void read_and_send(request *r)
{
    tkx__attach *a = r->attach;
    body_entry *e = tkx__calloc(1, sizeof *e);
    tkx_error *error = NULL;

    if (!e) {
        tkx__fail_memory(&error);
        end(a, TKX__ATTACH_FAILED, error);
        return;
    }
    *e = (body_entry){.entry = {.write = read_body, .done = body_read}, .request = r};
    a->is_reading = true;
    if (tkx__ledger_put(a->ledger, &e->entry, &error))
        return;
    a->is_reading = false;
    tkx__free(e);
    end(a, TKX__ATTACH_FAILED, error);
}

/* --- the whole ------------------------------------------------------------------- */

static void begin(request *r)
{
    tkx__attached *p = part_of(r);
    const tkx__store_part *row = p->row;

    if (row->state == TKX__STORE_FAILED) { /* known; only the caller does not know yet */
        tkx__fail(&p->error, TKX_ERR_REQUEST_FAILED, "%s",
                  row->error ? row->error : "the service failed it");
        settled(r);
    } else if (row->request_id) {
        poll(r, row->request_id);
    } else if (row->state == TKX__STORE_APPLIED) {
        settled(r);
    } else {
        read_and_send(r);
    }
}

static void step(tkx__attach *a)
{
    while (!a->is_ended && a->next < a->n && !a->is_reading && !a->is_sending &&
           a->n_polled < N_POLLED)
        begin(&a->requests[a->next++]);
    if (!a->is_ended && a->n_over == a->n)
        end(a, TKX__ATTACHED, NULL);
    if (a->is_ended)
        finish(a);
}

tkx__attached *tkx__attach_parts(tkx__attach *attach)
{
    return attach->parts;
}

size_t tkx__attach_n_sent(const tkx__attach *attach)
{
    return attach->n_sent;
}

void tkx__attach_free(tkx__attach *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n && a->parts && a->requests; i++) {
        if (a->parts[i].result)
            a->parts[i].kind->free_result(a->parts[i].result);
        tkx_error_free(a->parts[i].error);
        tkx__buf_clear(&a->requests[i].body);
    }
    tkx_error_free(a->error);
    tkx__ledger_unref(a->ledger);
    tkx__free(a->parts);
    tkx__free(a->requests);
    tkx__free(a->model_id);
    tkx__free(a);
}

static void start_later(void *arg)
{
    tkx__attach *a = arg;
    tkx_error *error = NULL;

    a->is_reading = false;
    if (a->site->is_closed && !a->is_ended) {
        tkx__fail(&error, TKX_ERR_CLOSED, "resume: the context was closed");
        end(a, TKX__ATTACH_FAILED, error);
    }
    step(a);
}

static tkx_status fill(tkx__attach *a, const tkx__attach_spec *spec, tkx_error **err)
{
    for (; a->n < spec->n_rows; a->n++) {
        a->parts[a->n].row = &spec->rows[a->n];
        a->parts[a->n].kind = tkx__op_kind_find(spec->rows[a->n].op);
        a->requests[a->n].attach = a;
        tkx__buf_init(&a->requests[a->n].body, MAX_BODY);
        if (!a->parts[a->n].kind)
            return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                             "journal %s: \"%s\" is no operation of this version",
                             tkx__store_path(a->ledger->journal->store),
                             spec->rows[a->n].op);
    }
    return TKX_OK;
}

static tkx_status init(tkx__attach *a, const tkx__attach_spec *spec, tkx_error **err)
{
    size_t room = spec->n_rows ? spec->n_rows : 1;

    a->site = spec->task->service->site;
    a->ledger = tkx__ledger_ref(spec->ledger);
    a->fn = spec->fn;
    a->arg = spec->arg;
    a->task = spec->task;
    a->model_id = tkx__strdup(spec->model_id);
    a->parts = tkx__calloc(room, sizeof *a->parts);
    a->requests = tkx__calloc(room, sizeof *a->requests);
    if (!a->model_id || !a->parts || !a->requests)
        return tkx__fail_memory(err);
    return fill(a, spec, err);
}

tkx__attach *tkx__attach_start(const tkx__attach_spec *spec, tkx_error **err)
{
    tkx__attach *a = tkx__calloc(1, sizeof *a);

    if (!a) {
        tkx__fail_memory(err);
        return NULL;
    }
    if (init(a, spec, err) != TKX_OK) {
        tkx__attach_free(a);
        return NULL;
    }
    const tkx__io *io = &a->site->io;
    a->is_reading = true; /* fn never runs inside this */
    a->start = (tkx__post_node){.fn = start_later, .arg = a};
    if (!io->ops->post_node(io->ctx, &a->start)) {
        tkx__fail(err, TKX_ERR_CLOSED, "resume: the context was closed");
        tkx__attach_free(a);
        return NULL;
    }
    tkx__op_register(a->site, &a->base, abort_attach);
    return a;
}
