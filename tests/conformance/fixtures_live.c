/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_live.c - a client on the fake io, with the numbers that a case asks for. */
#include "fixtures_live.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/sampler_impl.h"
#include "client/context.h"
#include "client/sampling.h"
#include "client/service.h"
#include "client/training.h"

#define A_DAY_MS (24LL * 3600 * 1000)

const char *live_id(const fixture *f, const char *key)
{
    const char *id = key ? fixture_text(f, f->context, key) : NULL;

    return id ? id : "ID";
}

/* ---- the client ----------------------------------------------------------------- */

static void on_queue(tkx_future *future, tkx_queue_state state, const char *reason,
                     void *user_data)
{
    live *l = user_data;

    (void)future;
    if (!l->is_scripted || l->n_queue == LIVE_MAX_EVENTS)
        return;
    l->queue[l->n_queue].state = state;
    l->queue[l->n_queue++].reason =
        reason ? tkx__arena_strndup(l->f->arena, reason, strlen(reason)) : NULL;
}

/* What the call says about the service itself. */
static tkx_service_options service_options(live *l)
{
    fixture *f = l->f;
    tkx_service_options options = TKX_SERVICE_OPTIONS_INIT;
    const char *request = fixture_text(f, jdom_get(f->root, "request"), "path");
    tkx_string_list tags = fixture_strings(f, jdom_get(f->args, "tags"));
    tkx_pair_list metadata;

    options.on_queue = on_queue;
    options.user_data = l;
    options.is_sessionless = jdom_flag(jdom_get(f->args, "sessionless"), false);
    if (strcmp(f->op, "create_session") != 0 && strcmp(f->op, "open") != 0 &&
        !(request && strstr(request, "/create_session")))
        return options;
    metadata = fixture_pairs(f, jdom_get(f->args, "user_metadata"));
    options.tags = tags.count ? tags.items : NULL;
    options.n_tags = tags.count;
    options.user_metadata = metadata.items;
    options.n_user_metadata = metadata.count;
    options.project_id = fixture_text(f, f->args, "project_id");
    options.display_name = fixture_text(f, f->args, "display_name");
    return options;
}

/* Jitter stays near its maximum, and ids differ from each other all the same. */
static void give_random(fake_io *io)
{
    double values[997];

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = 1 - 1e-8 * (double)(i + 1);
    fake_io_set_uniforms(io, values, sizeof values / sizeof *values);
}

static void set_environment(fixture *f, bool is_set)
{
    const jdom *env = jdom_get(jdom_get(f->root, "call"), "env");

    for (size_t i = 0; i < jdom_count(env); i++)
        if (!is_set)
            unsetenv(env->keys[i]);
        else if (jdom_text(jdom_at(env, i)))
            setenv(env->keys[i], jdom_text(jdom_at(env, i)), 1);
}

bool live_begin(live *l, fixture *f)
{
    const char *path = fixture_text(f, jdom_get(f->root, "call"), "base_path");
    const char *key = fixture_text(f, f->context, "api_key");
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_service_options service;
    char base[500];

    memset(l, 0, sizeof *l);
    l->f = f;
    l->io = fake_io_new();
    give_random(l->io);
    fake_io_serve(l->io, live_serve, l);
    set_environment(f, true);
    snprintf(base, sizeof base, LIVE_HOST "%s", path ? path : "");
    options.base_url = base;
    options.api_key = key ? key : "tml-fixture-key-0001";
    service = service_options(l);
    if (tkx__context_new_on(&options, fake_io_table(l->io), &l->context, NULL) ==
            TKX_OK &&
        tkx_service_new(l->context, &service, &l->service, NULL) == TKX_OK)
        return true;
    fixture_differs(f, "cannot make a client");
    return false;
}

void live_end(live *l)
{
    tkx_training_free(l->training);
    tkx_sampling_free(l->sampling);
    tkx_rest_free(l->rest);
    tkx_service_free(l->service);
    fake_io_turn(l->io);
    if (l->context)
        tkx_context_close(l->context, 0, 0, NULL);
    tkx_context_free(l->context);
    fake_io_drop(l->io);
    set_environment(l->f, false);
}

/* ---- time ----------------------------------------------------------------------- */

bool live_step(live *l)
{
    int64_t next = fake_io_next_timer(l->io);

    if (next < 0 || fake_io_now(l->io) > A_DAY_MS)
        return false;
    fake_io_advance(l->io, next);
    return true;
}

bool live_wait(live *l, tkx_future *future)
{
    fake_io_turn(l->io);
    while (!tkx_future_is_done(future))
        if (!live_step(l)) {
            if (!l->n_unknown)
                fixture_differs(l->f, "still pending after a day");
            return false;
        }
    return true;
}

void live_script(live *l)
{
    if (l->is_scripted)
        return;
    l->is_scripted = true;
    l->n_polls = l->n_promises = 0;
    l->first = fake_io_n_sent(l->io);
}

static const char *route_of_case(const fixture *f)
{
    const char *path = fixture_text(f, jdom_get(f->root, "route"), "path");

    return path ? path : fixture_text(f, jdom_get(f->root, "request"), "path");
}

bool live_is_about_start(const fixture *f)
{
    static const char *const routes[] = {"/client/config", "/client/dynamic_config",
                                         "/auth/token", "/create_session"};
    const char *path = route_of_case(f);

    for (size_t i = 0; path && i < sizeof routes / sizeof *routes; i++)
        if (strlen(path) >= strlen(routes[i]) &&
            strcmp(path + strlen(path) - strlen(routes[i]), routes[i]) == 0)
            return true;
    return false;
}

/* ---- handles -------------------------------------------------------------------- */

bool live_nothing(live *l)
{
    (void)l;
    return true;
}

bool live_rest(live *l)
{
    if (tkx_rest_new(l->context, NULL, &l->rest, NULL) == TKX_OK)
        return true;
    fixture_differs(l->f, "no REST client");
    return false;
}

/* Counters of the session are drawn from until they stand where the case wants them. */
static void draw(tkx__session *session, int64_t (*next)(tkx__session *),
                 const jdom *wanted)
{
    for (int64_t n = jdom_i64(wanted, 0); n > 0; n--)
        next(session);
}

bool live_started(live *l)
{
    tkx_future *future = NULL;
    bool ok = tkx_service_start(l->service, &future, NULL) == TKX_OK &&
              live_wait(l, future) && !tkx_future_error(future);
    const jdom *context = l->f->context;

    tkx_future_unref(future);
    if (!ok)
        return fixture_differs(l->f, "no session"), false;
    draw(l->service->loop.session, tkx__session_next_model,
         jdom_get(context, "model_seq_id"));
    draw(l->service->loop.session, tkx__session_next_sampler,
         jdom_get(context, "sampling_session_seq_id"));
    draw(l->service->loop.session, tkx__session_next_custom_loss,
         jdom_get(context, "custom_loss_seq_id"));
    return true;
}

bool live_training(live *l)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    int64_t seq_id = jdom_i64(jdom_get(l->f->context, "seq_id"), 1);
    const jdom *sampler = jdom_get(l->f->context, "sampling_session_seq_id");
    tkx_future *future = NULL;
    bool ok;

    options.base_model = "acme/tiny";
    ok = tkx_service_create_lora(l->service, &options, &future, NULL) == TKX_OK &&
         live_wait(l, future) &&
         tkx_future_take_training(future, &l->training, NULL) == TKX_OK;
    tkx_future_unref(future);
    if (!ok)
        return fixture_differs(l->f, "no training client"), false;
    l->training->turns.shared.next_id = l->training->turns.loop.turn =
        seq_id > 0 ? (uint64_t)seq_id - 1 : 0;
    draw(l->service->loop.session, tkx__session_next_sampler, sampler);
    return true;
}

bool live_sampling(live *l)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_future *future = NULL;
    bool ok;

    options.base_model = "acme/tiny";
    ok = tkx_service_create_sampling(l->service, &options, &future, NULL) == TKX_OK &&
         live_wait(l, future) &&
         tkx_future_take_sampling(future, &l->sampling, NULL) == TKX_OK;
    tkx_future_unref(future);
    if (!ok)
        return fixture_differs(l->f, "no sampling client"), false;
    l->sampling->sampler->next_seq = jdom_i64(jdom_get(l->f->context, "seq_id"), 0);
    return true;
}

tkx_status live_take_nothing(live *l, tkx_future *future, tkx__json_writer *w,
                             tkx_error **err)
{
    (void)l, (void)err;
    tkx__json_put_null(w);
    return tkx_error_status(tkx_future_error(future));
}

static const live_op *find_in(const live_op *ops, const char *op)
{
    for (; ops->op; ops++)
        if (strcmp(ops->op, op) == 0)
            return ops;
    return NULL;
}

const live_op *live_find_op(const char *op)
{
    const live_op *const tables[] = {live_start_ops, live_training_ops, live_sampling_ops,
                                     live_rest_ops};
    const live_op *found = NULL;

    for (size_t i = 0; !found && i < sizeof tables / sizeof *tables; i++)
        found = find_in(tables[i], op);
    return found;
}

/* ---- guard ---------------------------------------------------------------------- */

static struct {
    fixture *f;
    fixture_verdict (*fn)(fixture *f);
    fixture_verdict verdict;
} guarded;

START_TEST(run_guarded)
{
    guarded.verdict = guarded.fn(guarded.f);
}
END_TEST

fixture_verdict live_guard(fixture *f, fixture_verdict (*fn)(fixture *f))
{
    Suite *suite = suite_create("fixtures");
    TCase *one = tcase_create("case");
    SRunner *runner = srunner_create(suite);

    guarded.f = f;
    guarded.fn = fn;
    guarded.verdict = FIXTURE_FAILED;
    tcase_add_test(one, run_guarded);
    suite_add_tcase(suite, one);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    if (srunner_ntests_failed(runner)) {
        TestResult **failures = srunner_failures(runner);

        guarded.verdict = fixture_differs(f, "%s", tr_msg(failures[0]));
        free(failures);
    }
    srunner_free(runner);
    return guarded.verdict;
}
