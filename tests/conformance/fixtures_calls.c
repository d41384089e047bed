/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_calls.c - answers to submits and polls, taken by the real client. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fixtures_live.h"
#include "fixtures_result.h"

/* Takes its result and writes it. */
typedef tkx_status take_fn(live *l, tkx_future *future, tkx__json_writer *w,
                           tkx_error **err);

static tkx_status call_optim(live *l, tkx_future **out, tkx_error **err)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;

    return tkx_training_optim_step(l->training, &adam, out, err);
}

static tkx_status take_optim(live *l, tkx_future *future, tkx__json_writer *w,
                             tkx_error **err)
{
    tkx_optim_step_result *v = NULL;
    tkx_status st = tkx_future_take_optim_step(future, &v, err);

    (void)l;

    if (st == TKX_OK) {
        tkx__json_begin_object(w);
        tkx__json_put_key(w, "metrics");
        result_metrics(w, v->metrics, v->n_metrics);
        tkx__json_end_object(w);
    }
    tkx_optim_step_result_free(v);
    return st;
}

static tkx_status call_save(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_training_save_state(l->training, fixture_text(l->f, l->f->args, "name"),
                                   NULL, out, err);
}

static tkx_status take_save(live *l, tkx_future *future, tkx__json_writer *w,
                            tkx_error **err)
{
    tkx_save_weights_result *v = NULL;
    tkx_status st = tkx_future_take_save_weights(future, &v, err);

    (void)l;

    if (st == TKX_OK) {
        tkx__json_begin_object(w);
        tkx__json_member_string(w, "path", v->path);
        tkx__json_end_object(w);
    }
    tkx_save_weights_result_free(v);
    return st;
}

static tkx_status call_sample(live *l, tkx_future **out, tkx_error **err)
{
    tkx_sample_request q;

    if (!fixture_sample(l->f, &q))
        return TKX_ERR_INVALID_ARGUMENT;
    return tkx_sampling_sample(l->sampling, &q, 0, out, err);
}

static tkx_status take_sample(live *l, tkx_future *future, tkx__json_writer *w,
                              tkx_error **err)
{
    tkx_sample_response *v = NULL;
    tkx_status st = tkx_future_take_sample(future, &v, err);

    (void)l;

    if (st == TKX_OK)
        result_sample(w, v);
    tkx_sample_response_free(v);
    return st;
}

static tkx_status call_load(live *l, tkx_future **out, tkx_error **err)
{
    const fixture *f = l->f;

    return tkx_training_load_state(l->training, fixture_text(f, f->args, "path"),
                                   jdom_flag(jdom_get(f->args, "optimizer"), false), NULL,
                                   out, err);
}

static tkx_status call_save_sampler(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_training_save_weights_for_sampler(
        l->training, fixture_text(l->f, l->f->args, "name"), NULL, out, err);
}

static tkx_status call_forward(live *l, tkx_future **out, tkx_error **err)
{
    tkx_forward_options options = TKX_FORWARD_OPTIONS_INIT;
    tkx_forward_backward_request q;

    if (!fixture_training(l->f, &q))
        return TKX_ERR_INVALID_ARGUMENT;
    options.settings = q.loss.settings;
    options.n_settings = q.loss.n_settings;
    return q.is_forward_only
               ? tkx_training_forward(l->training, q.data, q.n_data, q.loss.name,
                                      &options, out, err)
               : tkx_training_forward_backward(l->training, q.data, q.n_data, q.loss.name,
                                               &options, out, err);
}

static bool make_nothing(live *l)
{
    (void)l;
    return true;
}

static tkx_status call_capabilities(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_service_get_capabilities(l->service, out, err);
}

static const live_op queued_ops[] = {
    {"load_state", live_training, call_load, NULL},
    {"save_weights_for_sampler", live_training, call_save_sampler, NULL},
    {"forward", live_training, call_forward, NULL},
    {"forward_backward", live_training, call_forward, NULL},
    {"get_server_capabilities", make_nothing, call_capabilities, NULL},
    {"optim_step", live_training, call_optim, take_optim},
    {"save_state", live_training, call_save, take_save},
    {"sample", live_sampling, call_sample, take_sample},
    {NULL, NULL, NULL, NULL},
};

static const live_op *find_in(const live_op *ops, const char *op)
{
    for (; ops->op; ops++)
        if (strcmp(ops->op, op) == 0)
            return ops;
    return NULL;
}

const live_op *live_find_op(const char *op)
{
    const live_op *found = find_in(queued_ops, op);

    if (!found)
        found = find_in(live_start_ops, op);
    return found ? found : find_in(live_rest_ops, op);
}

/* The statuses that stand for each domain of expect.error. */
static bool is_domain(const char *domain, tkx_status status)
{
    if (strcmp(domain, "failed") == 0)
        return status == TKX_ERR_REQUEST_FAILED;
    if (strcmp(domain, "promise_lost") == 0)
        return status == TKX_ERR_PROMISE_GONE;
    if (strcmp(domain, "connection") == 0)
        return status == TKX_ERR_CONNECTION;
    if (strcmp(domain, "timeout") == 0)
        return status == TKX_ERR_TIMEOUT;
    if (strcmp(domain, "protocol") == 0)
        return status == TKX_ERR_PROTOCOL || status == TKX_ERR_PARSE;
    return strcmp(domain, "http") == 0 &&
           (status == TKX_ERR_HTTP || status == TKX_ERR_AUTH ||
            status == TKX_ERR_BILLING || status == TKX_ERR_PERMISSION);
}

/* The category as the server wrote it: the SDK compares exactly, we without case. */
static const char *category_said(fixture *f, const char *expected)
{
    const jdom *reply = jdom_at(jdom_get(f->root, "replies"), 0);
    const char *file = fixture_text(f, reply, "body_file");
    const char *said = NULL;
    size_t size;
    const char *body = file ? fixture_file(f, file, &size) : NULL;

    if (body)
        said = fixture_text(f, jdom_parse(f->arena, body, size), "category");
    return said ? said : expected;
}

static bool is_category(const char *category, tkx_error_category ours)
{
    if (strcasecmp(category, "user") == 0)
        return ours == TKX_ERROR_CATEGORY_USER;
    if (strcasecmp(category, "server") == 0)
        return ours == TKX_ERROR_CATEGORY_SERVER;
    return ours == TKX_ERROR_CATEGORY_UNKNOWN;
}

static bool message_holds(const tkx_error *error, const char *text)
{
    for (; error; error = tkx_error_cause(error))
        if (strstr(tkx_error_message(error), text))
            return true;
    return false;
}

static fixture_verdict judge_error(fixture *f, const tkx_error *error)
{
    const jdom *wanted = jdom_get(jdom_get(f->root, "expect"), "error");
    const char *domain = fixture_text(f, wanted, "domain");
    const char *category = fixture_text(f, wanted, "category");
    const jdom *texts = jdom_get(wanted, "message_contains");
    tkx_status status = tkx_error_status(error);
    int64_t http = jdom_i64(jdom_get(wanted, "status"), 0);

    if (fixture_is_bad_redirect(http, status))
        return FIXTURE_PASSED;
    if (!domain || !is_domain(domain, status))
        return fixture_differs(f, "%s instead of an error of kind %s: %s",
                               tkx_status_name(status), domain, tkx_error_message(error));
    if (strcmp(domain, "http") == 0 && tkx_error_http_status(error) != http)
        return fixture_differs(f, "status %d, not %lld", tkx_error_http_status(error),
                               (long long)http);
    if (category &&
        !is_category(category_said(f, category), tkx_error_get_category(error)))
        return fixture_differs(f, "category %d, not %s",
                               (int)tkx_error_get_category(error), category);
    for (size_t i = 0; i < jdom_count(texts); i++)
        if (!message_holds(error, jdom_text(jdom_at(texts, i))))
            return fixture_differs(f, "\"%s\" is not in the message: %s",
                                   jdom_text(jdom_at(texts, i)),
                                   tkx_error_message(error));
    return FIXTURE_PASSED;
}

/* How often the route was asked: a client that stops earlier on a final answer is right.
 */
static fixture_verdict judge_requests(live *l, bool is_error)
{
    int64_t seen =
        jdom_i64(jdom_get(jdom_get(l->f->root, "expect"), "requests_seen"), -1);

    if (seen < 0 || (int64_t)l->n_seen == seen || (is_error && (int64_t)l->n_seen < seen))
        return FIXTURE_PASSED;
    return fixture_differs(l->f, "the route was asked %zu times, not %lld", l->n_seen,
                           (long long)seen);
}

static fixture_verdict judge(live *l, tkx_future *future, take_fn *take)
{
    const jdom *expect = jdom_get(l->f->root, "expect");
    const char *outcome = fixture_text(l->f, expect, "outcome");
    bool is_error = outcome && strcmp(outcome, "error") == 0;
    fixture_verdict verdict;
    tkx_error *err = NULL;
    tkx__json_writer w;
    tkx__buf buf;
    tkx_status st;

    if (is_error && tkx_future_error(future)) {
        verdict = judge_error(l->f, tkx_future_error(future));
        return verdict == FIXTURE_PASSED ? judge_requests(l, true) : verdict;
    }
    if (!take)
        return fixture_differs(l->f, "results of %s are not covered", l->f->op);
    tkx__buf_init(&buf, SIZE_MAX);
    tkx__json_writer_init(&w, &buf, 0);
    st = take(l, future, &w, &err);
    if (st == TKX_OK)
        st = tkx__json_written(&w, "result", &err);
    verdict = fixture_judge(l->f, st, &buf, err);
    tkx_error_free(err);
    tkx__buf_clear(&buf);
    return verdict == FIXTURE_PASSED ? judge_requests(l, false) : verdict;
}

/* Where the SDK differs from what is right, any end without a wrong value will do. */
static bool may_do_otherwise(const fixture *f, const tkx_future *future)
{
    return jdom_flag(jdom_get(f->root, "lenient"), false) && tkx_future_error(future);
}

static fixture_verdict run(fixture *f)
{
    const live_op *op = live_find_op(f->op);
    fixture_verdict verdict = FIXTURE_FAILED;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    live l;

    if (!op)
        return FIXTURE_NOT_HERE;
    if (live_begin(&l, f) && op->make(&l)) {
        live_script(&l);
        if (op->call(&l, &future, &err) != TKX_OK)
            fixture_differs(f, "not called: %s", tkx_error_message(err));
        else if (live_wait(&l, future) && !l.n_unknown)
            verdict = may_do_otherwise(f, future) ? FIXTURE_PASSED
                                                  : judge(&l, future, op->take);
    }
    tkx_error_free(err);
    tkx_future_unref(future);
    live_end(&l);
    return verdict;
}

fixture_verdict fixture_run_call(fixture *f)
{
    return live_guard(f, run);
}
