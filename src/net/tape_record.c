/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tape_record.c - writing down: one line for each exchange, when it has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/tape_in.h"
#include "json/writer.h"

static const char *const lane_names[TKX__N_LANES] = {"session",  "train", "sample",
                                                     "retrieve", "REST",  "telemetry"};

/* What of an answer's headers decides about anything. */
static bool is_kept_header(const char *name)
{
    static const char *const names[] = {
        "content-type",        "content-length", "retry-after",   "retry-after-ms",
        "x-should-retry",      "location",       "content-range", "x-deprecation-note",
        "x-deprecation-level", "accept-ranges",  "etag",          "www-authenticate"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* --- a line ---------------------------------------------------------------------- */

static void put_redacted(const tkx__tape *t, tkx__json_writer *w, const char *key,
                         const char *text)
{
    tkx__buf buf;

    tkx__buf_init(&buf, 1 << 20);
    tkx__redact_text(&buf, text, strlen(text), &t->secrets);
    tkx__json_member_string(w, key, tkx__buf_text(&buf));
    tkx__buf_clear(&buf);
}

/* "key": text, or "key_base64": ... for what is no text. */
static void put_bytes(tkx__json_writer *w, const char *key, const char *key_base64,
                      const char *bytes, size_t size, bool is_text)
{
    tkx__json_put_key(w, is_text ? key : key_base64);
    if (is_text)
        tkx__json_put_text(w, bytes, size);
    else
        tkx__json_put_base64(w, bytes, size);
}

/* The request half; the line stays open. */
static bool begin_line(tkx__tape_request *r, const tkx__request *request)
{
    tkx__tape *t = r->tape;
    tkx__json_writer w;
    tkx__buf url;
    size_t size;
    bool is_text;
    char *body = tkx__tape_body(t, request->body, &size, &is_text);

    if (!body)
        return false;
    tkx__buf_init(&url, 1 << 20);
    tkx__tape_put_url(t, request->url, &url);
    tkx__json_writer_init(&w, &r->line, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_i64(&w, "n", t->next_n++);
    tkx__json_member_i64(&w, "at_ms", t->inner.ops->now_ms(t->inner.ctx) - t->started_ms);
    tkx__json_member_string(&w, "lane", lane_names[request->lane]);
    tkx__json_member_string(&w, "method", request->method);
    tkx__json_member_string(&w, "url", tkx__buf_text(&url));
    if (*tkx__tape_range(request))
        tkx__json_member_string(&w, "range", tkx__tape_range(request));
    if (size)
        put_bytes(&w, "body", "body_base64", body, size, is_text);
    tkx__buf_clear(&url);
    tkx__free(body);
    return tkx__json_written(&w, "recording", NULL) == TKX_OK;
}

static void put_answer(const tkx__tape *t, tkx__json_writer *w, const tkx__reply *reply)
{
    size_t size = reply->body_size;
    bool is_text;
    char *body = tkx__tape_redacted(t, reply->body ? reply->body : "", &size, &is_text);

    tkx__json_member_i64(w, "status", reply->http_status);
    tkx__json_put_key(w, "headers");
    tkx__json_begin_object(w);
    for (size_t i = 0; i < reply->n_headers; i++)
        if (is_kept_header(reply->headers[i].name))
            put_redacted(t, w, reply->headers[i].name, reply->headers[i].value);
    tkx__json_end_object(w);
    tkx__json_member_i64(w, "elapsed_ms", reply->elapsed_ms);
    if (body && size)
        put_bytes(w, "answer", "answer_base64", body, size, is_text);
    tkx__free(body);
}

static void write_line(tkx__tape *t, const tkx__buf *line)
{
    if (t->is_broken)
        return;
    if (line->status == TKX_OK &&
        fwrite(line->data, 1, line->size, t->file) == line->size &&
        fputc('\n', t->file) != EOF && fflush(t->file) == 0)
        return;
    t->is_broken = true; /* the work goes on; the recording has an end */
    tkx__log_write(t->log, TKX_LOG_ERROR, "record",
                   "%s: cannot be written: %s; it is cut here", t->path, strerror(errno));
}

/* The other half; reply NULL: nobody waited for it. */
static void end_line(tkx__tape_request *r, const tkx__reply *reply)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, &r->line, 0);
    w.needs_comma = true; /* inside the object that begin_line() opened */
    if (!reply) {
        tkx__json_member_bool(&w, "dropped", true);
    } else if (reply->http_status && !reply->error) {
        put_answer(r->tape, &w, reply);
    } else {
        tkx__json_member_string(&w, "error",
                                tkx_status_name(tkx_error_status(reply->error)));
        put_redacted(r->tape, &w, "message", tkx_error_message(reply->error));
        tkx__json_member_bool(&w, "is_retryable",
                              tkx_error_is_retryable(reply->error) != 0);
        tkx__json_member_i64(&w, "elapsed_ms", reply->elapsed_ms);
    }
    tkx__json_end_object(&w);
    write_line(r->tape, &r->line);
}

/* --- the io ---------------------------------------------------------------------- */

static void on_reply(tkx__reply *reply, void *arg)
{
    tkx__tape_request *r = arg;
    tkx__reply_fn *fn = r->fn;
    void *fn_arg = r->arg;

    end_line(r, reply);
    tkx__tape_drop(r);
    fn(reply, fn_arg);
}

static tkx__transfer *op_send(void *ctx, const tkx__request *request, tkx__reply_fn *fn,
                              void *arg)
{
    tkx__tape *t = ctx;
    tkx__tape_request *r = tkx__tape_add(t, fn, arg);

    if (!r)
        return NULL;
    tkx__tape_learn(t, request);
    if (begin_line(r, request))
        r->inner = t->inner.ops->send(t->inner.ctx, request, on_reply, r);
    if (r->inner)
        return (tkx__transfer *)(void *)r;
    tkx__tape_drop(r);
    return NULL;
}

static void op_cancel(void *ctx, tkx__transfer *transfer)
{
    tkx__tape *t = ctx;
    tkx__tape_request *r = (tkx__tape_request *)(void *)transfer;

    t->inner.ops->cancel(t->inner.ctx, r->inner);
    end_line(r, NULL);
    tkx__tape_drop(r);
}

/* --- life ------------------------------------------------------------------------ */

static tkx_status open_file(tkx__tape *t, tkx_error **err)
{
    tkx__json_writer w;
    tkx__buf line;
    int fd = open(t->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd >= 0 && !(t->file = fdopen(fd, "w")))
        close(fd);
    if (!t->file)
        return tkx__fail_errno(err, errno, "make the recording %s", t->path);
    tkx__buf_init(&line, 1 << 12);
    tkx__json_writer_init(&w, &line, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_i64(&w, "tkx_record", TKX__TAPE_VERSION);
    tkx__json_member_i64(&w, "started_unix_ms", t->inner.ops->wall_ms(t->inner.ctx));
    tkx__json_end_object(&w);
    write_line(t, &line);
    tkx__buf_clear(&line);
    return t->is_broken
               ? tkx__fail(err, TKX_ERR_IO, "the recording %s cannot be written", t->path)
               : TKX_OK;
}

tkx_status tkx__tape_record(const tkx__tape_config *config, tkx__tape **out,
                            tkx_error **err)
{
    tkx__tape *t = tkx__calloc(1, sizeof *t);
    tkx_status st;

    if (!t)
        return tkx__fail_memory(err);
    st = tkx__tape_init(t, config, err);
    t->ops.send = op_send;
    t->ops.cancel = op_cancel;
    if (st == TKX_OK) {
        t->started_ms = t->inner.ops->now_ms(t->inner.ctx);
        st = open_file(t, err);
    }
    if (st == TKX_OK)
        *out = t;
    else
        tkx__tape_free(t);
    return st;
}

void tkx__tape_free(tkx__tape *t)
{
    if (!t)
        return;
    while (t->open) { /* the loop has dropped them without a word */
        if (t->file)
            end_line(t->open, NULL);
        tkx__tape_drop(t->open);
    }
    if (t->file)
        fclose(t->file);
    tkx__secrets_clear(&t->secrets);
    tkx__arena_clear(&t->arena);
    tkx__free(t->buckets);
    tkx__free(t->text);
    tkx__free(t->base_url);
    tkx__free(t->path);
    tkx__free(t);
}
