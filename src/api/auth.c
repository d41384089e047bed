/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.c - the key that requests carry, and the exchange of a credential for a token.
 *
 *     plain key:  get() gives the key at once
 *     token:      get() gives the token while it has more than 60 s; else one exchange is
 *                 made for everybody who asks, then they look again
 *
 * At most one exchange (and one run of the credential command) is under way.
 */
#include "api/auth.h"

#include <string.h>

#include "api/auth_exchange.h"
#include "api/call.h"
#include "api/credential.h"
#include "base/error.h"
#include "base/mem.h"

#define LEAD_MS 60000
#define RETRY_MS 60000
#define GIVE_UP_LIFE_MS 120000

struct tkx__auth {
    tkx__site *site;
    tkx__credential credential;
    tkx__secret *key;   /* NULL: only the command can give one */
    tkx__secret *token; /* of the last exchange */
    int64_t exp_wall_ms;
    int64_t lead_ms; /* renewed on demand when less is left */
    bool uses_jwt;
    bool needs_command;
    bool is_stopped;
    bool warned; /* of the present row of failures */
    tkx__auth_exchange *exchange;
    tkx__timer *refresh;
    bool refresh_armed;
    tkx_error *start_error;
    tkx__auth_wait *waiters;
};

static int64_t wall(const tkx__auth *auth)
{
    return auth->site->io.ops->wall_ms(auth->site->io.ctx);
}

static int64_t life_left(const tkx__auth *auth)
{
    return auth->token ? auth->exp_wall_ms - wall(auth) : 0;
}

/* Everybody looks again, or fails; the list is taken first since they may wait anew. */
static void wake_all(tkx__auth *auth, const tkx_error *error)
{
    tkx__auth_wait *list = auth->waiters;

    auth->waiters = NULL;
    while (list) {
        tkx__auth_wait *wait = list;
        list = wait->next;
        wait->is_waiting = false;
        wait->fn(wait->arg, error);
    }
}

static void start_exchange(tkx__auth *auth);
static void exchange_failed(tkx__auth *auth, const tkx_error *error);

static void on_refresh(void *arg)
{
    tkx__auth *auth = arg;

    tkx_error *error = auth->start_error;

    auth->refresh_armed = false;
    auth->start_error = NULL;
    if (error)
        exchange_failed(auth, error);
    else
        start_exchange(auth);
    tkx_error_free(error);
}

static void arm_refresh(tkx__auth *auth, int64_t delay_ms)
{
    const tkx__io *io = &auth->site->io;

    if (auth->is_stopped)
        return;
    if (!auth->refresh)
        auth->refresh = io->ops->timer_new(io->ctx, on_refresh, auth);
    if (!auth->refresh)
        return; /* requests refresh on demand then */
    auth->refresh_armed = true;
    io->ops->timer_arm(io->ctx, auth->refresh, delay_ms);
}

static void exchange_succeeded(tkx__auth *auth, tkx__exchange_result *result)
{
    tkx__secret_unref(auth->token);
    auth->token = result->token;
    auth->warned = false;
    auth->exp_wall_ms = result->exp_ms > 0 ? result->exp_ms : wall(auth) + 2 * LEAD_MS;
    /* A token that is short-lived from birth is used for half its life at least. */
    auth->lead_ms = life_left(auth) / 2 < LEAD_MS ? life_left(auth) / 2 : LEAD_MS;
    int64_t delay = RETRY_MS;
    if (result->exp_ms > 0 && result->iat_ms > 0 && result->exp_ms > result->iat_ms)
        delay = (int64_t)((double)(result->exp_ms - result->iat_ms) *
                          (0.45 + 0.1 * tkx__site_uniform(auth->site)));
    arm_refresh(auth, delay);
    wake_all(auth, NULL);
}

static void exchange_failed(tkx__auth *auth, const tkx_error *error)
{
    bool is_refused = tkx_error_http_status(error) == 401;
    int64_t left = life_left(auth);

    if (!auth->warned)
        tkx__log_write(auth->site->log, TKX_LOG_WARNING, "auth",
                       "the token could not be renewed: %s", tkx_error_message(error));
    auth->warned = true;
    if (!auth->refresh_armed && auth->token && !(is_refused && left <= GIVE_UP_LIFE_MS))
        arm_refresh(auth, RETRY_MS);
    /* Whoever waits may use what is left of the old token, unless the key itself is
       bad. */
    wake_all(auth, is_refused || left <= 0 ? error : NULL);
}

static void on_exchanged(void *arg, tkx__exchange_result *result)
{
    tkx__auth *auth = arg;

    auth->exchange = NULL;
    if (result->is_key_only && !result->error) {
        tkx__secret_unref(auth->key);
        auth->key = result->token;
        wake_all(auth, NULL);
    } else if (result->error) {
        exchange_failed(auth, result->error);
    } else {
        exchange_succeeded(auth, result);
    }
    tkx_error_free(result->error);
}

static bool runs_command(const tkx__auth *auth)
{
    return auth->credential.command &&
           (!auth->credential.key || (auth->needs_command && !auth->credential.is_jwt));
}

static void start_exchange(tkx__auth *auth)
{
    tkx_error *error = NULL;
    const tkx__exchange_spec spec = {
        .command = runs_command(auth) ? auth->credential.command : NULL,
        .key = runs_command(auth) ? NULL : auth->key,
        .key_only = !auth->uses_jwt,
    };

    if (auth->exchange || auth->is_stopped)
        return;
    if (tkx__auth_exchange_start(auth->site, &spec, on_exchanged, auth, &auth->exchange,
                                 &error) == TKX_OK)
        return;
    tkx_error_free(auth->start_error);
    auth->start_error = error; /* told from the timer: waiters are never told in here */
    arm_refresh(auth, 0);
}

tkx__secret *tkx__auth_get_raw(tkx__auth *auth)
{
    return tkx__secret_ref(auth->key);
}

tkx__secret *tkx__auth_get(tkx__auth *auth)
{
    if (auth->is_stopped && auth->token)
        return tkx__secret_ref(auth->token);
    if (!auth->uses_jwt || auth->is_stopped)
        return tkx__secret_ref(auth->key);
    if (life_left(auth) > auth->lead_ms)
        return tkx__secret_ref(auth->token);
    /* After a failed exchange the rest of the old token's life is used up. */
    if (auth->warned && life_left(auth) > 0 && !auth->exchange && auth->refresh_armed)
        return tkx__secret_ref(auth->token);
    return NULL;
}

const char *tkx__auth_key_text(const tkx__auth *auth)
{
    return auth && auth->key ? auth->key->text : NULL;
}

const char *tkx__auth_token_text(const tkx__auth *auth)
{
    return auth && auth->token ? auth->token->text : NULL;
}

tkx__secret *tkx__auth_token(tkx__auth *auth)
{
    return auth->uses_jwt ? tkx__secret_ref(auth->token) : NULL;
}

/* A waiter is told on a later turn at the earliest, since an exchange takes one. */
void tkx__auth_wait_for(tkx__auth *auth, tkx__auth_wait *wait)
{
    wait->is_waiting = true;
    wait->next = auth->waiters;
    auth->waiters = wait;
    start_exchange(auth);
}

void tkx__auth_unwait(tkx__auth *auth, tkx__auth_wait *wait)
{
    for (tkx__auth_wait **at = &auth->waiters; *at; at = &(*at)->next)
        if (*at == wait) {
            *at = wait->next;
            wait->is_waiting = false;
            return;
        }
}

bool tkx__auth_refused(tkx__auth *auth, const tkx__secret *refused)
{
    if (!auth->uses_jwt)
        return false;
    if (auth->token == refused) { /* the first of those who were refused with it */
        tkx__secret_unref(auth->token);
        auth->token = NULL;
        auth->exp_wall_ms = 0;
    }
    return true;
}

void tkx__auth_configure(tkx__auth *auth, bool use_jwt, bool needs_command)
{
    auth->uses_jwt = use_jwt;
    auth->needs_command = needs_command;
    if (needs_command && auth->credential.command && !auth->credential.is_jwt) {
        tkx__secret_unref(auth->key);
        auth->key = NULL;
    }
}

tkx_status tkx__auth_new(tkx__site *site, const tkx__auth_options *options,
                         tkx__auth **out, tkx_error **err)
{
    tkx__auth *auth = tkx__calloc(1, sizeof *auth);

    if (!auth)
        return tkx__fail_memory(err);
    auth->site = site;
    tkx_status st = tkx__credential_find(&auth->credential, options,
                                         site->io.ops->wall_ms(site->io.ctx), err);
    if (st == TKX_OK && auth->credential.key) {
        auth->key = tkx__secret_new(auth->credential.key);
        if (!auth->key)
            st = tkx__fail_memory(err);
    }
    if (st != TKX_OK) {
        tkx__auth_free(auth);
        return st;
    }
    site->auth = auth;
    *out = auth;
    return TKX_OK;
}

void tkx__auth_stop(tkx__auth *auth)
{
    tkx_error *error = NULL;

    if (!auth || auth->is_stopped)
        return;
    auth->is_stopped = true;
    tkx__auth_exchange_cancel(auth->exchange);
    auth->exchange = NULL;
    if (auth->refresh)
        auth->site->io.ops->timer_free(auth->site->io.ctx, auth->refresh);
    auth->refresh = NULL;
    tkx_error_free(auth->start_error);
    auth->start_error = NULL;
    tkx__fail(&error, TKX_ERR_CLOSED, "the client was closed while waiting for a token");
    wake_all(auth, error);
    tkx_error_free(error);
}

void tkx__auth_free(tkx__auth *auth)
{
    if (!auth)
        return;
    tkx__auth_stop(auth);
    if (auth->site->auth == auth)
        auth->site->auth = NULL;
    tkx__secret_unref(auth->key);
    tkx__secret_unref(auth->token);
    tkx__credential_clear(&auth->credential);
    tkx__free(auth);
}
