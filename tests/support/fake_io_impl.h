/* SPDX-License-Identifier: Apache-2.0 */
/* fake_io_impl.h - the inside of the fake io, for fake_io*.c. */
#ifndef TESTS_SUPPORT_FAKE_IO_IMPL_H
#define TESTS_SUPPORT_FAKE_IO_IMPL_H

#include <pthread.h>

#include "support/fake_io.h"

struct tkx__timer {
    fake_io *fake;
    tkx__task_fn *fn;
    void *arg;
    int64_t due_ms; /* -1: not armed */
    uint64_t order; /* of arming, so that equal deadlines keep their order */
    tkx__timer *next;
};

struct tkx__transfer {
    fake_request seen;
    size_t index;
    tkx__reply_fn *fn;
    void *arg;
    bool has_answer; /* queued, not yet told */
    int status;
    tkx_error *error;
    char *head;
    char *body;
    size_t body_size;
};

typedef enum step_kind { STEP_POST, STEP_REPLY, STEP_SERVE, STEP_WORK } step_kind;

typedef struct step {
    step_kind kind;
    tkx__task_fn *fn, *done;
    void *arg;
    size_t request;
    struct step *next;
} step;

struct fake_io {
    tkx__io table;
    pthread_t loop;
    int64_t now_ms, wall_ms;
    double *uniforms;
    size_t n_uniforms, next_uniform;
    tkx__timer *timers;
    uint64_t n_arms;
    tkx__transfer **sent;
    size_t n_sent, capacity;
    pthread_mutex_t lock; /* of the step list, since post() is for any thread */
    step *head, **tail;
    step *held, **held_tail;
    fake_server_fn *server;
    void *server_arg;
    size_t refused_sends;
    bool holds_work, is_running;
};

/* Test memory: never NULL. */
void *fake_must(void *ptr);
char *fake_copy_text(const char *text);

/* fake_io.c: steps and timers. */
void fake_push(fake_io *fake, step s);
tkx__timer *fake_earliest(const fake_io *fake);

/* fake_io_requests.c: requests and their answers. */
tkx__transfer *fake_send(void *ctx, const tkx__request *request, tkx__reply_fn *fn,
                         void *arg);
void fake_cancel(void *ctx, tkx__transfer *transfer);
void fake_tell(fake_io *fake, tkx__transfer *transfer);
void fake_fail_later(fake_io *fake, size_t i, tkx_status status, const char *message);

#endif
