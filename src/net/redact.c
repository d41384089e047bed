/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redact.c - one pass over a text; at each place the rules are tried in turn, and the one
 * that applies says how much it takes.
 */
#include "net/redact.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

/* --- what is known --------------------------------------------------------------- */

void tkx__secrets_add(tkx__secrets *s, const char *text)
{
    if (!text || strlen(text) < 4 || s->n == TKX__MAX_SECRETS)
        return;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->texts[i], text) == 0)
            return;
    s->texts[s->n] = tkx__strdup(text);
    if (s->texts[s->n])
        s->n++;
}

void tkx__secrets_clear(tkx__secrets *s)
{
    for (size_t i = 0; i < s->n; i++) {
        tkx__wipe(s->texts[i], strlen(s->texts[i]));
        tkx__free(s->texts[i]);
    }
    s->n = 0;
}

bool tkx__is_secret_header(const char *name)
{
    static const char *const names[] = {
        "x-api-key",  "authorization",       "proxy-authorization",    "cookie",
        "set-cookie", "cf-access-client-id", "cf-access-client-secret"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tkx__equals_nocase(name, names[i]))
            return true;
    return false;
}

/* --- the rules ------------------------------------------------------------------- */

typedef struct place {
    const char *at, *end;
    const tkx__secrets *secrets;
    tkx__buf *out;
    bool in_word; /* the byte before belongs to a word */
    bool in_query;
} place;

static bool starts(const place *p, const char *word)
{
    size_t n = strlen(word);

    return (size_t)(p->end - p->at) >= n && memcmp(p->at, word, n) == 0;
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

static size_t token_length(const char *at, const char *end, bool with_dots)
{
    const char *from = at;

    while (at < end && (is_token_char(*at) || (with_dots && *at == '.')))
        at++;
    return (size_t)(at - from);
}

static size_t named_secret(const place *p)
{
    for (size_t i = 0; i < p->secrets->n; i++)
        if (starts(p, p->secrets->texts[i])) {
            tkx__buf_puts(p->out, TKX__REDACTED);
            return strlen(p->secrets->texts[i]);
        }
    return 0;
}

static size_t key_or_jwt(const place *p)
{
    size_t n;

    if (p->in_word)
        return 0;
    if (starts(p, "tml-") && (n = token_length(p->at, p->end, false)) >= 12) {
        tkx__buf_puts(p->out, TKX__REDACTED);
        return n;
    }
    if (starts(p, "eyJ") && (n = token_length(p->at, p->end, true)) >= 16 &&
        memchr(p->at, '.', n)) {
        tkx__buf_puts(p->out, TKX__REDACTED_JWT);
        return n;
    }
    return 0;
}

static size_t bearer(const place *p)
{
    static const char word[] = "Bearer ";
    size_t n = sizeof word - 1;
    size_t size;

    if (p->in_word || (size_t)(p->end - p->at) <= n || strncasecmp(p->at, word, n) != 0)
        return 0;
    for (size = 0; p->at + n + size < p->end; size++)
        if ((unsigned char)p->at[n + size] <= ' ' || strchr("\"',;\\", p->at[n + size]))
            break;
    if (size < 4)
        return 0;
    tkx__buf_append(p->out, p->at, n);
    tkx__buf_puts(p->out, TKX__REDACTED);
    return n + size;
}

static bool is_secret_name(const char *name, size_t n)
{
    static const char *const words[] = {"token",   "secret",     "password",
                                        "api_key", "apikey",     "credential",
                                        "jwt",     "private_key"};
    char lower[64];

    if (n >= sizeof lower)
        return false;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[n] = '\0';
    /* tokens, n_tokens, max_tokens and the like are what this protocol is about */
    if (strstr(lower, "tokens") || strstr(lower, "tokenizer"))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(lower, words[i]))
            return true;
    return false;
}

/* At the quote of "name": "value". */
static size_t json_member(const place *p)
{
    const char *name = p->at + 1;
    const char *at = name;

    if (*p->at != '"')
        return 0;
    while (at < p->end && is_token_char(*at))
        at++;
    size_t n = (size_t)(at - name);
    if (n == 0 || at == p->end || *at != '"' || !is_secret_name(name, n))
        return 0;
    for (at++; at < p->end && (*at == ' ' || *at == ':'); at++)
        ;
    if (at == p->end || *at != '"')
        return 0;
    const char *value = ++at;
    while (at < p->end && *at != '"')
        at += *at == '\\' && at + 1 < p->end ? 2 : 1;
    if (at == value || at >= p->end)
        return 0;
    tkx__buf_append(p->out, p->at, (size_t)(value - p->at));
    tkx__buf_puts(p->out, value[0] == 'e' && value[1] == 'y' && value[2] == 'J'
                              ? TKX__REDACTED_JWT
                              : TKX__REDACTED);
    return (size_t)(at - p->at);
}

/* --- URLs ------------------------------------------------------------------------ */

static bool ends_url(char c)
{
    return (unsigned char)c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>';
}

/* https://user:password@host */
static size_t url_user(const place *p)
{
    size_t n = starts(p, "https://") ? 8 : starts(p, "http://") ? 7 : 0;

    if (!n)
        return 0;
    for (const char *at = p->at + n; at < p->end && !ends_url(*at) && *at != '/'; at++)
        if (*at == '@') {
            tkx__buf_append(p->out, p->at, n);
            tkx__buf_puts(p->out, TKX__REDACTED);
            return (size_t)(at - p->at);
        }
    return 0;
}

static bool is_secret_parameter(const char *name, size_t n)
{
    char lower[64];

    if (n >= sizeof lower)
        return true;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[n] = '\0';
    return strstr(lower, "sig") || strstr(lower, "auth") || strstr(lower, "policy") ||
           strcmp(lower, "key") == 0 || strstr(lower, "accesskey") ||
           is_secret_name(lower, n);
}

/* At the name of a parameter: name=value. */
static size_t url_parameter(const place *p)
{
    char before = p->at[-1];
    const char *at = p->at;

    /* an ampersand may stand as \u0026 */
    if (before != '?' && before != '&' && before != '6')
        return 0;
    while (at < p->end && (is_token_char(*at) || *at == '.' || *at == '%'))
        at++;
    if (at == p->at || at == p->end || *at != '=' ||
        !is_secret_parameter(p->at, (size_t)(at - p->at)))
        return 0;
    const char *value = ++at;
    while (at < p->end && !ends_url(*at) && *at != '&' && *at != '\\' && *at != '#')
        at++;
    if (at == value)
        return 0;
    tkx__buf_append(p->out, p->at, (size_t)(value - p->at));
    tkx__buf_puts(p->out, TKX__REDACTED);
    return (size_t)(at - p->at);
}

/* --- the pass -------------------------------------------------------------------- */

static size_t apply(const place *p)
{
    size_t n = named_secret(p);

    if (!n)
        n = key_or_jwt(p);
    if (!n)
        n = bearer(p);
    if (!n)
        n = json_member(p);
    if (!n)
        n = url_user(p);
    if (!n && p->in_query)
        n = url_parameter(p);
    return n;
}

void tkx__redact_text(tkx__buf *out, const char *text, size_t size,
                      const tkx__secrets *secrets)
{
    place p = {.at = text, .end = text + size, .secrets = secrets, .out = out};

    while (p.at < p.end) {
        size_t n = apply(&p);

        if (n) {
            p.at += n;
            p.in_word = true;
            continue;
        }
        p.in_query = *p.at == '?' || (p.in_query && !ends_url(*p.at));
        p.in_word = is_token_char(*p.at);
        tkx__buf_putc(out, *p.at++);
    }
}

void tkx__redact_bytes(char *bytes, size_t size, const tkx__secrets *secrets)
{
    for (size_t i = 0; i < secrets->n; i++) {
        size_t n = strlen(secrets->texts[i]);

        for (size_t at = 0; at + n <= size; at++)
            if (memcmp(bytes + at, secrets->texts[i], n) == 0)
                memset(bytes + at, 'X', n);
    }
}
