/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resume.c - from a journal to a client that goes on with its run.
 *
 *     LOOK (the journal) -> session of before, or a new one
 *        | same session, model known -> get_info -> ATTACH
 *        | same session, model asked for: ask again under its number -> ATTACH
 *        | else, or model gone, or RESTART -> PLAN -> make a new model -> ATTACH
 *     ATTACH -- all settled --> REPORT -> done
 *        \-- the model cannot be what the journal says --> PLAN
 *
 * Every step is in the journal before it is taken, so a resume that dies is resumed by
 * the next one.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/resume_report.h"
#include "client/training_create.h"

#define MAX_PLANS 4
#define MAX_WAITS 100 /* for a client that was freed to let go of the journal */
#define WAIT_MS 20
#define MAX_ARENA ((size_t)256 << 20)
#define MAX_BODY ((size_t)16 << 20)

struct resume;

typedef struct journal_wait {
    tkx__op base; /* in the site's list */
    struct resume *r;
    tkx__timer *timer;
    unsigned n;
} journal_wait;

typedef struct resume {
    tkx__creation c; /* first: the task */
    journal_wait wait;
    tkx_journal *journal;
    tkx_resume_mode mode;
    tkx__arena arena;            /* what is read of the journal */
    tkx__store_model old, model; /* as found; as it is now */
    tkx__store_plan plan;
    tkx__store_totals before, after;
    tkx__store_part *rows;
    size_t n_rows;
    int64_t plan_before; /* as for tkx__store_plan_model() */
    int64_t next_seq;
    unsigned n_plans;
    size_t n_resent;
    bool is_rewind, has_new_model;
    tkx_training *training;
    tkx__attach *attach;
    tkx__report *report;
} resume;

/* What the future holds. */
typedef struct outcome {
    tkx_training *training;
    tkx__report *report;
} outcome;

static void free_outcome(void *arg)
{
    outcome *o = arg;

    if (!o)
        return;
    tkx_training_free(o->training);
    tkx_resume_report_free(o->report ? &o->report->shown : NULL);
    tkx__free(o);
}

static const tkx__result_type resumed_type = {"resumed training client", free_outcome};

/* --- looking at the journal ------------------------------------------------------ */

typedef struct look {
    tkx__entry entry;
    resume *r;
    tkx_status (*read)(resume *r, tkx__store *store, tkx_error **err); /* on a worker */
    void (*then)(resume *r);
} look;

static void fail(resume *r, tkx_error *error)
{
    tkx__task_fail(&r->c.task, error);
}

static tkx_status read_look(tkx__entry *entry, tkx__store *store, tkx_error **err)
{
    look *l = (look *)entry;

    return l->read(l->r, store, err);
}

static void look_done(tkx__entry *entry, tkx_error *error)
{
    look *l = (look *)entry;
    resume *r = l->r;
    void (*then)(resume *) = l->then;

    tkx__free(l);
    if (error)
        fail(r, error);
    else
        then(r);
}

static void start_look(resume *r,
                       tkx_status (*read)(resume *r, tkx__store *store, tkx_error **err),
                       void (*then)(resume *r))
{
    look *l = tkx__calloc(1, sizeof *l);
    tkx_error *error = NULL;

    if (!l) {
        tkx__fail_memory(&error);
        fail(r, error);
        return;
    }
    *l = (look){.entry = {.write = read_look, .done = look_done},
                .r = r,
                .read = read,
                .then = then};
    if (tkx__ledger_put(r->c.ledger, &l->entry, &error))
        return;
    tkx__free(l);
    fail(r, error);
}

/* --- the report ------------------------------------------------------------------ */

static tkx_status read_totals(resume *r, tkx__store *store, tkx_error **err)
{
    tkx_status st = tkx__store_totals_get(store, &r->arena, &r->after, err);

    if (st == TKX_OK)
        st = tkx__store_next_seq(store, &r->next_seq, err);
    if (st == TKX_OK && r->next_seq < 1)
        st = tkx__fail(err, TKX_ERR_PARSE, "journal %s: seq_id %lld",
                       tkx__store_path(store), (long long)r->next_seq);
    return st;
}

static tkx_status fill_report(resume *r, tkx_error **err)
{
    const tkx__store_totals *t = &r->after;
    tkx_resume_report *shown = &r->report->shown;
    const char *session = tkx__session_id(r->c.task.service->loop.session);

    shown->has_new_session =
        !r->old.session_id || strcmp(session, r->old.session_id) != 0;
    shown->has_new_model = r->has_new_model;
    shown->n_confirmed = (size_t)(r->before.n_calls - r->before.n_open);
    shown->n_settled = (size_t)(r->is_rewind ? 0 : r->before.n_open);
    shown->n_resent = r->n_resent;
    shown->n_replayed = r->has_new_model ? (size_t)r->plan.n_replayed : 0;
    shown->n_calls = (size_t)t->n_calls;
    shown->n_forward_backward = (size_t)t->n_passes;
    shown->n_optim_steps = (size_t)t->n_steps;
    shown->n_pending_passes = (size_t)t->n_pending_passes;
    shown->n_failed = (size_t)t->n_failed;
    if (!tkx__report_text(r->report, &shown->session_id, session) ||
        !tkx__report_text(r->report, &shown->model_id, r->training->model_id) ||
        !tkx__report_text(r->report, &shown->old_model_id,
                          r->has_new_model ? r->old.model_id : NULL) ||
        !tkx__report_text(r->report, &shown->from_path,
                          r->has_new_model ? r->plan.from_path : NULL) ||
        !tkx__report_text(r->report, &shown->state_path, t->state_path) ||
        !tkx__report_text(r->report, &shown->sampler_path, t->sampler_path))
        return tkx__fail_memory(err);
    return tkx__report_calls(r->report, tkx__attach_parts(r->attach), r->n_rows, err);
}

static void tell_delivered(const resume *r)
{
    tkx__recorder *recorder = &r->c.ledger->recorder;

    for (size_t i = 0; i < r->n_rows; i++)
        if (!r->rows[i].is_delivered)
            recorder->ops->delivered(recorder, r->rows[i].call);
}

static void finish(resume *r)
{
    outcome *o = tkx__calloc(1, sizeof *o);
    tkx_error *error = NULL;

    r->report = tkx__report_new();
    tkx_status st = o && r->report ? fill_report(r, &error) : tkx__fail_memory(&error);
    if (st != TKX_OK) {
        tkx__free(o);
        fail(r, error);
        return;
    }
    tkx__turns_go_on(&r->training->turns, r->next_seq);
    tell_delivered(r);
    *o = (outcome){r->training, r->report};
    r->training = NULL;
    r->report = NULL;
    tkx__task_succeed(&r->c.task, o);
}

/* --- attaching ------------------------------------------------------------------- */

static void plan(resume *r);

static tkx_status read_rows(resume *r, tkx__store *store, tkx_error **err)
{
    return tkx__store_list(store, &r->arena, &r->rows, &r->n_rows, err);
}

static void on_attached(void *arg, tkx__attach_end end, tkx_error *error)
{
    resume *r = arg;

    r->n_resent += tkx__attach_n_sent(r->attach);
    if (end == TKX__ATTACHED) {
        start_look(r, read_totals, finish);
        return;
    }
    tkx__attach_free(r->attach);
    r->attach = NULL;
    if (end == TKX__ATTACH_FAILED) {
        fail(r, error);
        return;
    }
    tkx__log_write(r->c.task.service->site->log, TKX_LOG_WARNING, "resume",
                   "model %s cannot be gone on with: %s", r->training->model_id,
                   tkx_error_message(error));
    tkx_error_free(error);
    plan(r);
}

static void attach_rows(resume *r)
{
    const tkx__attach_spec spec = {
        .task = &r->c.task,
        .ledger = r->c.ledger,
        .model_id = r->training->model_id,
        .rows = r->rows,
        .n_rows = r->n_rows,
        .fn = on_attached,
        .arg = r,
    };
    tkx_error *error = NULL;

    r->attach = tkx__attach_start(&spec, &error);
    if (!r->attach)
        fail(r, error);
}

/* --- a model --------------------------------------------------------------------- */

static void on_made(tkx__creation *c, tkx_training *training)
{
    resume *r = (resume *)c;

    r->training = training;
    start_look(r, read_rows, attach_rows);
}

/* The state cannot be loaded: an older one may do. */
static void on_failed(tkx__creation *c, tkx_error *error)
{
    resume *r = (resume *)c;
    int http = tkx_error_http_status(error);
    bool is_about_state =
        c->load.path && (tkx_error_status(error) == TKX_ERR_REQUEST_FAILED ||
                         http == 400 || http == 404 || http == 410 || http == 422);

    if (!is_about_state || r->n_plans >= MAX_PLANS) {
        fail(r, error);
        return;
    }
    tkx__log_write(c->task.service->site->log, TKX_LOG_WARNING, "resume",
                   "%s cannot be loaded: %s", c->load.path, tkx_error_message(error));
    tkx_error_free(error);
    r->plan_before = -1;
    plan(r);
}

static tkx_status read_creation(resume *r, tkx__store *store, tkx_error **err)
{
    tkx__buf body;
    tkx_status st;

    tkx__buf_init(&body, MAX_BODY);
    st = tkx__store_get_model(store, &r->arena, &r->model, err);
    if (st == TKX_OK)
        st = tkx__store_get_metadata(store, &r->arena, &r->c.load.user_metadata, err);
    if (st == TKX_OK && strcmp(r->model.op, "create_model") == 0) {
        st = tkx__store_model_body(store, &body, err);
        r->c.remake = tkx__arena_strndup(&r->arena, tkx__buf_text(&body), body.size);
        if (st == TKX_OK && !r->c.remake)
            st = tkx__fail_memory(err);
    }
    tkx__buf_clear(&body);
    return st;
}

static void make(resume *r)
{
    tkx__creation *c = &r->c;
    tkx_error *error = NULL;
    tkx_status st;

    tkx__free(c->model_id);
    c->model_id = NULL;
    c->then = NULL;
    if (strcmp(r->model.op, "create_model") == 0) {
        c->load.path = NULL;
        st = tkx__create_model(c, &error);
    } else {
        c->load.path = r->model.from_path;
        c->load.optimizer = r->model.with_optimizer;
        c->load.base_model = c->request.base_model = r->model.base_model;
        c->load.model_id = NULL;
        c->request.user_metadata = c->load.user_metadata;
        st = tkx__create_by_load(c, &error);
    }
    if (st != TKX_OK)
        fail(r, error);
}

static tkx_status write_plan(resume *r, tkx__store *store, tkx_error **err)
{
    tkx_status st = tkx__store_plan_model(store, r->plan_before, r->is_rewind, &r->arena,
                                          &r->plan, err);

    return st == TKX_OK ? read_creation(r, store, err) : st;
}

static void make_planned(resume *r)
{
    r->c.model_seq_id = -1;
    make(r);
}

static void plan(resume *r)
{
    tkx_error *error = NULL;

    tkx_training_free(r->training);
    r->training = NULL;
    if (r->n_plans++ >= MAX_PLANS) {
        tkx__fail(&error, TKX_ERR_REQUEST_FAILED,
                  "resume: %d models in a row were lost; journal %s", MAX_PLANS,
                  tkx__store_path(r->journal->store));
        fail(r, error);
        return;
    }
    r->has_new_model = true;
    r->is_rewind = r->mode != TKX_RESUME_REPLAY;
    start_look(r, write_plan, make_planned);
}

/* --- is it still there? ---------------------------------------------------------- */

static void on_info(void *arg, void *result, tkx_error *error)
{
    resume *r = arg;
    int http = tkx_error_http_status(error);
    tkx_service *service = r->c.task.service;

    if (error && http != 404 && http != 410 && http != 400) {
        fail(r, error);
        return;
    }
    if (error) {
        tkx_error_free(error);
        plan(r);
        return;
    }
    r->training = tkx__training_new(service, r->model.model_id, result, r->c.ledger);
    if (r->training) {
        start_look(r, read_rows, attach_rows);
        return;
    }
    tkx__fail_memory(&error);
    fail(r, error);
}

/* The model was asked for, and perhaps made. */
static void ask_again(resume *r)
{
    const char *session = tkx__session_id(r->c.task.service->loop.session);
    bool is_same = r->model.session_id && strcmp(session, r->model.session_id) == 0;

    r->c.model_seq_id = is_same ? r->model.model_seq_id : -1;
    make(r);
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    resume *r = (resume *)task;
    const char *session = tkx__session_id(task->service->loop.session);
    bool is_same = r->model.session_id && strcmp(session, r->model.session_id) == 0;

    if (r->model.model_id && (!is_same || r->mode == TKX_RESUME_RESTART)) {
        plan(r);
        return TKX_OK;
    }
    if (!r->model.model_id) {
        start_look(r, read_creation, ask_again);
        return TKX_OK;
    }
    return tkx__get_info(task, r->model.model_id, r->c.sdk_method, on_info, err);
}

/* --- the call -------------------------------------------------------------------- */

static tkx_status read_run(resume *r, tkx__store *store, tkx_error **err)
{
    tkx_status st = tkx__store_count_resume(store, err);

    if (st == TKX_OK)
        st = tkx__store_get_model(store, &r->arena, &r->model, err);
    if (st == TKX_OK && r->model.n == 0)
        st = tkx__fail(err, TKX_ERR_NOT_FOUND,
                       "journal %s holds no run to resume: give it to create_lora",
                       tkx__store_path(store));
    r->old = r->model;
    if (st == TKX_OK)
        st = tkx__store_totals_get(store, &r->arena, &r->before, err);
    return st;
}

static void on_run_read(resume *r)
{
    tkx_error *error = NULL;

    if (r->model.session_id &&
        !tkx__service_resume(r->c.task.service, r->model.session_id, r->model.n_resumed,
                             &error)) {
        fail(r, error);
        return;
    }
    tkx__task_begin(&r->c.task);
}

static void stop_waiting(resume *r)
{
    const tkx__io *io = &r->c.task.service->site->io;

    tkx__op_unregister(r->c.task.service->site, &r->wait.base);
    io->ops->timer_free(io->ctx, r->wait.timer);
    r->wait.timer = NULL;
}

static void abort_wait(tkx__op *base)
{
    resume *r = ((journal_wait *)base)->r;
    tkx_error *error = NULL;

    stop_waiting(r);
    tkx__fail(&error, TKX_ERR_CLOSED, "resume: the context was closed");
    fail(r, error);
}

static void begin(void *arg);

static void on_wait_over(void *arg)
{
    resume *r = arg;

    stop_waiting(r);
    begin(r);
}

/* The client before this one was freed, and its last calls are about to end. */
static bool wait_for_journal(resume *r)
{
    tkx__site *site = r->c.task.service->site;

    if (r->wait.n++ >= MAX_WAITS || site->is_closed)
        return false;
    r->wait.r = r;
    r->wait.timer = site->io.ops->timer_new(site->io.ctx, on_wait_over, r);
    if (!r->wait.timer)
        return false;
    tkx__op_register(site, &r->wait.base, abort_wait);
    site->io.ops->timer_arm(site->io.ctx, r->wait.timer, WAIT_MS);
    return true;
}

/* On the loop thread, behind whatever was freed before the call. */
static void begin(void *arg)
{
    resume *r = arg;
    const tkx_service *s = r->c.task.service;
    tkx_error *error = NULL;
    tkx_status st =
        tkx__ledger_new(r->journal, s->io, s->site->log, &r->c.ledger, &error);

    if (st == TKX_OK) {
        start_look(r, read_run, on_run_read);
    } else if (st == TKX_ERR_BUSY && wait_for_journal(r)) {
        tkx_error_free(error);
    } else {
        fail(r, error);
    }
}

static void clear(tkx__task *task)
{
    resume *r = (resume *)task;

    tkx__attach_free(r->attach);
    tkx_training_free(r->training);
    tkx_resume_report_free(r->report ? &r->report->shown : NULL);
    tkx__arena_clear(&r->arena);
    tkx_journal_close(r->journal);
    tkx__creation_clear(task);
}

static const tkx__task_kind kind = {
    .result = &resumed_type, .runs_cancelled = true, .start = start, .clear = clear};

tkx_status tkx_training_resume(tkx_service *service, tkx_journal *journal,
                               const tkx_resume_options *options, tkx_future **out,
                               tkx_error **err)
{
    tkx_resume_options o = TKX_RESUME_OPTIONS_INIT;
    tkx__task *task;

    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_resume_options", err);
    if (st == TKX_OK)
        st = tkx__task_new(service, &kind, sizeof(resume), &task, out, err);
    if (st != TKX_OK)
        return st;
    resume *r = (resume *)task;
    tkx__creation_init(&r->c, "TrainingClient.resume");
    tkx__arena_init(&r->arena, 4096, MAX_ARENA);
    r->journal = tkx__journal_ref(journal);
    r->mode = o.mode;
    task->timeout_ms = o.timeout_ms;
    r->c.on_made = on_made;
    r->c.on_failed = on_failed;
    st = tkx__service_post(service, begin, r, err);
    if (st != TKX_OK)
        tkx__task_drop(task, out);
    return st;
}

tkx_status tkx_future_take_resumed(tkx_future *future, tkx_training **training,
                                   tkx_resume_report **report, tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &resumed_type, &result, err);

    if (st != TKX_OK)
        return st;
    outcome *o = result;
    *training = o->training;
    o->training = NULL;
    if (report) {
        *report = &o->report->shown;
        o->report = NULL;
    }
    free_outcome(o);
    return TKX_OK;
}
