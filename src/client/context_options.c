/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context_options.c - options as given become options as used: environment filled in,
 * everything checked and copied into one block that is wiped at the end (the key is in
 * it).
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/str.h"
#include "client/context_impl.h"

static const char hosted_url[] =
    "https://tinker.thinkingmachines.dev/services/tinker-prod";

static const char *first_set(const char *given, const char *variable,
                             const char *otherwise)
{
    const char *value = given ? given : getenv(variable);

    return value && *value ? value : otherwise;
}

static bool is_http_url(const char *url)
{
    const char *host = tkx__starts_with(url, "http://")    ? url + 7
                       : tkx__starts_with(url, "https://") ? url + 8
                                                           : NULL;

    if (!host || *host == '\0' || *host == '/' || *host == ':')
        return false;
    for (const char *c = host; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '?' || *c == '#')
            return false;
    return strchr(host, '@') == NULL; /* credentials in a URL end up in logs */
}

/* A token, a colon, and no control characters after it. */
bool tkx__context_is_header(const char *line)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = line ? strspn(line, token) : 0;

    if (n == 0 || line[n] != ':')
        return false;
    for (const char *c = line + n; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return false;
    return true;
}

static bool is_one_line(const char *text)
{
    for (const char *c = text ? text : ""; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return true;
}

static tkx_status check(const tkx_context_options *o, tkx_error **err)
{
    if (!is_http_url(o->base_url))
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "base URL '%s' is not http://host... or https://host... (no user, "
            "query or blank): set base_url or TINKER_BASE_URL",
            o->base_url);
    if (!is_one_line(o->api_key))
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "the API key holds a line break or another control character: check "
            "api_key or TINKER_API_KEY");
    if (!is_one_line(o->user_agent))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "user_agent holds a control character");
    if (o->n_extra_headers > 0 && !o->extra_headers)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "n_extra_headers is %zu and extra_headers is NULL",
                         o->n_extra_headers);
    for (size_t i = 0; i < o->n_extra_headers; i++)
        if (!tkx__context_is_header(
                o->extra_headers[i])) /* not shown: it may be a secret */
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "extra_headers[%zu] is not of the form 'Name: value'", i);
    if (o->n_workers < -1 || o->n_workers > 64)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "n_workers is %d: -1 (none), 0 (two) or up to 64", o->n_workers);
    if (o->connect_timeout_ms < 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "connect_timeout_ms is negative");
    if (o->call_timeout_ms < 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "call_timeout_ms is negative: 0 is without limit");
    return TKX_OK;
}

/* Move one string into the block; NULL stays NULL. */
static void keep(char **at, const char **text)
{
    size_t n;

    if (!*text)
        return;
    n = strlen(*text) + 1;
    *text = memcpy(*at, *text, n);
    *at += n;
}

static tkx_status copy_strings(tkx_context *context, tkx_error **err)
{
    tkx_context_options *o = &context->options;
    const char **fields[] = {&o->base_url, &o->api_key,  &o->ca_file,
                             &o->proxy,    &o->no_proxy, &o->user_agent};
    const size_t n_fields = sizeof fields / sizeof *fields;
    size_t size = 1;
    char *at;

    for (size_t i = 0; i < n_fields; i++)
        size += *fields[i] ? strlen(*fields[i]) + 1 : 0;
    for (size_t i = 0; i < o->n_extra_headers; i++)
        size += strlen(o->extra_headers[i]) + 1;
    context->strings = at = tkx__malloc(size);
    context->extra_headers = tkx__calloc(o->n_extra_headers + 1, sizeof(char *));
    if (!context->strings || !context->extra_headers)
        return tkx__fail_memory(err);
    context->strings_size = size;
    for (size_t i = 0; i < n_fields; i++)
        keep(&at, fields[i]);
    for (size_t i = 0; i < o->n_extra_headers; i++) {
        context->extra_headers[i] = o->extra_headers[i];
        keep(&at, &context->extra_headers[i]);
    }
    o->extra_headers = context->extra_headers;
    for (char *end = (char *)o->base_url + strlen(o->base_url);
         end > o->base_url && end[-1] == '/'; end--)
        end[-1] = '\0';
    return TKX_OK;
}

tkx_status tkx__context_set_options(tkx_context *context, const tkx_context_options *from,
                                    tkx_error **err)
{
    const tkx_context_options defaults = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context_options *o = &context->options;
    tkx_record_options record;
    tkx_status status;

    *o = defaults;
    status = tkx__options_overlay(o, sizeof *o, from, "tkx_context_options", err);
    if (status != TKX_OK)
        return status;
    o->base_url = first_set(o->base_url, "TINKER_BASE_URL", hosted_url);
    o->api_key = first_set(o->api_key, "TINKER_API_KEY", NULL);
    status = tkx__context_read_record(o, &record, err);
    if (status != TKX_OK)
        return status;
    if (record.replay_path && !o->api_key)
        o->api_key = "tml-replayed"; /* nobody will see it */
    status = check(o, err);
    if (status == TKX_OK)
        status = tkx__breakers_init(&context->breakers, o->breaker, err);
    if (status == TKX_OK)
        status = tkx__limiter_init(&context->limiter, o->limiter, err);
    o->breaker = NULL; /* copied */
    o->limiter = NULL;
    if (status == TKX_OK)
        status = copy_strings(context, err);
    if (status != TKX_OK)
        return status;
    if (o->connect_timeout_ms == 0)
        o->connect_timeout_ms = 5000;
    if (o->stuck_after_ms == 0)
        o->stuck_after_ms = 300000;
    if (o->max_reply_bytes == 0)
        o->max_reply_bytes = (size_t)1 << 30;
    context->log = (tkx__log){o->log_fn, o->log_user_data, o->max_log_level};
    return TKX_OK;
}

void tkx__context_clear_options(tkx_context *context)
{
    tkx__wipe(context->strings, context->strings_size);
    tkx__free(context->strings);
    tkx__free(context->extra_headers);
}
