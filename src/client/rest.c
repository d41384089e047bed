/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest.c - one way to make every REST call: route, query and body from a table's row.
 */
#include "client/rest.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"

#define MAX_ROUTE_BYTES ((size_t)16 << 10)
#define MAX_ANSWER_BYTES ((size_t)64 << 20)

tkx_status tkx_rest_new(tkx_context *context, const tkx_service_options *options,
                        tkx_rest **out, tkx_error **err)
{
    tkx_service_options ours = TKX_SERVICE_OPTIONS_INIT;
    tkx_status st =
        tkx__options_overlay(&ours, sizeof ours, options, "tkx_service_options", err);
    tkx_rest *rest;

    if (st != TKX_OK)
        return st;
    rest = tkx__calloc(1, sizeof *rest);
    if (!rest)
        return tkx__fail_memory(err);
    ours.struct_size = sizeof ours;
    ours.is_sessionless = 1;
    st = tkx_service_new(context, &ours, &rest->service, err);
    if (st != TKX_OK) {
        tkx__free(rest);
        return st;
    }
    *out = rest;
    return TKX_OK;
}

void tkx_rest_free(tkx_rest *rest)
{
    if (!rest)
        return;
    tkx_service_free(rest->service);
    tkx__free(rest);
}

/* ---- routes ---- */

static bool is_plain(char c, bool is_query)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c && strchr(is_query ? "-._~" : "-._~:@!$&'()*+,;=|^[]", c);
}

static void put_escaped(tkx__buf *out, const char *text, size_t size, bool is_query,
                        bool has_slashes)
{
    for (size_t i = 0; i < size; i++) {
        if (is_plain(text[i], is_query) || (has_slashes && text[i] == '/'))
            tkx__buf_putc(out, text[i]);
        else if (is_query && text[i] == ' ')
            tkx__buf_putc(out, '+');
        else
            tkx__buf_printf(out, "%%%02X", (unsigned)(unsigned char)text[i]);
    }
}

/* May it stand in a URL's path and still mean itself? */
static bool is_segment(const char *text, size_t size)
{
    return size > 0 && !(size == 1 && text[0] == '.') &&
           !(size == 2 && text[0] == '.' && text[1] == '.') && !memchr(text, '\0', size);
}

static tkx_status put_argument(const tkx__rest_route *route, tkx__rest_text arg,
                               bool has_slashes, tkx__buf *out, tkx_error **err)
{
    const char *text = arg.text ? arg.text : "";
    size_t size = arg.text ? arg.size : 0, at = 0;

    for (size_t i = 0; i <= size; i++) {
        if (i < size && !(has_slashes && text[i] == '/'))
            continue;
        if (!is_segment(text + at, i - at))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "%s: '%.*s' cannot be the name of anything", route->what,
                             (int)(size < 200 ? size : 200), text);
        at = i + 1;
    }
    put_escaped(out, text, size, false, has_slashes);
    return TKX_OK;
}

tkx_status tkx__rest_route_print(const tkx__rest_route *route, const tkx__rest_text *args,
                                 const tkx_pair *query, size_t n_query, tkx__buf *out,
                                 tkx_error **err)
{
    char separator = '?';

    for (const char *p = route->pattern; *p; p++) {
        if (*p != '{') {
            tkx__buf_putc(out, *p);
            continue;
        }
        bool has_slashes = p[1] == '/';
        tkx_status st = put_argument(route, *args++, has_slashes, out, err);
        if (st != TKX_OK)
            return st;
        p += has_slashes ? 2 : 1;
    }
    for (size_t i = 0; i < n_query; i++) {
        if (!query[i].value)
            continue;
        tkx__buf_printf(out, "%c%s=", separator, query[i].key);
        put_escaped(out, query[i].value, strlen(query[i].value), true, false);
        separator = '&';
    }
    if (out->status != TKX_OK)
        return tkx__fail(err, out->status, "%s: the route does not fit into %zu bytes",
                         route->what, out->max_size);
    return TKX_OK;
}

tkx_status tkx__rest_checkpoint_args(const char *path, tkx__rest_text args[2],
                                     tkx_error **err)
{
    tkx_tinker_path parts;
    tkx_status st = tkx_tinker_path_parse(path, &parts, err);

    if (st != TKX_OK)
        return st;
    args[0] = tkx__rest_view(parts.run_id, parts.run_id_size);
    args[1] = tkx__rest_view(parts.checkpoint_id, parts.checkpoint_id_size);
    return TKX_OK;
}

/* ---- the call ---- */

typedef struct rest_call {
    tkx__task task; /* first */
    tkx__task_kind kind;
    const tkx__rest_route *route;
    tkx__buf path;
    tkx__buf body;
    bool has_body;
    bool carries_key;
    tkx__header header;
    char *secret;
    char key[64];
} rest_call;

static void on_answer(void *arg, void *result, tkx_error *error)
{
    rest_call *call = arg;

    if (error)
        tkx__task_fail(&call->task, error);
    else
        tkx__task_succeed(&call->task, call->route->result->free_fn ? result : NULL);
}

/* Answers without a body that matters: anything but NULL will do. */
static void *decode_nothing(const tkx__payload *payload, void *arg, tkx_error **err)
{
    static char something;

    (void)payload;
    (void)arg;
    (void)err;
    return &something;
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    rest_call *call = (rest_call *)task;
    const tkx__rest_route *route = call->route;
    tkx__exchange_call spec = {
        .call = {.what = route->what,
                 .method = route->method,
                 .route = tkx__buf_text(&call->path),
                 .lane = TKX__LANE_REST,
                 .sdk_method = route->sdk_method,
                 .seq_id = -1,
                 .headers = &call->header,
                 .n_headers = call->secret ? 1 : 0,
                 .carries_key = call->carries_key,
                 .max_retries = TKX__INNER_RETRIES,
                 .is_outer = true,
                 .final_409 = route->final_409,
                 .max_reply_bytes = MAX_ANSWER_BYTES},
        .body = call->has_body ? &call->body : NULL,
        .decode = route->decode ? route->decode : decode_nothing,
    };

    if (route->has_one_key) {
        tkx__make_uuid(task->service->site, call->key, "tkx-");
        spec.call.idempotency_key = call->key;
    }
    return tkx__exchange_start(task->service->site, &spec, on_answer, call, err);
}

static void clear(tkx__task *task)
{
    rest_call *call = (rest_call *)task;

    tkx__buf_clear(&call->path);
    tkx__buf_clear(&call->body);
    if (call->secret)
        tkx__wipe(call->secret, strlen(call->secret));
    tkx__free(call->secret);
}

static tkx_status fill(rest_call *call, const tkx__rest_request *request, tkx_error **err)
{
    if (request->secret) {
        call->secret = tkx__strdup(request->secret);
        if (!call->secret)
            return tkx__fail_memory(err);
        call->header = (tkx__header){request->header, call->secret};
        call->carries_key = request->is_secret_the_key;
    }
    return tkx__rest_route_print(call->route, request->args, request->query,
                                 request->n_query, &call->path, err);
}

tkx_status tkx__rest_may_send(const tkx_rest *rest, const tkx__rest_route *route,
                              tkx_error **err)
{
    if (!route->is_preview || rest->service->options.has_preview_routes)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                     "%s: this route is known from documentation alone; "
                     "has_preview_routes of tkx_service_options lets it out",
                     route->what);
}

tkx_status tkx__rest_send(tkx_rest *rest, const tkx__rest_request *request,
                          tkx_future **out, tkx_error **err)
{
    const tkx__task_kind kind = {
        .result = request->route->result, .start = start, .clear = clear};
    tkx__task *task;
    rest_call *call;
    tkx_status st = tkx__rest_may_send(rest, request->route, err);

    if (st == TKX_OK)
        st = tkx__task_new(rest->service, &kind, sizeof *call, &task, out, err);
    if (st != TKX_OK) {
        if (request->body)
            tkx__buf_clear(request->body);
        return st;
    }
    call = (rest_call *)task;
    call->kind = kind; /* it lives as long as the task */
    task->kind = &call->kind;
    call->route = request->route;
    tkx__buf_init(&call->path, MAX_ROUTE_BYTES);
    if (request->body) {
        call->body = *request->body;
        call->has_body = true;
        tkx__buf_init(request->body, 0);
    }
    st = fill(call, request, err);
    if (st != TKX_OK) {
        tkx__task_drop(task, out);
        return st;
    }
    return tkx__task_launch(task, out, err);
}
