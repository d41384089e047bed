/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_service.c - the service itself: is it there, what has it, who are we to it.
 *
 * There is no route that says who we are: the token that the service gave us does, so
 * whoami reads that one's claims, unverified, and sends nothing of its own.
 */
#include <string.h>

#include "api/credential.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/rest.h"
#include "types/service.h"

TKX__RECORD(health, "health");
TKX__RECORD(identity, "identity");

static const tkx__rest_route healthz = {
    .what = "healthz",
    .method = "GET",
    .pattern = "healthz",
    .sdk_method = "RestClient.healthz",
    .result = &type_health,
    .decode = decode_health,
};

tkx_status tkx_rest_get_health(tkx_rest *rest, tkx_future **out, tkx_error **err)
{
    const tkx__rest_request request = {.route = &healthz};

    return tkx__rest_send(rest, &request, out, err);
}

tkx_status tkx_rest_get_capabilities(tkx_rest *rest, tkx_future **out, tkx_error **err)
{
    return tkx_service_get_capabilities(rest->service, out, err);
}

/* ---- whoami ---- */

typedef struct whoami {
    tkx__task task; /* first */
    tkx__auth_wait wait;
} whoami;

static tkx_identity *read_claims(const char *jwt, tkx_error **err)
{
    char *claims = tkx__jwt_payload(jwt);

    if (!claims) {
        tkx__fail(err, TKX_ERR_PROTOCOL, "whoami: the service's token has no claims");
        return NULL;
    }
    const tkx__payload payload = {claims, strlen(claims), false};
    tkx_identity *identity = decode_identity(&payload, NULL, err);
    tkx__wipe(claims, strlen(claims));
    tkx__free(claims);
    return identity;
}

static void answer(whoami *w, const char *credential)
{
    tkx_identity *identity = NULL;
    tkx_error *error = NULL;

    if (credential && tkx__starts_with(credential, "eyJ"))
        identity = read_claims(credential, &error);
    else
        tkx__fail(&error, TKX_ERR_UNSUPPORTED,
                  "whoami: the service exchanges no tokens, and a plain API key does not "
                  "say whose it is");
    if (error)
        tkx__task_fail(&w->task, error);
    else
        tkx__task_succeed(&w->task, identity);
}

static void look(whoami *w);

static void on_token(void *arg, const tkx_error *error)
{
    whoami *w = arg;

    if (error)
        tkx__task_fail(&w->task, tkx__error_copy(error));
    else
        look(w);
}

static void look(whoami *w)
{
    tkx__auth *auth = w->task.service->loop.auth;
    tkx__secret *secret = tkx__auth_get(auth);

    if (secret) {
        answer(w, secret->text);
        tkx__secret_unref(secret);
        return;
    }
    w->wait.fn = on_token;
    w->wait.arg = w;
    tkx__auth_wait_for(auth, &w->wait);
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    (void)err;
    look((whoami *)task);
    return TKX_OK;
}

tkx_status tkx_rest_whoami(tkx_rest *rest, tkx_future **out, tkx_error **err)
{
    static const tkx__task_kind kind = {.result = &type_identity, .start = start};
    tkx__task *task;
    tkx_status st = tkx__task_new(rest->service, &kind, sizeof(whoami), &task, out, err);

    return st == TKX_OK ? tkx__task_launch(task, out, err) : st;
}
