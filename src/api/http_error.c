/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_error.c - there is no single error schema, so the text is looked for in the shapes
 * that are known and else quoted raw, bounded and without control characters.
 */
#include "api/http_error.h"

#include <cJSON.h>
#include <string.h>

#include "api/backoff.h"
#include "base/mem.h"

#define MAX_TEXT 16000
#define MAX_ENTRIES 8
#define MAX_PARSED ((size_t)256 << 10)

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool may_stand(char c)
{
    return (unsigned char)c >= ' ' || c == '\n' || c == '\t';
}

/* Printable UTF-8 up to MAX_TEXT bytes; control characters become blanks. */
static void put_clean(tkx__buf *out, const char *text, size_t n)
{
    size_t end = n < MAX_TEXT ? n : MAX_TEXT;

    for (size_t i = 0; i < end; i++)
        tkx__buf_putc(out, may_stand(text[i]) ? text[i] : ' ');
    if (end < n)
        tkx__buf_puts(out, "...");
}

static void put_place(tkx__buf *out, const cJSON *loc)
{
    if (!cJSON_IsArray(loc) || !loc->child)
        return;
    tkx__buf_puts(out, " at ");
    for (const cJSON *part = loc->child; part; part = part->next) {
        if (cJSON_IsString(part))
            put_clean(out, part->valuestring, strlen(part->valuestring));
        else if (cJSON_IsNumber(part))
            tkx__buf_printf(out, "%d", part->valueint);
        if (part->next)
            tkx__buf_putc(out, '.');
    }
}

/* [{"loc": ["body", "data", 0], "msg": "..."}]: the first entries, each with its
   place. */
static int put_validation(tkx__buf *out, const cJSON *list)
{
    int n = 0;

    for (const cJSON *entry = list->child; entry && n < MAX_ENTRIES;
         entry = entry->next) {
        const char *msg = text_of(entry, "msg");

        if (!msg)
            continue;
        if (n++)
            tkx__buf_puts(out, "; ");
        put_clean(out, msg, strlen(msg));
        put_place(out, cJSON_GetObjectItemCaseSensitive(entry, "loc"));
    }
    return n;
}

static int put_known_shape(tkx__buf *out, const cJSON *root)
{
    const cJSON *detail = cJSON_GetObjectItemCaseSensitive(root, "detail");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(root, "error");
    const char *text = text_of(root, "detail");

    if (cJSON_IsArray(detail) && put_validation(out, detail))
        return 1;
    if (!text)
        text = text_of(root, "error");
    if (!text && cJSON_IsObject(error))
        text = text_of(error, "message");
    if (!text)
        text = text_of(root, "message");
    if (!text)
        return 0;
    put_clean(out, text, strlen(text));
    return 1;
}

void tkx__server_message(tkx__buf *out, const char *body, size_t size)
{
    cJSON *root = size && size <= MAX_PARSED ? cJSON_ParseWithLength(body, size) : NULL;

    if (!root || !put_known_shape(out, root))
        put_clean(out, size ? body : "(empty body)",
                  size ? size : strlen("(empty body)"));
    cJSON_Delete(root);
}

int tkx__body_has_detail(const char *body, size_t size)
{
    cJSON *root = size && size <= MAX_PARSED ? cJSON_ParseWithLength(body, size) : NULL;
    int has = cJSON_IsObject(root) && cJSON_HasObjectItem(root, "detail");

    cJSON_Delete(root);
    return has;
}

static tkx_status status_of(int http_status)
{
    switch (http_status) {
    case 401:
        return TKX_ERR_AUTH;
    case 402:
        return TKX_ERR_BILLING;
    case 403:
        return TKX_ERR_PERMISSION;
    default:
        return TKX_ERR_HTTP;
    }
}

static tkx_error_category category_of(int http_status)
{
    if (http_status >= 500)
        return TKX_ERROR_CATEGORY_SERVER;
    if (http_status >= 400 && http_status != 408)
        return TKX_ERROR_CATEGORY_USER;
    return TKX_ERROR_CATEGORY_UNKNOWN;
}

static const char *advice_for(int http_status)
{
    switch (http_status) {
    case 401:
        return "; check the API key (option or TINKER_API_KEY)";
    case 402:
        return "; the account needs a payment method or credit";
    case 403:
        return "; this key may not do that";
    case 404:
        return "; check the base URL and the id";
    case 413:
        return "; the request is too large for this server";
    default:
        return "";
    }
}

/* Overwrite every occurrence of the secret: servers and proxies echo headers at times. */
static void redact(tkx__buf *text, const char *secret)
{
    size_t n = secret ? strlen(secret) : 0;

    if (n < 4 || !text->data)
        return;
    for (char *at = strstr(text->data, secret); at; at = strstr(at, secret))
        memset(at, '*', n);
}

static tkx__error_facts facts_of(const tkx__attempt *attempt)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    facts.request_id = attempt->request_id;
    facts.seq_id = attempt->seq_id;
    facts.attempts = attempt->n_sends;
    facts.elapsed_ms = attempt->elapsed_ms;
    facts.trace_id = attempt->trace_id;
    return facts;
}

tkx_status tkx__fail_http(tkx_error **err, const tkx__attempt *attempt,
                          const tkx__reply *reply)
{
    tkx__buf text;
    tkx__error_facts facts = facts_of(attempt);
    int http = reply->http_status;

    facts.http_status = http;
    facts.category = category_of(http);
    facts.is_retryable = !attempt->is_final && tkx__status_is_retryable(http);
    facts.retry_after_ms = tkx__backoff_asked_ms(reply, 0);
    tkx__buf_init(&text, 1 << 16);
    tkx__server_message(&text, reply->body, reply->body_size);
    redact(&text, attempt->secret);
    redact(&text, attempt->key);
    tkx_status st = tkx__fail_facts(
        err, status_of(http), &facts, "%s: %s answered HTTP %d after %d send%s: %s%s",
        attempt->what, attempt->url, http, attempt->n_sends,
        attempt->n_sends == 1 ? "" : "s", tkx__buf_text(&text), advice_for(http));
    tkx__buf_clear(&text);
    return st;
}

tkx_status tkx__fail_link(tkx_error **err, const tkx__attempt *attempt,
                          const tkx__reply *reply)
{
    tkx__error_facts facts = facts_of(attempt);
    tkx_status st = reply->error ? tkx_error_status(reply->error) : TKX_ERR_CONNECTION;
    tkx_error *cause = reply->error ? tkx__error_copy(reply->error) : NULL;

    facts.is_retryable = st == TKX_ERR_CONNECTION || st == TKX_ERR_TIMEOUT;
    if (!cause)
        return tkx__fail_facts(err, st, &facts, "%s: no answer from %s after %d sends",
                               attempt->what, attempt->url, attempt->n_sends);
    const char *why = tkx_error_message(reply->error);
    return tkx__fail_cause(err, st, &facts, &cause,
                           "%s: no answer from %s after %d send%s: %s", attempt->what,
                           attempt->url, attempt->n_sends,
                           attempt->n_sends == 1 ? "" : "s", why);
}
