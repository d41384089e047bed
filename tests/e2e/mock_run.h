/* SPDX-License-Identifier: Apache-2.0 */
/* mock_run.h - a session with one small model, and steps of it, over plain HTTP. */
#ifndef TESTS_E2E_MOCK_RUN_H
#define TESTS_E2E_MOCK_RUN_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "support/mock_process.h"

typedef struct mock_run {
    mock_process server;
    char session[128];
    char model[256];
    int seq; /* the next number */
} mock_run;

static inline void run_open(mock_run *r, const char *const *flags)
{
    mock_answer a, b;
    mock_process_start(&r->server, flags);
    a = mock_post(
        &r->server, "/api/v1/create_session",
        "{\"tags\":[],\"user_metadata\":{\"who\":\"me\"},\"sdk_version\":\"0.38.0\"}");
    ck_assert_int_eq(a.status, 200);
    mock_take_text(a.body, "session_id", r->session, sizeof r->session);
    mock_answer_free(&a);
    a = mock_post(
        &r->server, "/api/v1/create_model",
        "{\"session_id\":\"%s\",\"model_seq_id\":0,\"base_model\":\"tkx/bytes\","
        "\"lora_config\":{\"rank\":4,\"seed\":7}}",
        r->session);
    ck_assert_msg(a.status == 200, "%s", a.body);
    b = mock_wait(&r->server, a.body);
    mock_take_text(b.body, "model_id", r->model, sizeof r->model);
    mock_answer_free(&a);
    mock_answer_free(&b);
    r->seq = 1;
}

#define RUN_DATUM                                                                        \
    "{\"model_input\":{\"chunks\":[{\"type\":\"encoded_text\",\"tokens\":[104,105,33]}]" \
    "},"                                                                                 \
    "\"loss_fn_inputs\":{\"target_tokens\":{\"data\":[105,33,256],\"dtype\":\"int64\"}," \
    "\"weights\":{\"data\":[1,1,0.5],\"dtype\":\"float32\"}}}"

static inline mock_answer run_backward(mock_run *r, int seq)
{
    return mock_post(
        &r->server, "/api/v1/forward_backward",
        "{\"forward_backward_input\":{\"data\":[" RUN_DATUM
        "],\"loss_fn\":\"cross_entropy\"},\"model_id\":\"%s\",\"seq_id\":%d}",
        r->model, seq);
}

static inline mock_answer run_optim(mock_run *r, int seq)
{
    return mock_post(&r->server, "/api/v1/optim_step",
                     "{\"model_id\":\"%s\",\"seq_id\":%d,\"adam_params\":"
                     "{\"learning_rate\":0.005}}",
                     r->model, seq);
}

/* forward_backward and optim_step without waiting in between; gives the loss. */
static inline double run_step(mock_run *r)
{
    mock_answer a = run_backward(r, r->seq), b = run_optim(r, r->seq + 1);
    mock_answer x = mock_wait(&r->server, a.body), y = mock_wait(&r->server, b.body);
    double loss = mock_take_number(x.body, "loss:sum");
    ck_assert_msg(strstr(y.body, "grad_norm") != NULL, "%s", y.body);
    r->seq += 2;
    mock_answer_free(&a);
    mock_answer_free(&b);
    mock_answer_free(&x);
    mock_answer_free(&y);
    return loss;
}

static inline void run_close(mock_run *r)
{
    ck_assert_int_eq(mock_process_stop(&r->server), 0);
    mock_process_remove(&r->server);
}

#endif
