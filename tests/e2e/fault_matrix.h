/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_matrix.h - each operation of the library under each fault of the mock server,
 * judged by the server's journal.
 */
#ifndef TESTS_E2E_FAULT_MATRIX_H
#define TESTS_E2E_FAULT_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include <tkx/rest.h>
#include <tkx/sampling.h>
#include <tkx/training.h>

#include "support/mock_process.h"

/* The matrix runs outside of Check: says where, and ends the worker. */
#define MUST(condition)                                                                  \
    ((condition) ? (void)0 : matrix_die(__FILE__, __LINE__, #condition))
void matrix_die(const char *file, int line, const char *what);

/* What the operations of one worker share. */
typedef struct world {
    mock_process server;
    tkx_context *context;
    tkx_service *service;
    tkx_rest *rest;
    tkx_sampling *sampling;
    tkx_training *training; /* of the cell; NULL: it needs none */
    char state_path[256];   /* a saved state, and weights for sampling */
    char sampler_path[256];
    char run_id[256];
    char directory[64]; /* for downloads */
    int n_names;        /* saves have names of their own */
} world;

typedef struct operation {
    const char *name;
    const char *route;   /* where the fault strikes */
    const char *journal; /* what the server records of it; NULL: nothing */
    enum { NO_TRAINING, STEPPED, FRESH } training; /* a client of its own */
    tkx_future *(*call)(world *w);
} operation;

extern const operation matrix_operations[];
extern const size_t matrix_n_operations;

typedef struct fault {
    const char *name;
    const char *json; /* members of the rule, behind route, nth and phase */
} fault;

extern const fault matrix_faults[];
extern const size_t matrix_n_faults;

/* In milliseconds: the limit of the operation, and what no future takes that has one. */
enum { MATRIX_DEADLINE_MS = 10000, MATRIX_HANG_MS = 300000 };

void world_open(world *w);
void world_close(world *w);
/* A training client with one step behind it (loads: none). */
void world_begin_training(world *w, bool is_fresh);
/* rules: the list's content, "" for none. */
void world_scenario(world *w, const char *rules);
tkx_future *world_optim_step(world *w);

/* How often the journal has that operation; model NULL: of any model. */
int journal_count(world *w, const char *op, const char *model);
/* "" or what is wrong in the whole journal: a number twice, a number missing. */
void journal_check(world *w, char *text, size_t size);

#endif
