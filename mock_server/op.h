/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op.h - operations under way, the lanes that order them, and the queue of samples.
 *
 * An op is a promise that is not kept yet.  Those of one model stand in its lane, sorted
 * by seq_id, and run one at a time; a missing number holds up what stands behind it.
 * Samples stand in one queue.  All of this is guarded by the server's lock, except that
 * the thread which runs an op owns the lane's model meanwhile.
 */
#ifndef MOCK_OP_H
#define MOCK_OP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mock_server/nn/train.h"

typedef struct call call;

typedef enum op_kind {
    OP_CREATE_MODEL = 0,
    OP_FORWARD,
    OP_FORWARD_BACKWARD,
    OP_OPTIM_STEP,
    OP_SAVE_WEIGHTS,
    OP_SAVE_SAMPLER,
    OP_SAVE_EXTERNAL,
    OP_LOAD_WEIGHTS,
    OP_UNLOAD_MODEL,
    OP_CUSTOM_LOSS,
    OP_SAMPLE,
    OP_N_KINDS
} op_kind;

const char *op_kind_name(op_kind kind); /* "forward_backward"; of routes and journal */

typedef struct lane lane;

typedef struct op {
    struct op *hash_next;
    struct op *next; /* in its lane or in the queue of samples */
    char *request_id;
    op_kind kind;
    lane *lane; /* NULL: a sample */
    char *owner;
    char *session_id; /* NULL: none (a sample by model path) */
    char *sampler_id; /* samples: whose they are */
    char *source;     /* samples: file of the weights, or NULL for the bare base */
    char *base_model; /* samples */
    int64_t seq_id;   /* -1: none, runs as soon as the lane is free */
    uint64_t seed;    /* drawn at submit where the request has none */
    char *body;       /* as it came, content encoding undone */
    size_t body_size;
    bool is_proto;
    bool is_running;
    atomic_bool is_cancelled;
    char sha256[65];
    int64_t created_ms;
    call *waiters; /* polls that are held */
} op;

/* Ownership: strings and body are copied; NULL when memory is short. */
typedef struct op_spec {
    const char *request_id;
    op_kind kind;
    const char *owner;
    const char *session_id;
    const char *sampler_id;
    const char *source;
    const char *base_model;
    const char *model_id; /* the lane's */
    int64_t seq_id;
    uint64_t seed;
    const void *body;
    size_t body_size;
    bool is_proto;
    const char *sha256;
} op_spec;

op *op_new(const op_spec *spec);
void op_free(op *o); /* accepts NULL */

struct lane {
    lane *hash_next;
    lane *ready_next;
    char *model_id;
    op *head; /* sorted by seq_id */
    int64_t next_seq;
    bool is_running;
    bool is_ready;     /* stands in the list of ready lanes */
    bool is_any_order; /* servers that do not wait for a missing number */

    /* Owned by the running thread. */
    nn_model *model;  /* NULL: not in memory */
    int64_t file_seq; /* operations up to this one are in its file */
    int64_t busy_ms;  /* computed since the file was written */
    int64_t write_ms; /* what writing it took */
    int64_t used_ms;  /* when it last ran */
    uint64_t size_bytes;
};

lane *lane_new(const char *model_id, int64_t next_seq);
void lane_free(lane *l); /* with its ops and model; accepts NULL */
/* Ownership: the lane's. */
void lane_put(lane *l, op *o);
/* The op that may run now, or NULL; it stays in the lane. */
op *lane_peek(const lane *l);
/* Take out the op that was given by lane_peek(); numbers move on. */
op *lane_take(lane *l);

/* Pending ops by request id. */
enum { OP_TABLE_SIZE = 4096 };
typedef struct op_table {
    op *slots[OP_TABLE_SIZE];
    size_t n;
} op_table;

void op_table_put(op_table *table, op *o);
op *op_table_get(const op_table *table, const char *request_id);
void op_table_remove(op_table *table, op *o);

#endif
