/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation.c - submit parts in turn, follow their promises, gather the results.
 *
 *     WAIT_TURN --turn--> (RECORDING) --> SUBMITTING --all parts ended--> FOLLOWING
 *     --all settled--> (gone)
 *
 * Each part, on its own:
 *
 *     IDLE -> BYTES (dispatch budget) -> ENCODING -> SENDING -> POLLING -> HAVE
 *        \________\_______________________\____________\__________\-> OVER (failed)
 *
 * Parts 2..n go first, all at once, and part 1 when they have their promises: the service
 * starts with the lowest number, so it finds the whole call queued.  The turn passes when
 * no part is on its way any more.  The first failure decides the outcome; a failed submit
 * whose number the service may have seen breaks the line (turns.c).
 */
#include "api/operation_in.h"

#include <string.h>

#include "api/call.h"
#include "base/error.h"
#include "base/mem.h"

static void leave(tkx__operation *op);

/* Every event is wrapped in enter and leave, so that what follows is decided once, at the
   end of the outermost: a step may reach another part of the same operation, through the
   byte budget for instance. */
static void enter(tkx__operation *op)
{
    op->depth++;
}

static bool is_on_its_way(const part *p)
{
    return p->state == PART_BYTES || p->state == PART_RECORDING ||
           p->state == PART_ENCODING || p->state == PART_SENDING;
}

static size_t count(const tkx__operation *op, part_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < op->n_parts; i++)
        n += op->parts[i].state == state;
    return n;
}

static size_t count_on_way(const tkx__operation *op)
{
    size_t n = 0;

    for (size_t i = 0; i < op->n_parts; i++)
        n += is_on_its_way(&op->parts[i]);
    return n;
}

/* --- ends ------------------------------------------------------------------------ */

/* The body is not needed any more; its bytes of the budget go back. */
static void release_body(part *p)
{
    int64_t cost = p->cost;

    if (p->encoded.release)
        p->encoded.release(p->encoded.ctx);
    memset(&p->encoded, 0, sizeof p->encoded);
    p->cost = 0;
    if (cost)
        tkx__budget_give(&p->op->site->uploads, cost);
}

static void free_operation(tkx__operation *op)
{
    for (size_t i = 0; i < op->n_parts; i++) {
        part *p = &op->parts[i];
        tkx__call_cancel(p->call);
        tkx__poll_cancel(p->poll);
        tkx__budget_leave(&op->site->uploads, &p->wait);
        release_body(p);
        tkx__span_end(&p->span, NULL, false);
        if (op->results && op->results[i])
            op->spec.free_result(op->results[i]);
        tkx_error_free(p->error);
        tkx_error_free(p->failure);
    }
    tkx__span_end(&op->span, op->error, false);
    tkx_error_free(op->error);
    tkx__free(op->results);
    tkx__free(op);
}

static void settle(tkx__operation *op)
{
    if (op->error)
        tkx__operation_report(op);
    tkx__operation_fn *fn = op->fn;
    void *arg = op->arg;
    tkx_error *error = op->error;
    void **results = error ? NULL : op->results;
    size_t n = op->n_parts;

    tkx__span_end(&op->span, error, !error);
    op->error = NULL;
    if (!error)
        op->results = NULL;
    tkx__op_unregister(op->site, &op->base);
    if (op->turns)
        tkx__turns_leave(op->turns, &op->turn);
    tkx__operation_tell_delivered(op, error);
    free_operation(op);
    fn(arg, results, n, error);
    tkx__free(results);
}

/* Keep the first failure; *error is taken. */
static void note_failure(tkx__operation *op, tkx_error **error)
{
    if (op->error)
        tkx_error_free(*error);
    else
        op->error = *error;
    *error = NULL;
}

static void end_part(part *p, tkx_error **error)
{
    p->state = PART_OVER;
    release_body(p);
    tkx__span_end(&p->span, *error, false);
    tkx__part_note_failure(p, *error);
    note_failure(p->op, error);
}

static void detached_failure(tkx__operation *op)
{
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CANCELLED,
              "%s was cancelled; the service has it and carries it out", op->spec.what);
    note_failure(op, &error);
}

/* The turn passes on; from here on only results are waited for. */
static void pass_turn(tkx__operation *op)
{
    if (op->has_submitted)
        return;
    op->has_submitted = true;
    if (op->n_parts > 1)
        tkx__span_enter(op->span, TKX__PHASE_WAIT);
    if (op->spec.on_submitted)
        op->spec.on_submitted(op->arg);
    if (op->turns && op->has_turn)
        tkx__turns_pass(op->turns, op->first, op->n_parts, op->n_unused);
}

/* --- a part's result ------------------------------------------------------------- */

static void on_polled(void *arg, void *result, tkx_error *error)
{
    part *p = arg;
    tkx__operation *op = p->op;

    enter(op);
    p->poll = NULL;
    tkx__span_end(&p->span, error, !error);
    if (error) {
        if (tkx_error_status(error) == TKX_ERR_REQUEST_FAILED)
            tkx__part_tell_end(p, TKX__PART_FAILED, NULL, error);
        p->state = PART_OVER;
        tkx__part_note_failure(p, error);
        note_failure(op, &error);
    } else {
        tkx__part_tell_end(p, TKX__PART_APPLIED, result, NULL);
        p->state = PART_HAVE;
        op->results[p - op->parts] = result;
    }
    leave(op);
}

static void on_poll_event(void *arg, const tkx__poll_event *event)
{
    part *p = arg;

    if (p->op->spec.on_event)
        p->op->spec.on_event(p->op->arg, event);
}

static void follow(part *p, const char *request_id)
{
    tkx__operation *op = p->op;
    tkx_error *error = NULL;
    const tkx__poll_spec spec = {
        .what = op->spec.what,
        .request_id = request_id,
        .request_type = op->spec.request_type,
        .sdk_method = op->spec.sdk_method,
        .wants_protobuf = op->spec.has_protobuf,
        .seq_id = p->seq_id,
        .roundtrip_us = (tkx__site_now(op->site) - p->sent_ms) * 1000,
        .decode = op->spec.decode,
        .decode_arg = op->spec.decode_arg,
        .free_result = op->spec.free_result,
        .on_event = on_poll_event,
        .expected_reply_bytes = op->spec.has_protobuf ? 65536 : 4096,
        .span = tkx__part_span(p),
    };

    p->state = PART_POLLING;
    p->has_promise = true;
    tkx__span_promise(spec.span, request_id);
    tkx__part_tell_promise(p, request_id);
    release_body(p);
    if (op->is_detached) {
        p->state = PART_OVER;
    } else if (tkx__poll_start(op->site, &spec, on_polled, p, &p->poll, &error) !=
               TKX_OK) {
        p->state = PART_OVER;
        note_failure(op, &error);
    }
}

/* --- a part's submit ------------------------------------------------------------- */

static void encode_part(part *p);

/* A failed submit: either its number (and all behind it) is free, or there is a hole. */
static void submit_failed(part *p, tkx_error *error)
{
    tkx__operation *op = p->op;

    if (op->turns && tkx_error_status(error) != TKX_ERR_CLOSED &&
        !tkx__part_frees_numbers(p, error))
        tkx__turns_break(op->turns, p->seq_id, error);
    end_part(p, &error);
}

static void on_part_recorded(void *arg, int64_t call, tkx_error *error)
{
    part *p = arg;
    tkx__operation *op = p->op;

    (void)call;
    enter(op);
    if (op->is_aborted) {
        p->state = PART_OVER;
        tkx_error_free(error);
    } else if (error) {
        submit_failed(p, error);
    } else {
        encode_part(p);
    }
    leave(op);
}

/* What goes out instead of the recorded body is recorded first. */
static void record_part(part *p)
{
    tkx_error *error = NULL;

    p->state = PART_RECORDING;
    tkx__span_enter(tkx__part_span(p), TKX__PHASE_RECORD);
    if (!tkx__part_record(p, on_part_recorded, &error))
        submit_failed(p, error);
}

/* The very first protobuf body was refused: perhaps this server reads JSON only. */
static bool falls_back_to_json(part *p, const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    if (p->encoding != TKX__ENCODING_PROTOBUF || p->op->site->protobuf_works ||
        (http != 415 && http != 422 && http != 400))
        return false;
    release_body(p);
    p->encoding = TKX__ENCODING_JSON;
    if (p->op->call)
        record_part(p);
    else
        encode_part(p);
    return true;
}

static void on_submitted(void *arg, tkx__outcome *outcome)
{
    part *p = arg;
    tkx__operation *op = p->op;
    tkx__site *site = op->site;
    tkx_error *error = outcome->error;
    char *request_id = NULL;

    enter(op);
    p->call = NULL;
    if (error && falls_back_to_json(p, error)) {
        tkx_error_free(error);
        leave(op);
        return;
    }
    if (!error) {
        request_id = tkx__part_read_promise(outcome);
        if (!request_id)
            tkx__part_no_promise(p, outcome, &error);
    }
    if (error) {
        submit_failed(p, error);
    } else {
        if (p->encoding == TKX__ENCODING_PROTOBUF)
            site->protobuf_works = true;
        else if (p->op->spec.has_protobuf && p->is_first_protobuf &&
                 !site->protobuf_works)
            site->no_protobuf = true; /* the fall-back was right */
        follow(p, request_id);
    }
    tkx__free(request_id);
    leave(op);
}

static void send_part(part *p)
{
    tkx__operation *op = p->op;
    tkx_error *error = NULL;
    bool is_save = op->spec.is_save;
    const tkx__call_spec spec = {
        .what = op->spec.what,
        .route = p->encoded.route,
        .lane = op->spec.lane,
        .body = &p->encoded.body,
        .content_type = p->encoded.content_type,
        .content_encoding = p->encoded.content_encoding,
        .sdk_method = op->spec.sdk_method,
        .seq_id = p->seq_id,
        .max_retries = is_save ? 0 : TKX__INNER_RETRIES,
        .is_outer = !op->spec.has_one_layer,
        .final_409 = is_save,
        .on_retry = tkx__part_on_retry,
        .outwaits_breaker = !tkx__part_is_alone(p), /* else the line would break */
        .span = tkx__part_span(p),
    };

    p->state = PART_SENDING;
    p->was_sent = true;
    tkx__span_enter(spec.span, TKX__PHASE_SUBMIT);
    p->sent_ms = tkx__site_now(op->site);
    if (op->spec.on_sending)
        op->spec.on_sending(op->arg, p->encoded.body.size_bytes);
    if (tkx__call_start(op->site, &spec, on_submitted, p, &p->call, &error) != TKX_OK)
        submit_failed(p, error);
}

/* Any thread. */
static void encode_work(void *arg)
{
    part *p = arg;

    p->op->spec.encode(p->op->arg, (size_t)(p - p->op->parts), p->seq_id, p->encoding,
                       &p->encoded, &p->error);
}

static void encode_done(void *arg)
{
    part *p = arg;
    tkx__operation *op = p->op;
    tkx_error *error = p->error;

    enter(op);
    p->error = NULL;
    if (op->is_aborted) {
        p->state = PART_OVER;
        tkx_error_free(error);
        release_body(p);
    } else if (error) {
        submit_failed(p, error);
    } else {
        send_part(p);
    }
    leave(op);
}

static void encode_part(part *p)
{
    const tkx__io *io = &p->op->site->io;

    p->state = PART_ENCODING;
    tkx__span_enter(tkx__part_span(p), TKX__PHASE_ENCODE);
    if (p->op->spec.encodes_on_worker &&
        io->ops->work(io->ctx, encode_work, encode_done, p))
        return;
    encode_work(p);
    encode_done(p);
}

static void on_bytes(void *arg)
{
    part *p = arg;
    tkx__operation *op = p->op;

    enter(op);
    p->cost = p->wait.cost;
    encode_part(p);
    leave(op);
}

static void submit_part(tkx__operation *op, size_t i)
{
    part *p = &op->parts[i];
    int64_t cost = op->spec.part_bytes ? op->spec.part_bytes(op->arg, i) : 0;

    p->seq_id = op->turns ? tkx__turns_seq(op->turns, op->first + i) : -1;
    p->encoding = op->call ? op->encoding : tkx__operation_encoding(op);
    p->is_first_protobuf = p->encoding == TKX__ENCODING_PROTOBUF;
    p->state = PART_BYTES;
    tkx__part_begin_span(p);
    tkx__span_enter(tkx__part_span(p), TKX__PHASE_BYTES);
    if (cost > 0 && !tkx__budget_take(&op->site->uploads, &p->wait, cost, on_bytes, p))
        return;
    p->cost = cost;
    encode_part(p);
}

/* --- the whole ------------------------------------------------------------------- */

/* Submit whatever may go now. */
static void submit_more(tkx__operation *op)
{
    size_t n = op->n_parts;

    if (op->spec.is_parallel && n > 1) {
        for (size_t i = 1; i < n && !op->error; i++)
            if (op->parts[i].state == PART_IDLE)
                submit_part(op, i);
        if (!op->error && count_on_way(op) == 0 && op->parts[0].state == PART_IDLE)
            submit_part(op, 0);
        return;
    }
    for (size_t i = 0; i < n && !op->error; i++) {
        if (op->parts[i].state == PART_IDLE)
            submit_part(op, i);
        if (is_on_its_way(&op->parts[i]))
            return;
    }
}

/* Look at all parts and do what follows; the only place that ends the operation. */
static void decide(tkx__operation *op)
{
    if (op->is_recording)
        return;
    if (!op->error && !op->has_submitted) {
        op->depth++;
        submit_more(op);
        op->depth--;
    }
    if (count_on_way(op) > 0)
        return;
    if (op->error || count(op, PART_IDLE) == 0)
        pass_turn(op);
    if (op->is_detached && !op->error)
        detached_failure(op);
    if (op->error || count(op, PART_HAVE) == op->n_parts)
        settle(op);
}

static void leave(tkx__operation *op)
{
    if (--op->depth == 0)
        decide(op);
}

static void on_recorded(void *arg, int64_t call, tkx_error *error)
{
    tkx__operation *op = arg;

    enter(op);
    op->is_recording = false;
    op->call = error ? 0 : call;
    if (error) { /* nothing was sent: all its numbers are free */
        op->n_unused = op->n_parts;
        note_failure(op, &error);
    }
    leave(op);
}

/* Its turn has come. */
static void record(tkx__operation *op)
{
    tkx_error *error = NULL;

    if (!op->spec.recorder)
        return;
    op->is_recording = true;
    tkx__span_enter(op->span, TKX__PHASE_RECORD);
    if (!tkx__operation_record(op, on_recorded, &error))
        on_recorded(op, 0, error);
}

static void on_turn(void *arg)
{
    tkx__operation *op = arg;
    tkx_error *error = NULL;

    enter(op);
    if (tkx__turns_check(op->turns, &error) != TKX_OK)
        note_failure(op, &error);
    else
        op->has_turn = true;
    if (op->has_turn)
        record(op);
    leave(op);
}

/* The site closes: nothing more is sent, and the end waits only for workers. */
static void abort_operation(tkx__op *base)
{
    tkx__operation *op = (tkx__operation *)base;
    tkx_error *error = NULL;

    enter(op);
    op->is_aborted = true;
    for (size_t i = 0; i < op->n_parts; i++) {
        part *p = &op->parts[i];
        tkx__call_cancel(p->call);
        tkx__poll_cancel(p->poll);
        p->call = NULL;
        p->poll = NULL;
        tkx__budget_leave(&op->site->uploads, &p->wait);
        if (p->state != PART_ENCODING && p->state != PART_RECORDING)
            p->state = PART_OVER;
    }
    tkx__fail(&error, TKX_ERR_CLOSED, "%s: the client was closed before its result came",
              op->spec.what);
    note_failure(op, &error);
    leave(op);
}

void tkx__operation_start(tkx__operation *op, tkx__turns *turns, uint64_t first)
{
    op->turns = turns;
    op->first = first;
    tkx__operation_begin_span(op);
    tkx__op_register(op->site, &op->base, abort_operation);
    if (op->site->is_closed) {
        tkx__op_unregister(op->site, &op->base);
        abort_operation(&op->base);
    } else if (!turns) {
        enter(op);
        record(op);
        leave(op);
    } else if (tkx__turns_take(turns, &op->turn, first, on_turn, op)) {
        on_turn(op);
    }
}

void tkx__operation_detach(tkx__operation *op)
{
    op->is_detached = true;
    if (!op->has_submitted)
        return; /* it ends by itself when its submits have ended */
    enter(op);
    for (size_t i = 0; i < op->n_parts; i++) {
        tkx__poll_cancel(op->parts[i].poll);
        op->parts[i].poll = NULL;
        if (op->parts[i].state == PART_POLLING)
            op->parts[i].state = PART_OVER;
    }
    leave(op);
}
