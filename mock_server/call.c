/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - reading a request's parts and filling in its answer. */
#include "mock_server/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mock_server/jw.h"
#include "mock_server/server.h"
#include "mock_server/strict.h"

const char *call_header_in(const call *c, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(c->req), name);
}

const char *call_query(const call *c, const char *name)
{
    return evhttp_find_header(&c->query, name);
}

const char *call_keep(call *c, const char *text)
{
    const char *kept = tkx__arena_strndup(&c->arena, text, strlen(text));
    return kept ? kept : "";
}

/* Twinkle's types forbid unknown members, the hosted ones do so with --strict. */
static bool keys_are_known(call *c, const jv *body)
{
    const mock_options *opt = &c->srv->opt;
    bool is_old = opt->dialect != DIALECT_HOSTED;
    const char *key;
    if (!(opt->is_strict || opt->dialect == DIALECT_TWINKLE) ||
        opt->dialect == DIALECT_SKYRL)
        return true;
    key = strict_unknown(c->route->pattern, is_old, body);
    if (key)
        call_invalid(c, key, "Extra inputs are not permitted");
    return !key;
}

bool call_json(call *c, const jv **out)
{
    tkx_error *err = NULL;
    bool is_empty = c->body_size == 0;
    tkx_status st = jv_parse(&c->arena, is_empty ? "{}" : c->body,
                             is_empty ? 2 : c->body_size, out, &err);
    if (st != TKX_OK) {
        call_invalid(c, NULL, "%s", tkx_error_message(err));
        tkx_error_free(err);
        return false;
    }
    if ((*out)->kind != JV_OBJECT) {
        call_invalid(c, NULL, "Input should be an object");
        return false;
    }
    return keys_are_known(c, *out);
}

bool call_ok(call *c)
{
    c->status = 200;
    return true;
}

bool call_empty(call *c)
{
    tkx__buf_puts(&c->out, "null");
    return call_ok(c);
}

bool call_error(call *c, int status, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    tkx__buf_reset(&c->out);
    jw_fmt(&c->out, "{\"detail\":%s}", text);
    c->content_type = NULL;
    c->status = status;
    return true;
}

bool call_invalid(call *c, const char *member, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    tkx__buf_reset(&c->out);
    tkx__buf_puts(&c->out, "{\"detail\":[{\"loc\":[\"body\"");
    if (member)
        jw_fmt(&c->out, ",%s", member);
    jw_fmt(&c->out, "],\"msg\":%s,\"type\":\"value_error\"}]}", text);
    c->content_type = NULL;
    c->status = 422;
    return true;
}

static int status_of(const tkx_error *err)
{
    switch (tkx_error_status(err)) {
    case TKX_ERR_PARSE:
        return 422;
    case TKX_ERR_NOT_FOUND:
        return 404;
    case TKX_ERR_PERMISSION:
        return 403;
    case TKX_ERR_INVALID_ARGUMENT:
    case TKX_ERR_LIMIT:
    case TKX_ERR_UNSUPPORTED:
    case TKX_ERR_INVALID_STATE:
        return 400;
    default:
        return tkx_error_get_category(err) == TKX_ERROR_CATEGORY_USER ? 400 : 500;
    }
}

bool call_fail(call *c, tkx_error **err)
{
    call_error(c, status_of(*err), "%s", tkx_error_message(*err));
    tkx_error_free(*err);
    *err = NULL;
    return true;
}

void call_set_header(call *c, const char *name, const char *value)
{
    if (c->n_headers < CALL_MAX_HEADERS)
        c->headers[c->n_headers++] = (call_header){name, value};
}
