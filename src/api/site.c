/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site.c - address, fixed headers and the list of open operations of one service.
 *
 * Header strings are built once here, so that a request only points at them.
 */
#include "api/site.h"

#include "api/profile.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

void tkx__config_default(tkx__config *c)
{
    *c = (tkx__config){
        .parallel_fwdbwd_chunks = true,
        .sample_enable_stuck_detection = true,
        .sample_dispatch_bytes = 10 << 20,
        .inflight_response_bytes = 50 << 20,
        .fwdbwd_max_chunk_len = 1024,
        .fwdbwd_max_chunk_bytes = 5000000,
        .fwdbwd_dispatch_bytes = 50000000,
        .billing_max_pause_ms = 3600000,
        .sample_max_concurrent = 2000,
    };
}

static void default_dynamic(tkx__dynamic_config *c)
{
    *c = (tkx__dynamic_config){.refresh_interval_ms = 300000,
                               .sample_cancel_max_batch = 64};
}

/* Base without trailing slashes, then the prefix of all routes. */
static char *make_api_url(const char *base, const char *prefix)
{
    size_t n = strlen(base);
    tkx__buf buf;

    while (n > 0 && base[n - 1] == '/')
        n--;
    tkx__buf_init(&buf, 1 << 16);
    tkx__buf_append(&buf, base, n);
    for (prefix += strspn(prefix, "/"); *prefix;) { /* one slash between parts */
        size_t m = strcspn(prefix, "/");

        tkx__buf_putc(&buf, '/');
        tkx__buf_append(&buf, prefix, m);
        prefix += m;
        prefix += strspn(prefix, "/");
    }
    tkx__buf_putc(&buf, '/');
    char *url = tkx__buf_take(&buf, NULL);
    tkx__buf_clear(&buf);
    return url;
}

/* "tkx/1.2.3 libcurl/7.88.1", then what the user adds. */
static char *make_user_agent(const char *more)
{
    tkx__buf buf;

    tkx__buf_init(&buf, 1 << 16);
    tkx__buf_printf(&buf, "tkx/%s libcurl/%s", TKX_VERSION_STRING,
                    tkx__net_curl_version());
    if (more && *more)
        tkx__buf_printf(&buf, " %s", more);
    char *text = tkx__buf_take(&buf, NULL);
    tkx__buf_clear(&buf);
    return text;
}

static bool is_http_url(const char *url)
{
    const char *rest = tkx__starts_with(url, "https://")  ? url + 8
                       : tkx__starts_with(url, "http://") ? url + 7
                                                          : NULL;
    if (!rest || !*rest || *rest == '/')
        return false;
    for (; *rest; rest++)
        if ((unsigned char)*rest <= ' ')
            return false;
    return true;
}

static bool copy_header(tkx__header *to, const char *name, const char *value)
{
    to->name = tkx__strdup(name);
    to->value = tkx__strdup(value);
    return to->name && to->value;
}

static bool named(const tkx__header *headers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (tkx__equals_nocase(headers[i].name, name))
            return true;
    return false;
}

static const char *arch_name(void)
{
    struct utsname un;

    if (uname(&un) != 0)
        return "unknown";
    if (strcmp(un.machine, "x86_64") == 0)
        return "x64";
    if (strcmp(un.machine, "aarch64") == 0 || strcmp(un.machine, "arm64") == 0)
        return "arm64";
    return "unknown";
}

/* Those of ours that the caller has not given. */
static bool add_own(tkx__site *site, const tkx__site_options *options,
                    const tkx__header *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!named(options->headers, options->n_headers, own[i].name) &&
            !copy_header(&site->headers[site->n_headers++], own[i].name, own[i].value))
            return false;
    return true;
}

/* The caller's headers win over ours. */
static bool copy_headers(tkx__site *site, const tkx__site_options *options)
{
    const tkx__header platform[] = {
        {"X-Stainless-OS", "Linux"},
        {"X-Stainless-Arch", arch_name()},
        {"X-Stainless-Runtime", "C"},
        {"X-Stainless-Runtime-Version", "11"},
        {"X-Stainless-Async", "async:libcurl"},
    };
    const tkx__header always[] = {
        {"User-Agent", site->user_agent},
        {"X-Stainless-Package-Version", site->sdk_version},
        {"Accept-Encoding", tkx__net_codings()},
    };
    const size_t n_platform = sizeof platform / sizeof *platform;
    const size_t n_always = sizeof always / sizeof *always;

    site->headers =
        tkx__calloc(options->n_headers + n_platform + n_always, sizeof *site->headers);
    if (!site->headers || !add_own(site, options, platform, n_platform))
        return false;
    site->n_platform = site->n_headers;
    if (!add_own(site, options, always, n_always))
        return false;
    for (size_t i = 0; i < options->n_headers; i++)
        if (!copy_header(&site->headers[site->n_headers++], options->headers[i].name,
                         options->headers[i].value))
            return false;
    return true;
}

tkx_status tkx__site_new(const tkx__site_options *options, tkx__site **out,
                         tkx_error **err)
{
    tkx_status st;

    if (!is_http_url(options->base_url))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "base URL \"%s\" is not http://HOST... or https://HOST...",
                         options->base_url);
    tkx__site *site = tkx__calloc(1, sizeof *site);
    if (!site)
        return tkx__fail_memory(err);
    site->io = options->io;
    site->log = options->log;
    site->breakers = options->breakers;
    site->observer = options->observer;
    site->limiter = options->limiter;
    site->request_timeout_ms =
        options->request_timeout_ms > 0 ? options->request_timeout_ms : 60000;
    site->poll_timeout_ms =
        options->poll_timeout_ms > 0 ? options->poll_timeout_ms : 45000;
    tkx__config config;
    tkx__config_default(&config);
    site->on_trouble = options->on_trouble;
    site->trouble_arg = options->trouble_arg;
    default_dynamic(&site->dynamic);
    tkx__billing_init(&site->billing, site->log);
    tkx__site_configure(site, &config);
    for (int i = 0; i < TKX__N_LANES; i++)
        site->proxy_400_left[i] = TKX__PROXY_400_BUDGET;

    site->api_url = make_api_url(options->base_url,
                                 options->api_prefix ? options->api_prefix : "/api/v1");
    site->sdk_version =
        tkx__strdup(options->sdk_version ? options->sdk_version : TKX__SDK_VERSION);
    site->user_agent = make_user_agent(options->user_agent);
    if (!site->api_url || !site->sdk_version || !site->user_agent ||
        !copy_headers(site, options)) {
        st = tkx__fail_memory(err);
        goto done;
    }
    st = TKX_OK;
    *out = site;
    site = NULL;
done:
    tkx__site_free(site);
    return st;
}

/* Header strings are ours, though the type says const for the callers' sake. */
static void free_text(const char *text)
{
    tkx__free((void *)(uintptr_t)text);
}

void tkx__site_free(tkx__site *site)
{
    if (!site)
        return;
    for (size_t i = 0; i < site->n_headers; i++) {
        free_text(site->headers[i].name);
        free_text(site->headers[i].value);
    }
    tkx__profiles_free(site);
    for (size_t i = 0; i < sizeof site->seen_notes / sizeof *site->seen_notes; i++)
        tkx__free(site->seen_notes[i]);
    tkx__free(site->headers);
    tkx__free(site->api_url);
    tkx__free(site->sdk_version);
    tkx__free(site->user_agent);
    tkx__free(site);
}

void tkx__site_configure(tkx__site *site, const tkx__config *config)
{
    site->config = *config;
    site->billing.max_pause_ms = config->billing_max_pause_ms;
    tkx__budget_init(&site->responses, config->inflight_response_bytes);
    tkx__budget_init(&site->uploads, config->fwdbwd_dispatch_bytes);
}

int64_t tkx__site_now(const tkx__site *site)
{
    return site->io.ops->now_ms(site->io.ctx);
}

double tkx__site_uniform(tkx__site *site)
{
    return site->io.ops->uniform(site->io.ctx);
}

void tkx__op_register(tkx__site *site, tkx__op *op, void (*abort)(tkx__op *op))
{
    op->abort = abort;
    op->prev = NULL;
    op->next = site->ops;
    if (site->ops)
        site->ops->prev = op;
    site->ops = op;
    op->is_listed = true;
}

void tkx__op_unregister(tkx__site *site, tkx__op *op)
{
    if (!op->is_listed)
        return;
    if (op->prev)
        op->prev->next = op->next;
    else
        site->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
    op->is_listed = false;
}

void tkx__site_close(tkx__site *site)
{
    site->is_closed = true;
    while (site->ops) {
        tkx__op *op = site->ops;
        tkx__op_unregister(site, op);
        op->abort(op); /* may unregister others too, so begin again at the head */
    }
}
