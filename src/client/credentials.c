/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credentials.c - stored keys for callers: where they come from, storing, forgetting.
 */
#include <tkx/credentials.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/credential.h"
#include "api/credential_file.h"
#include "base/error.h"
#include "base/mem.h"
#include "client/rest.h"
#include "types/service.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)

TKX__RECORD(api_key_info, "API key's data");

static const tkx__rest_route about_key = {
    .what = "get_api_key",
    .method = "GET",
    .pattern = "auth/apikey/me",
    .sdk_method = NULL,
    .result = &type_api_key_info,
    .decode = decode_api_key_info,
};

static const tkx__rest_route delete_key = {
    .what = "delete_api_key",
    .method = "DELETE",
    .pattern = "auth/apikey/me",
    .sdk_method = NULL,
    .result = &tkx__result_nothing,
};

/* A request about the very key that it is sent with. */
static tkx_status send_about(tkx_rest *rest, const tkx__rest_route *route,
                             const char *api_key, tkx_future **out, tkx_error **err)
{
    const tkx__rest_request request = {.route = route,
                                       .header = "X-API-Key",
                                       .secret = api_key,
                                       .is_secret_the_key = true};

    if (!tkx__credential_is_key(api_key))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "%s: that is no API key (blanks or control characters, or "
                         "nothing at all)",
                         route->what);
    return tkx__rest_send(rest, &request, out, err);
}

tkx_status tkx_rest_get_api_key(tkx_rest *rest, const char *api_key, tkx_future **out,
                                tkx_error **err)
{
    return send_about(rest, &about_key, api_key, out, err);
}

tkx_status tkx_rest_delete_api_key(tkx_rest *rest, const char *api_key, tkx_future **out,
                                   tkx_error **err)
{
    return send_about(rest, &delete_key, api_key, out, err);
}

/* --- what is there --------------------------------------------------------------- */

typedef struct info_block {
    tkx_credential_info info; /* first */
    tkx__buf path;
    tkx__stored_key *stored;
} info_block;

void tkx_credential_info_free(tkx_credential_info *info)
{
    info_block *b = (info_block *)info;

    if (!b)
        return;
    tkx__buf_clear(&b->path);
    tkx__credential_file_free(b->stored);
    tkx__free(b);
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);

    return value && *value;
}

static tkx_status look_into_file(info_block *b, tkx_error **err)
{
    tkx_error *why = NULL;
    tkx_status st = tkx__credential_file_read(b->info.path, &b->stored, &why);

    if (st == TKX_OK) {
        b->info.source = TKX_CREDENTIAL_FILE;
        b->info.key_id = b->stored->id;
        b->info.name = b->stored->name;
        b->info.note = b->stored->note;
        b->info.org_name = b->stored->org_name;
        b->info.user_email = b->stored->user_email;
    } else if (st != TKX_ERR_NOT_FOUND) {
        tkx__fail_with(err, why);
        return st;
    }
    tkx_error_free(why);
    return TKX_OK;
}

tkx_status tkx_credentials_find(tkx_credential_info **out, tkx_error **err)
{
    info_block *b = tkx__calloc(1, sizeof *b);
    tkx_status st = TKX_OK;

    if (!b)
        return tkx__fail_memory(err);
    tkx__buf_init(&b->path, MAX_PATH_BYTES);
    if (tkx__credential_file_path(&b->path, NULL) == TKX_OK)
        b->info.path = tkx__buf_text(&b->path);
    if (is_set("TINKER_API_KEY"))
        b->info.source = TKX_CREDENTIAL_ENVIRONMENT;
    else if (is_set("TINKER_CREDENTIAL_CMD"))
        b->info.source = TKX_CREDENTIAL_COMMAND;
    else if (b->info.path)
        st = look_into_file(b, err);
    if (st != TKX_OK) {
        tkx_credential_info_free(&b->info);
        return st;
    }
    *out = &b->info;
    return TKX_OK;
}

/* --- changing it ----------------------------------------------------------------- */

tkx_status tkx_credentials_store(const char *api_key, const tkx_api_key_info *info,
                                 tkx_error **err)
{
    char id[32] = "manual"; /* a service that does not number its keys */
    tkx__stored_key key = {.id = id, .key = api_key};
    tkx__buf path;
    tkx_status st;

    if (!tkx__credential_is_key(api_key))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "store a key: that is no API key (blanks or control characters, "
                         "or nothing at all)");
    if (info) {
        snprintf(id, sizeof id, "%lld", (long long)info->key_id);
        key.name = info->name;
        key.note = info->note;
        key.org_name = info->org_name;
        key.user_email = info->user_email;
    }
    tkx__buf_init(&path, MAX_PATH_BYTES);
    st = tkx__credential_file_path(&path, err);
    if (st == TKX_OK)
        st = tkx__credential_file_put(tkx__buf_text(&path), &key, err);
    tkx__buf_clear(&path);
    return st;
}

tkx_status tkx_credentials_forget(tkx_error **err)
{
    tkx__buf path;
    tkx_status st;

    tkx__buf_init(&path, MAX_PATH_BYTES);
    st = tkx__credential_file_path(&path, err);
    if (st == TKX_OK)
        st = tkx__credential_file_remove(tkx__buf_text(&path), err);
    tkx__buf_clear(&path);
    return st;
}
