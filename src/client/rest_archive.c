/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_archive.c - from a checkpoint to the signed link of its archive.
 *
 *     ask --200 {url, expires}--> done
 *      |---3xx Location---------> done   expires: the Expires header, or in 15 minutes
 *      |---503--> wait 30 s --> ask      six times in all
 *      |---404, 405--> ask for the bare name, where the path has a sampler's kind
 *      +---anything else--------> failed
 *
 * The redirect is not followed: the link is the answer, and it must be fetched without
 * our credential.
 */
#include "api/backoff.h"
#include "api/call.h"
#include "api/http_error.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/rest.h"
#include "types/checkpoint.h"
#include "types/time.h"
#include "json/writer.h"

#define MAX_TRIES 6
#define TRY_EVERY_MS 30000
#define LINK_LIFE_MS (15 * 60000)
#define MAX_LINK_BYTES ((size_t)64 << 10)

struct tkx__archive_wait {
    tkx__op op; /* first */
    tkx__site *site;
    tkx__archive_fn *fn;
    void *arg;
    tkx__call *call;
    tkx__timer *timer;
    char *path;
    unsigned n_tries;
    bool is_bare; /* asks for the bare name */
};

static void free_url(void *url)
{
    tkx_archive_url_free(url);
}

static const tkx__result_type archive_url_type = {"link to an archive", free_url};

static const tkx__rest_route route = {
    .what = "get_checkpoint_archive_url",
    .method = "GET",
    .pattern = "training_runs/{}/checkpoints/{/}/archive",
    .sdk_method = "RestClient.get_checkpoint_archive_url_from_tinker_path",
    .result = &archive_url_type,
};

static void settle(tkx__archive_wait *w, tkx_archive_url *url, tkx_error *error)
{
    tkx__archive_fn *fn = w->fn;
    void *arg = w->arg;

    tkx__op_unregister(w->site, &w->op);
    tkx__call_cancel(w->call);
    w->site->io.ops->timer_free(w->site->io.ctx, w->timer);
    tkx__free(w->path);
    tkx__free(w);
    fn(arg, url, error);
}

static void on_closed(tkx__op *op)
{
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CLOSED, "%s: the client was closed before the answer came",
              route.what);
    settle((tkx__archive_wait *)op, NULL, error);
}

/* ---- reading the answer ---- */

static tkx_status check_link(const char *url, tkx_error **err)
{
    if (tkx__starts_with(url, "https://") || tkx__starts_with(url, "http://"))
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_PROTOCOL,
                     "%s: the service leads to '%.40s', and only http and https are "
                     "followed",
                     route.what, url);
}

/* The link of a redirect, in the words of a 200. */
static tkx_status from_redirect(tkx__archive_wait *w, const tkx__reply *reply,
                                tkx_archive_url **out, tkx_error **err)
{
    const char *location = tkx__reply_header(reply, "location");
    const char *until = tkx__reply_header(reply, "expires");
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
    int64_t ms = until ? tkx__http_date_ms(until) : -1;
    char time[TKX__TIME_TEXT_SIZE];
    tkx__json_writer json;
    tkx__buf text;
    tkx_status st;

    if (!location) {
        facts.http_status = reply->http_status;
        return tkx__fail_facts(err, TKX_ERR_PROTOCOL, &facts,
                               "%s: a redirect (HTTP %d) without a place", route.what,
                               reply->http_status);
    }
    if (ms < 0)
        ms = w->site->io.ops->wall_ms(w->site->io.ctx) + LINK_LIFE_MS;
    tkx__time_print(ms * 1000, time);
    tkx__buf_init(&text, MAX_LINK_BYTES);
    tkx__json_writer_init(&json, &text, 0);
    tkx__json_begin_object(&json);
    tkx__json_put_key(&json, "url");
    tkx__json_put_string(&json, location);
    tkx__json_put_key(&json, "expires");
    tkx__json_put_string(&json, time);
    tkx__json_end_object(&json);
    st = tkx__json_written(&json, route.what, err);
    if (st == TKX_OK)
        st = tkx__archive_url_decode_json(text.data, text.size, out, err);
    tkx__buf_clear(&text);
    return st;
}

static void take_link(tkx__archive_wait *w, const tkx__reply *reply)
{
    tkx_archive_url *url = NULL;
    tkx_error *error = NULL, *cause = NULL;
    tkx_status st;

    if (reply->http_status >= 300) {
        st = from_redirect(w, reply, &url, &error);
    } else {
        st = tkx__archive_url_decode_json(reply->body ? reply->body : "",
                                          reply->body_size, &url, &cause);
        if (st != TKX_OK)
            st = tkx__fail_cause(&error, TKX_ERR_PROTOCOL, NULL, &cause,
                                 "%s: the answer cannot be read: %s", route.what,
                                 tkx_error_message(cause));
    }
    if (st == TKX_OK && url && check_link(url->url, &error) != TKX_OK) {
        tkx_archive_url_free(url);
        url = NULL;
    }
    settle(w, url, error);
}

/* ---- asking ---- */

static tkx_status ask(tkx__archive_wait *w, tkx_error **err);

static void ask_again(void *arg)
{
    tkx__archive_wait *w = arg;
    tkx_error *error = NULL;

    if (ask(w, &error) != TKX_OK)
        settle(w, NULL, error);
}

/* False: often enough, or no memory. */
static bool ask_in(tkx__archive_wait *w, int64_t delay_ms)
{
    const tkx__io *io = &w->site->io;

    if (w->n_tries >= MAX_TRIES)
        return false;
    if (!w->timer)
        w->timer = io->ops->timer_new(io->ctx, ask_again, w);
    if (w->timer)
        io->ops->timer_arm(io->ctx, w->timer, delay_ms);
    return w->timer != NULL;
}

static bool wait_while_it_is_built(tkx__archive_wait *w)
{
    if (!ask_in(w, TRY_EVERY_MS))
        return false;
    tkx__log_write(w->site->log, w->n_tries == 1 ? TKX_LOG_WARNING : TKX_LOG_INFO,
                   "service", "the archive of %s is being built; asking again in %d s",
                   w->path, TRY_EVERY_MS / 1000);
    return true;
}

/* A push-back, or a fault that passes. */
static bool wait_out(tkx__archive_wait *w, int http_status)
{
    return tkx__status_is_retryable(http_status) &&
           ask_in(w, tkx__backoff_outer_ms((unsigned)w->n_tries,
                                           tkx__site_uniform(w->site)));
}

/* "sampler_weights/NAME" may be known as "NAME". */
static bool try_bare_name(tkx__archive_wait *w)
{
    tkx_tinker_path parts;

    if (w->is_bare || tkx_tinker_path_parse(w->path, &parts, NULL) != TKX_OK ||
        parts.is_two_part || parts.kind != TKX_PATH_SAMPLER_WEIGHTS)
        return false;
    w->is_bare = true;
    return true;
}

static void on_outcome(void *arg, tkx__outcome *outcome)
{
    tkx__archive_wait *w = arg;
    const tkx__reply *reply = outcome->reply;
    tkx_error *error = outcome->error;

    w->call = NULL;
    if (error || !reply) {
        settle(w, NULL, error);
        return;
    }
    if (reply->http_status >= 200 && reply->http_status < 400) {
        take_link(w, reply);
        return;
    }
    if (reply->http_status == 503 ? wait_while_it_is_built(w)
                                  : wait_out(w, reply->http_status))
        return;
    if ((reply->http_status == 404 || reply->http_status == 405) && try_bare_name(w)) {
        ask_again(w);
        return;
    }
    const tkx__attempt attempt = {.what = route.what,
                                  .url = w->path,
                                  .seq_id = -1,
                                  .n_sends = (int)w->n_tries,
                                  .elapsed_ms = outcome->elapsed_ms};
    tkx__fail_http(&error, &attempt, reply);
    settle(w, NULL, error);
}

static tkx_status ask(tkx__archive_wait *w, tkx_error **err)
{
    tkx_tinker_path parts;
    tkx__rest_text args[2];
    tkx__buf path;
    tkx_status st = tkx_tinker_path_parse(w->path, &parts, err);

    if (st != TKX_OK)
        return st;
    args[0] = tkx__rest_view(parts.run_id, parts.run_id_size);
    args[1] = w->is_bare ? tkx__rest_view(parts.name, parts.name_size)
                         : tkx__rest_view(parts.checkpoint_id, parts.checkpoint_id_size);
    tkx__buf_init(&path, MAX_LINK_BYTES);
    st = tkx__rest_route_print(&route, args, NULL, 0, &path, err);
    if (st == TKX_OK) {
        const tkx__call_spec spec = {
            .what = route.what,
            .method = route.method,
            .route = path.data,
            .lane = TKX__LANE_REST,
            .sdk_method = route.sdk_method,
            .seq_id = -1,
            .max_retries = TKX__INNER_RETRIES, /* of broken connections */
            .is_raw = true,                    /* a 503 has a meaning of its own here */
            .takes_redirect = true,
        };
        w->n_tries++;
        st = tkx__call_start(w->site, &spec, on_outcome, w, &w->call, err);
    }
    tkx__buf_clear(&path);
    return st;
}

tkx_status tkx__archive_start(tkx__site *site, const char *tinker_path,
                              tkx__archive_fn *fn, void *arg, tkx__archive_wait **out,
                              tkx_error **err)
{
    tkx__archive_wait *w = tkx__calloc(1, sizeof *w);
    tkx_status st;

    if (!w)
        return tkx__fail_memory(err);
    w->site = site;
    w->fn = fn;
    w->arg = arg;
    w->path = tkx__strdup(tinker_path);
    st = w->path ? ask(w, err) : tkx__fail_memory(err);
    if (st != TKX_OK) {
        tkx__free(w->path);
        tkx__free(w);
        return st;
    }
    tkx__op_register(site, &w->op, on_closed);
    *out = w;
    return TKX_OK;
}

/* ---- the method ---- */

typedef struct archive_call {
    tkx__task task; /* first */
    char *path;
} archive_call;

static void on_url(void *arg, tkx_archive_url *url, tkx_error *error)
{
    tkx__task *task = arg;

    if (error)
        tkx__task_fail(task, error);
    else
        tkx__task_succeed(task, url);
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    tkx__archive_wait *wait;

    return tkx__archive_start(task->service->site, ((archive_call *)task)->path, on_url,
                              task, &wait, err);
}

static void clear(tkx__task *task)
{
    tkx__free(((archive_call *)task)->path);
}

tkx_status tkx_rest_get_archive_url(tkx_rest *rest, const char *tinker_path,
                                    tkx_future **out, tkx_error **err)
{
    static const tkx__task_kind kind = {
        .result = &archive_url_type, .start = start, .clear = clear};
    tkx__rest_text args[2];
    tkx__task *task;
    tkx_status st = tkx__rest_checkpoint_args(tinker_path, args, err);

    if (st == TKX_OK)
        st = tkx__task_new(rest->service, &kind, sizeof(archive_call), &task, out, err);
    if (st != TKX_OK)
        return st;
    ((archive_call *)task)->path = tkx__strdup(tinker_path);
    if (!((archive_call *)task)->path) {
        tkx__task_drop(task, out);
        return tkx__fail_memory(err);
    }
    return tkx__task_launch(task, out, err);
}

tkx_status tkx_future_take_archive_url(tkx_future *future, tkx_archive_url **out,
                                       tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &archive_url_type, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}
