/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_exchange.c - command (on a worker, it blocks), then the token request.
 *
 * While the command runs the exchange cannot be freed, so a cancelled one is only marked
 * and goes away when the worker is back.
 */
#include "api/auth_exchange.h"

#include <cJSON.h>
#include <string.h>

#include "api/call.h"
#include "api/credential.h"
#include "base/error.h"
#include "base/mem.h"

struct tkx__auth_exchange {
    tkx__site *site;
    tkx__exchange_spec spec;
    tkx__exchange_fn *fn;
    void *arg;
    tkx__call *call;
    bool is_working;
    bool is_cancelled;
    int64_t wall_ms;
    tkx__secret *key;
    tkx__header header; /* X-API-Key of this request */
    char *printed;      /* what the command gave */
    tkx_error *error;
};

static const tkx__body empty_object = {.bytes = "{}", .size_bytes = 2};

static void dispose(tkx__auth_exchange *x)
{
    tkx__call_cancel(x->call);
    tkx__secret_unref(x->key);
    if (x->printed)
        tkx__wipe(x->printed, strlen(x->printed));
    tkx__free(x->printed);
    tkx_error_free(x->error);
    tkx__free(x);
}

void tkx__auth_exchange_cancel(tkx__auth_exchange *x)
{
    if (x && x->is_working)
        x->is_cancelled = true;
    else if (x)
        dispose(x);
}

static void finish(tkx__auth_exchange *x, tkx__exchange_result *result)
{
    tkx__exchange_fn *fn = x->fn;
    void *arg = x->arg;

    result->is_key_only = x->spec.key_only;
    dispose(x);
    fn(arg, result);
}

static void fail(tkx__auth_exchange *x, tkx_error *error)
{
    tkx__exchange_result result = {.error = error};
    finish(x, &result);
}

static void on_answer(void *arg, tkx__outcome *outcome)
{
    tkx__auth_exchange *x = arg;
    tkx__exchange_result result = {.error = outcome->error};

    x->call = NULL;
    if (outcome->error) {
        finish(x, &result);
        return;
    }
    cJSON *root = outcome->reply->body ? cJSON_Parse(outcome->reply->body) : NULL;
    cJSON *jwt = cJSON_GetObjectItemCaseSensitive(root, "jwt");
    if (cJSON_IsString(jwt)) {
        result.token = tkx__secret_new(jwt->valuestring);
        tkx__jwt_times(jwt->valuestring, &result.iat_ms, &result.exp_ms, NULL);
        tkx__wipe(jwt->valuestring, strlen(jwt->valuestring));
        if (!result.token)
            tkx__fail_memory(&result.error);
    } else {
        tkx__fail(&result.error, TKX_ERR_PROTOCOL,
                  "auth/token answered without a \"jwt\" text");
    }
    if (outcome->reply->body)
        tkx__wipe(outcome->reply->body, outcome->reply->body_size);
    cJSON_Delete(root);
    finish(x, &result);
}

static tkx_status request_token(tkx__auth_exchange *x, tkx_error **err)
{
    x->header = (tkx__header){"X-API-Key", x->key->text};
    const tkx__call_spec spec = {
        .what = "auth/token",
        .route = "auth/token",
        .lane = TKX__LANE_SESSION,
        .body = &empty_object,
        .headers = &x->header,
        .n_headers = 1,
        .carries_key = true,
        .seq_id = -1,
        .max_retries = 2,
    };
    return tkx__call_start(x->site, &spec, on_answer, x, &x->call, err);
}

static void command_work(void *arg)
{
    tkx__auth_exchange *x = arg;
    tkx__credential_run(x->spec.command, x->wall_ms, &x->printed, &x->error);
}

static void command_done(void *arg)
{
    tkx__auth_exchange *x = arg;
    tkx__exchange_result result = {0};
    tkx_error *error = NULL;

    x->is_working = false;
    if (x->is_cancelled) {
        dispose(x);
        return;
    }
    if (x->error) {
        error = x->error;
        x->error = NULL;
        fail(x, error);
        return;
    }
    x->key = tkx__secret_new(x->printed);
    if (!x->key) {
        tkx__fail_memory(&error);
        fail(x, error);
    } else if (x->spec.key_only) {
        result.token = tkx__secret_ref(x->key);
        finish(x, &result);
    } else if (request_token(x, &error) != TKX_OK) {
        fail(x, error);
    }
}

tkx_status tkx__auth_exchange_start(tkx__site *site, const tkx__exchange_spec *spec,
                                    tkx__exchange_fn *fn, void *arg,
                                    tkx__auth_exchange **out, tkx_error **err)
{
    tkx_status st;
    tkx__auth_exchange *x = tkx__calloc(1, sizeof *x);

    if (!x)
        return tkx__fail_memory(err);
    x->site = site;
    x->spec = *spec;
    x->fn = fn;
    x->arg = arg;
    x->wall_ms = site->io.ops->wall_ms(site->io.ctx);
    if (spec->command) {
        x->is_working = site->io.ops->work(site->io.ctx, command_work, command_done, x);
        st = x->is_working ? TKX_OK : tkx__fail_memory(err);
    } else if (!spec->key) {
        st = tkx__fail(err, TKX_ERR_AUTH, "no credential to exchange for a token");
    } else {
        x->key = tkx__secret_ref(spec->key);
        st = request_token(x, err);
    }
    if (st != TKX_OK) {
        dispose(x);
        return st;
    }
    *out = x;
    return TKX_OK;
}
