/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credential.c - look for a credential in the documented order, refuse what cannot be
 * one.
 *
 * No message quotes a key, not even a rejected one: it may be right for another service.
 */
#include "api/credential.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/credential_file.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_CREDENTIAL ((size_t)64 << 10)

static bool is_jwt(const char *key)
{
    return tkx__starts_with(key, "eyJ");
}

static const char *environment(const tkx__auth_options *options, const char *name)
{
    const char *value = options->ignore_environment ? NULL : getenv(name);
    return value && *value ? value : NULL;
}

char *tkx__jwt_payload(const char *jwt)
{
    const char *begin = strchr(jwt, '.');
    const char *end = begin ? strchr(begin + 1, '.') : NULL;

    if (!end)
        return NULL;
    size_t n = (size_t)(end - begin - 1);
    char *text = tkx__malloc(n / 4 * 3 + 4);
    if (!text)
        return NULL;
    ptrdiff_t size = tkx__base64_decode(begin + 1, n, text);
    if (size < 0) {
        tkx__free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

static int64_t seconds_of(const cJSON *root, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
    double value = cJSON_IsNumber(item) ? item->valuedouble : 0;

    return value > 0 && value < 1e12 ? (int64_t)(value * 1000.0) : 0;
}

tkx_status tkx__jwt_times(const char *jwt, int64_t *iat_ms, int64_t *exp_ms,
                          tkx_error **err)
{
    char *payload = tkx__jwt_payload(jwt);
    cJSON *root = payload ? cJSON_Parse(payload) : NULL;

    tkx__free(payload);
    *iat_ms = *exp_ms = 0;
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return tkx__fail(err, TKX_ERR_PARSE, "a token that is not a readable JWT");
    }
    *iat_ms = seconds_of(root, "iat");
    *exp_ms = seconds_of(root, "exp");
    cJSON_Delete(root);
    return TKX_OK;
}

static tkx_status check_life(const char *key, int64_t wall_ms, const char *source,
                             tkx_error **err)
{
    int64_t iat, exp;

    if (!is_jwt(key) || tkx__jwt_times(key, &iat, &exp, NULL) != TKX_OK || exp == 0 ||
        exp > wall_ms)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_AUTH, "the token from %s has expired; get a new one",
                     source);
}

static bool has_known_prefix(const char *key)
{
    return tkx__starts_with(key, "tml-") || is_jwt(key);
}

static bool is_sendable(const char *key)
{
    for (; *key; key++)
        if ((unsigned char)*key <= ' ' || *key == 0x7f)
            return false;
    return true;
}

bool tkx__credential_is_key(const char *text)
{
    return text && *text && is_sendable(text);
}

/* Take a key from a source, after the checks that can be made here. */
static tkx_status accept_key(tkx__credential *out, const tkx__auth_options *options,
                             const char *key, const char *source, int64_t wall_ms,
                             tkx_error **err)
{
    if (!is_sendable(key))
        return tkx__fail(err, TKX_ERR_AUTH,
                         "the API key from %s has blanks or control characters in it",
                         source);
    if (!options->accept_any_key && !has_known_prefix(key))
        return tkx__fail(
            err, TKX_ERR_AUTH,
            "the API key from %s does not begin with \"tml-\" (or \"eyJ\", a "
            "token); copy it again from the service's console",
            source);
    tkx_status st = check_life(key, wall_ms, source, err);
    if (st != TKX_OK)
        return st;
    out->key = tkx__strdup(key);
    out->is_jwt = is_jwt(key);
    return out->key ? TKX_OK : tkx__fail_memory(err);
}

static tkx_status nothing_found(tkx_error **err)
{
    return tkx__fail(err, TKX_ERR_AUTH,
                     "no API key: give one as an option, set TINKER_API_KEY, set "
                     "TINKER_CREDENTIAL_CMD to a command that prints one, or store one "
                     "with `tkx auth login`");
}

/* The stored default key.  A file that is there and cannot be used is an error: a user
 * who stored a key would otherwise look for it in vain. */
static tkx_status from_file(tkx__credential *out, const tkx__auth_options *options,
                            int64_t wall_ms, tkx_error **err)
{
    const char *path = options->credentials_file;
    tkx__stored_key *stored = NULL;
    tkx_error *why = NULL;
    tkx__buf home;
    tkx_status st = TKX_OK;

    if (!path && options->ignore_environment)
        return nothing_found(err);
    tkx__buf_init(&home, 1 << 16);
    if (!path) {
        st = tkx__credential_file_path(&home, &why);
        path = tkx__buf_text(&home);
    }
    if (st == TKX_OK)
        st = tkx__credential_file_read(path, &stored, &why);
    if (st == TKX_OK)
        st = accept_key(out, options, stored->key, path, wall_ms, err);
    else if (st == TKX_ERR_NOT_FOUND || st == TKX_ERR_NO_MEMORY)
        st = st == TKX_ERR_NOT_FOUND ? nothing_found(err) : tkx__fail_memory(err);
    else
        st =
            tkx__fail(err, TKX_ERR_AUTH, "no usable API key: %s", tkx_error_message(why));
    tkx_error_free(why);
    tkx__credential_file_free(stored);
    tkx__buf_clear(&home);
    return st;
}

tkx_status tkx__credential_find(tkx__credential *out, const tkx__auth_options *options,
                                int64_t wall_ms, tkx_error **err)
{
    const char *key = environment(options, "TINKER_API_KEY");
    const char *command = environment(options, "TINKER_CREDENTIAL_CMD");

    *out = (tkx__credential){0};
    if (command) {
        out->command = tkx__strdup(command);
        if (!out->command)
            return tkx__fail_memory(err);
    }
    if (options->api_key)
        return accept_key(out, options, options->api_key, "api_key or TINKER_API_KEY",
                          wall_ms, err);
    if (key && (options->accept_any_key || has_known_prefix(key) || !command))
        return accept_key(out, options, key, "TINKER_API_KEY", wall_ms, err);
    if (command)
        return TKX_OK; /* run for each exchange */
    return from_file(out, options, wall_ms, err);
}

void tkx__credential_clear(tkx__credential *credential)
{
    if (credential->key)
        tkx__wipe(credential->key, strlen(credential->key));
    tkx__free(credential->key);
    tkx__free(credential->command);
    *credential = (tkx__credential){0};
}

static char *trimmed(char *text, size_t n)
{
    while (n > 0 && (unsigned char)text[n - 1] <= ' ')
        n--;
    text[n] = '\0';
    while (*text && (unsigned char)*text <= ' ')
        text++;
    return text;
}

tkx_status tkx__credential_run(const char *command, int64_t wall_ms, char **out,
                               tkx_error **err)
{
    tkx_status st = TKX_OK;
    char *text = tkx__malloc(MAX_CREDENTIAL + 1);
    FILE *pipe = text ? popen(command, "re") : NULL;

    if (!pipe) {
        tkx__free(text);
        return tkx__fail(err, TKX_ERR_AUTH,
                         "the credential command could not be started");
    }
    size_t n = fread(text, 1, MAX_CREDENTIAL, pipe);
    int rc = pclose(pipe);
    const char *key = trimmed(text, n);
    if (rc != 0)
        st = tkx__fail(err, TKX_ERR_AUTH, "the credential command ended with status %d",
                       rc);
    else if (!*key || !is_sendable(key))
        st = tkx__fail(err, TKX_ERR_AUTH,
                       "the credential command printed nothing that can be a credential");
    else
        st = check_life(key, wall_ms, "the credential command", err);
    if (st == TKX_OK) {
        *out = tkx__strdup(key);
        if (!*out)
            st = tkx__fail_memory(err);
    }
    tkx__wipe(text, n);
    tkx__free(text);
    return st;
}
