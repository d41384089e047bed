/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation_report.c - which of several requests failed, with which datums, and what
 * became of the others.
 */
#include "api/operation_in.h"
#include "base/error.h"
#include "base/mem.h"

static bool is_reported(const tkx__operation *op)
{
    return op->spec.part_range && op->n_parts > 1;
}

void tkx__part_note_failure(part *p, const tkx_error *error)
{
    if (is_reported(p->op) && error && !p->failure)
        p->failure = tkx__error_copy(error);
}

/* What is known of a part that failed. */
static tkx_chunk_state state_of_failure(const part *p)
{
    int http = tkx_error_http_status(p->failure);

    if (p->has_promise)
        return tkx_error_status(p->failure) == TKX_ERR_REQUEST_FAILED ? TKX_CHUNK_FAILED
                                                                      : TKX_CHUNK_UNKNOWN;
    if (tkx_error_attempts(p->failure) == 0)
        return TKX_CHUNK_NOT_SENT;
    return http >= 400 && http < 500 && tkx_error_attempts(p->failure) == 1
               ? TKX_CHUNK_REFUSED
               : TKX_CHUNK_UNKNOWN;
}

static tkx_chunk_state state_of(const part *p)
{
    if (p->failure)
        return state_of_failure(p);
    if (p->state == PART_HAVE)
        return TKX_CHUNK_DONE;
    if (p->has_promise)
        return TKX_CHUNK_ACCEPTED;
    return p->was_sent ? TKX_CHUNK_UNKNOWN : TKX_CHUNK_NOT_SENT;
}

/* The error says which part it is of. */
static void name_part(tkx__operation *op, const part *p, const tkx_chunk_report *chunk)
{
    tkx_error *cause = op->error;
    tkx_status st = tkx_error_status(cause);

    op->error = NULL;
    tkx__fail_cause(
        &op->error, st, NULL, &cause, "%s: request %zu of %zu (datums %zu to %zu): %s",
        op->spec.what, (size_t)(p - op->parts) + 1, op->n_parts, chunk->first_datum,
        chunk->first_datum + chunk->n_datums - 1, tkx_error_message(p->failure));
}

void tkx__operation_report(tkx__operation *op)
{
    tkx_chunk_report *chunks;
    const part *first = NULL;

    if (!is_reported(op))
        return;
    chunks = tkx__calloc(op->n_parts, sizeof *chunks);
    if (!chunks)
        return;
    for (size_t i = 0; i < op->n_parts; i++) {
        part *p = &op->parts[i];

        op->spec.part_range(op->arg, i, &chunks[i].first_datum, &chunks[i].n_datums);
        chunks[i].seq_id = p->seq_id;
        chunks[i].state = state_of(p);
        chunks[i].error = tkx__error_copy(p->failure);
        if (p->failure && (!first || p->seq_id == tkx_error_seq_id(op->error)))
            first = p; /* the one that the error is of */
    }
    if (first)
        name_part(op, first, &chunks[first - op->parts]);
    tkx__error_set_chunks(op->error, chunks, op->n_parts);
    tkx__free(chunks);
}
