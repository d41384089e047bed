/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint_download.c - from a tinker path to a folder.
 *
 *     ask for links --404, 405--> ask the other way --404, 405--> UNSUPPORTED
 *          |
 *     fetch a link -> a worker unpacks or writes it -> the next link ... -> rename
 *
 * Links are signed: they are fetched by requests without our headers, and their query
 * never stands in an error.  Disk work happens on workers.
 */
#include "client/checkpoint_download_in.h"

#include <string.h>

#include "api/backoff.h"
#include "api/http_error.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/str.h"

#define MAX_BYTES ((size_t)16 << 30)
#define FETCH_MS (3600 * INT64_C(1000))
#define CONNECT_MS 10000
#define MAX_ATTEMPTS 4
#define SIGN_AGAIN_US (5 * 60 * INT64_C(1000000))

static const tkx__io *io_of(const download *d)
{
    return &d->task.service->site->io;
}

static void free_result(void *result)
{
    tkx_checkpoint_download_result_free(result);
}

static const tkx__result_type result_type = {"downloaded checkpoint", free_result};

void tkx_checkpoint_download_result_free(tkx_checkpoint_download_result *result)
{
    if (!result)
        return;
    tkx__free((void *)(uintptr_t)result->path);
    tkx__free(result);
}

static void clear(tkx__task *task)
{
    download *d = (download *)task;

    if (d->timer)
        io_of(d)->ops->timer_free(io_of(d)->ctx, d->timer);
    tkx__download_clear(&d->dir);
    tkx_error_free(d->first_error);
    tkx_error_free(d->disk_error);
    tkx_archive_url_free(d->archive);
    tkx_external_weights_urls_free(d->links);
    tkx__free(d->files);
    tkx__free(d->body);
    tkx__free(d->path);
}

void tkx__download_fail(download *d, tkx_error *error)
{
    tkx__task_fail(&d->task, error);
}

bool tkx__download_is_over(download *d)
{
    tkx_error *error = NULL;

    if (d->task.is_cancelled)
        tkx__fail(&error, TKX_ERR_CANCELLED, "the download of %s was cancelled", d->path);
    else if (d->task.service->site->is_closed)
        tkx__fail(&error, TKX_ERR_CLOSED, "the download of %s: the client was closed",
                  d->path);
    if (!error)
        return false;
    tkx__download_fail(d, error);
    return true;
}

/* ---- to the disk ---- */

static const char *file_name(const download *d)
{
    return d->way == WAY_ARCHIVE ? "the archive" : d->files[d->next].key;
}

static size_t n_links(const download *d)
{
    return d->way == WAY_ARCHIVE ? 1 : d->n_files;
}

/* On a worker; after the last link the folder takes its place. */
static void store(void *arg)
{
    download *d = arg;
    tkx_error **err = &d->disk_error;
    const char *bytes = d->body ? d->body : "";
    tkx_status st = d->dir.temporary ? TKX_OK : tkx__download_open(&d->dir, err);

    if (st != TKX_OK)
        return;
    if (d->way == WAY_ARCHIVE)
        st = tkx__download_unpack(&d->dir, bytes, d->body_size, err);
    else
        st = tkx__download_put(&d->dir, file_name(d), bytes, d->body_size, err);
    if (st == TKX_OK && d->next + 1 == n_links(d))
        tkx__download_finish(&d->dir, err);
}

static void succeed(download *d)
{
    tkx_checkpoint_download_result *result = tkx__calloc(1, sizeof *result);
    char *path = tkx__strdup(d->dir.target);
    tkx_error *error = NULL;

    if (!result || !path) {
        tkx__free(result);
        tkx__free(path);
        tkx__fail_memory(&error);
        tkx__download_fail(d, error);
        return;
    }
    *result = (tkx_checkpoint_download_result){path, d->dir.n_files, d->dir.n_bytes};
    tkx__task_succeed(&d->task, result);
}

static void on_stored(void *arg)
{
    download *d = arg;
    tkx_error *error = d->disk_error;

    tkx__free(d->body);
    d->body = NULL;
    d->disk_error = NULL;
    if (error) {
        tkx__download_fail(d, error);
        return;
    }
    if (++d->next == n_links(d)) {
        succeed(d);
        return;
    }
    d->n_since_signed++;
    d->n_attempts = 0;
    if (!tkx__download_is_over(d))
        tkx__download_fetch(d);
}

static void hand_to_worker(download *d)
{
    tkx_error *error = NULL;

    if (io_of(d)->ops->work(io_of(d)->ctx, store, on_stored, d))
        return;
    tkx__fail_memory(&error);
    tkx__download_fail(d, error);
}

/* ---- over the net ---- */

static download *of_op(tkx__op *op)
{
    return (download *)(void *)((char *)op - offsetof(download, op));
}

static void on_closed(tkx__op *op)
{
    download *d = of_op(op);
    tkx_error *error = NULL;

    tkx__op_unregister(d->task.service->site, &d->op);
    if (d->transfer)
        io_of(d)->ops->cancel(io_of(d)->ctx, d->transfer);
    d->transfer = NULL;
    tkx__fail(&error, TKX_ERR_CLOSED, "the download of %s: the client was closed",
              d->path);
    tkx__download_fail(d, error);
}

static void on_pause_end(void *arg)
{
    download *d = arg;

    tkx__op_unregister(d->task.service->site, &d->op);
    if (!tkx__download_is_over(d))
        tkx__download_fetch(d);
}

/* The same link again, after a moment; false when that would not help. */
static bool try_again(download *d, const tkx__reply *reply)
{
    bool could = reply->error ? tkx_error_is_retryable(reply->error)
                              : reply->http_status == 429 || reply->http_status >= 500;

    if (!could || d->n_attempts >= MAX_ATTEMPTS)
        return false;
    if (!d->timer)
        d->timer = io_of(d)->ops->timer_new(io_of(d)->ctx, on_pause_end, d);
    if (!d->timer)
        return false;
    tkx__op_register(d->task.service->site, &d->op, on_closed);
    tkx__future_note_state(d->task.future, TKX_FUTURE_BACKING_OFF, reply->http_status);
    io_of(d)->ops->timer_arm(io_of(d)->ctx, d->timer,
                             tkx__backoff_inner_ms(d->n_attempts - 1, 0));
    return true;
}

static void on_fetched(tkx__reply *reply, void *arg)
{
    download *d = arg;
    tkx_error *error = NULL;

    d->transfer = NULL;
    tkx__op_unregister(d->task.service->site, &d->op);
    if (tkx__download_is_over(d))
        return;
    if (reply->error || reply->http_status != 200) {
        const tkx__attempt attempt = {.what = "fetching a signed link",
                                      .url = d->path,
                                      .seq_id = -1,
                                      .n_sends = (int)d->n_attempts,
                                      .elapsed_ms = reply->elapsed_ms};
        if (try_again(d, reply))
            return;
        if (reply->error)
            tkx__fail_link(&error, &attempt, reply);
        else
            tkx__fail_http(&error, &attempt, reply);
        tkx__download_fail(d, error);
        return;
    }
    tkx__future_note_received(d->task.future, reply->body_size);
    d->body = reply->body;
    d->body_size = reply->body_size;
    reply->body = NULL;
    hand_to_worker(d);
}

static tkx_status send_fetch(download *d, const char *url, tkx_error **err)
{
    static const tkx__header headers[] = {{"Accept", "*/*"}};
    const tkx__request request = {
        .lane = TKX__LANE_REST,
        .method = "GET",
        .url = url,
        .headers = headers,
        .n_headers = 1,
        .timeout_ms = FETCH_MS,
        .connect_timeout_ms = CONNECT_MS,
        .max_reply_bytes = (size_t)d->dir.max_bytes,
    };

    if (!tkx__starts_with(url, "https://") && !tkx__starts_with(url, "http://"))
        return tkx__fail(err, TKX_ERR_PROTOCOL,
                         "the service's link to %s of %s is neither http nor https",
                         file_name(d), d->path);
    d->n_attempts++;
    d->transfer = io_of(d)->ops->send(io_of(d)->ctx, &request, on_fetched, d);
    if (!d->transfer)
        return tkx__fail_memory(err);
    tkx__op_register(d->task.service->site, &d->op, on_closed);
    tkx__future_note_state(d->task.future, TKX_FUTURE_FETCHING, 0);
    return TKX_OK;
}

static bool is_nearly_expired(const download *d)
{
    int64_t now_us = io_of(d)->ops->wall_ms(io_of(d)->ctx) * 1000;

    return d->way == WAY_EXTERNAL && d->n_since_signed > 0 &&
           d->links->expires != TKX_TIME_NONE &&
           d->links->expires - now_us < SIGN_AGAIN_US;
}

void tkx__download_fetch(download *d)
{
    tkx_error *error = NULL;

    if (is_nearly_expired(d)) {
        tkx__download_ask(d);
        return;
    }
    const char *url = d->way == WAY_ARCHIVE ? d->archive->url : d->files[d->next].value;
    if (send_fetch(d, url, &error) != TKX_OK)
        tkx__download_fail(d, error);
}

/* ---- the call ---- */

static tkx_status start(tkx__task *task, tkx_error **err)
{
    (void)err;
    tkx__download_ask((download *)task);
    return TKX_OK;
}

/* DIRECTORY/RUN_KIND_NAME: the path behind "://" with "_" for "/". */
static char *target_of(const char *path, const char *directory, tkx_error **err)
{
    const char *name = strstr(path, "://");
    size_t n = strlen(directory);
    tkx__buf text;

    name = name ? name + 3 : path;
    while (n > 1 && directory[n - 1] == '/')
        n--;
    tkx__buf_init(&text, (size_t)1 << 16);
    tkx__buf_append(&text, directory, n);
    tkx__buf_putc(&text, '/');
    n = text.size;
    for (; *name; name++)
        tkx__buf_putc(&text, *name == '/' ? '_' : *name);
    if (text.status != TKX_OK)
        tkx__fail(err, text.status, "the name of the folder for %s is too long", path);
    else if (tkx__download_check_name(text.data + n, err) == TKX_OK)
        return tkx__buf_take(&text, &n);
    tkx__buf_clear(&text);
    return NULL;
}

static tkx_status fill(download *d, const tkx_checkpoint_download_options *o,
                       tkx_error **err)
{
    tkx_tinker_path parts;
    tkx_status st = tkx_tinker_path_parse(o->tinker_path, &parts, err);
    tkx_error *error = NULL;

    if (st != TKX_OK)
        return st;
    d->way = parts.is_two_part || parts.kind == TKX_PATH_SAMPLER_WEIGHTS ? WAY_ARCHIVE
                                                                         : WAY_EXTERNAL;
    d->dir.is_forced = o->is_forced != 0;
    d->dir.max_bytes = o->max_bytes ? o->max_bytes : MAX_BYTES;
    d->path = tkx__strdup(o->tinker_path);
    if (!d->path)
        return tkx__fail_memory(err);
    d->dir.target = target_of(o->tinker_path, o->directory, &error);
    if (!d->dir.target)
        return tkx__fail_with(err, error);
    return tkx__download_check_target(d->dir.target, d->dir.is_forced, err);
}

tkx_status tkx_checkpoint_download(tkx_rest *rest,
                                   const tkx_checkpoint_download_options *options,
                                   tkx_future **out, tkx_error **err)
{
    static const tkx__task_kind kind = {
        .result = &result_type, .start = start, .clear = clear};
    tkx_checkpoint_download_options ours = TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT;
    tkx__task *task;
    tkx_status st = tkx__options_overlay(&ours, sizeof ours, options,
                                         "tkx_checkpoint_download_options", err);

    if (st != TKX_OK)
        return st;
    if (!ours.tinker_path || !ours.directory || !*ours.directory)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a download needs a tinker path and a directory");
    st = tkx__task_new(rest->service, &kind, sizeof(download), &task, out, err);
    if (st != TKX_OK)
        return st;
    ((download *)task)->dir.fd = -1;
    st = fill((download *)task, &ours, err);
    if (st != TKX_OK) {
        tkx__task_drop(task, out);
        return st;
    }
    return tkx__task_launch(task, out, err);
}

tkx_status tkx_future_take_checkpoint_download(tkx_future *future,
                                               tkx_checkpoint_download_result **out,
                                               tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &result_type, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}
