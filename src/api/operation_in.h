/* SPDX-License-Identifier: Apache-2.0 */
/* api/operation_in.h - the inside of an operation, for operation*.c. */
#ifndef TKX_API_OPERATION_IN_H
#define TKX_API_OPERATION_IN_H

#include "api/call.h"
#include "api/operation.h"

typedef enum part_state {
    PART_IDLE = 0,
    PART_BYTES,
    PART_RECORDING, /* anew, in another encoding */
    PART_ENCODING,
    PART_SENDING,
    PART_POLLING,
    PART_HAVE, /* its result */
    PART_OVER
} part_state;

typedef struct part {
    tkx__operation *op;
    part_state state;
    tkx__encoding encoding;
    tkx__budget_wait wait;
    int64_t cost;
    int64_t seq_id;
    tkx__encoded encoded;
    tkx__call *call;
    tkx__poll *poll;
    tkx__span *span; /* its own; the only part of an operation has that of the whole */
    int64_t sent_ms;
    bool was_sent, has_promise;
    tkx_error *failure;     /* its own, for the report; NULL: none, or nobody asks */
    bool is_first_protobuf; /* the server had not accepted one before */
    tkx_error *error;       /* of the worker */
} part;

struct tkx__operation {
    tkx__op base; /* in the site's list */
    tkx__site *site;
    tkx__operation_spec spec;
    tkx__operation_fn *fn;
    void *arg;
    tkx__span *span;
    tkx__turns *turns;
    uint64_t first;
    tkx__turn_wait turn;
    bool has_turn;
    bool has_submitted; /* the turn has passed on */
    bool is_detached;
    bool is_aborted;
    bool is_recording;      /* nothing goes out before that has ended */
    int64_t call;           /* the recorder's name for it; 0: none */
    tkx__encoding encoding; /* as recorded */
    unsigned depth;   /* steps of this operation under way; the outermost one decides */
    tkx_error *error; /* the first failure */
    size_t n_unused;  /* parts at the end whose numbers are free */
    void **results;
    size_t n_parts;
    part parts[];
};

static inline tkx__span *tkx__part_span(const part *p)
{
    return p->span ? p->span : p->op->span;
}

void tkx__operation_begin_span(tkx__operation *op);
/* Chunks have a span each, since they are under way side by side; a single part has
   none. */
void tkx__part_begin_span(part *p);

/* As what its parts go out now. */
tkx__encoding tkx__operation_encoding(const tkx__operation *op);

/* Nothing of the other parts has begun. */
bool tkx__part_is_alone(const part *p);
/* After a submit that failed: true when its number and those of the parts behind it are
   free; then n_unused is set. */
bool tkx__part_frees_numbers(part *p, const tkx_error *error);

/* The id in the answer to a submit; NULL: it names none. */
char *tkx__part_read_promise(const tkx__outcome *outcome);
/* The error of that, with its facts: a number that was sent is not free. */
void tkx__part_no_promise(const part *p, const tkx__outcome *outcome, tkx_error **err);
/* For the part's call: it waits, or sends once more. */
void tkx__part_on_retry(void *part, int http_status, bool is_sending);

/* Write all parts down, when their numbers are known; fn has the operation as its arg.
   False: fn will not run, err says why. */
bool tkx__operation_record(tkx__operation *op, tkx__recorded_fn *fn, tkx_error **err);
/* One part anew: its encoding has changed.  fn has the part as its arg. */
bool tkx__part_record(part *p, tkx__recorded_fn *fn, tkx_error **err);

/* A part has failed: kept when the parts are reported on. */
void tkx__part_note_failure(part *p, const tkx_error *error);
/* Say in the operation's error what became of each part. */
void tkx__operation_report(tkx__operation *op);

/* Nothing, unless the operation is recorded. */
void tkx__part_tell_promise(const part *p, const char *request_id);
void tkx__part_tell_end(const part *p, tkx__part_end end, const void *result,
                        const tkx_error *error);
void tkx__operation_tell_delivered(const tkx__operation *op, const tkx_error *error);

#endif
