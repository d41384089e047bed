/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/service.h - one session with a training service, and the clients made from it.
 *
 * A service makes no request until something needs it: then it reads the configuration,
 * creates the session and keeps it alive with heartbeats until it is freed.
 */
#ifndef TKX_SERVICE_H
#define TKX_SERVICE_H

#include <tkx/context.h>
#include <tkx/future.h>
#include <tkx/types/service.h>

TKX_BEGIN_DECLS

typedef struct tkx_service tkx_service;

/*
 * Told when the account's payment stops (is_paused 1) or lets requests through again (0).
 * Thread: loop thread; must not block.
 */
typedef void tkx_billing_fn(int is_paused, int64_t paused_ms, void *user_data);

/* Start from TKX_SERVICE_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_service_options {
    size_t struct_size;
    const char *const *tags; /* NULL: the comma list in TINKER_TAGS */
    size_t n_tags;
    const tkx_pair *user_metadata;
    size_t n_user_metadata;
    const char *project_id;     /* NULL: TINKER_PROJECT_ID, else none */
    const char *display_name;   /* NULL: none */
    const char *sdk_version;    /* what servers gate features on; NULL: "0.38.0" */
    int accepts_any_key;        /* 1: the key need not begin with "tml-" or "eyJ" */
    int is_sessionless;         /* 1: no session; REST only */
    int64_t request_timeout_ms; /* of one send; 0: 60,000 */
    int64_t poll_timeout_ms;    /* of one long poll; 0: 45,000 */
    tkx_billing_fn *on_billing; /* NULL: only logged */
    void *user_data;
} tkx_service_options;

#define TKX_SERVICE_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_service_options)                                       \
    }

/**
 * Make a service on a context.  Sends nothing; finds the credential: the context's
 * api_key, TINKER_API_KEY, TINKER_CREDENTIAL_CMD, ~/.tinker/credentials.json, in this
 * order.
 *
 * Thread:    any.
 * Ownership: @p context is borrowed and must outlive the service; @p options is borrowed
 *            (NULL: defaults); @p out is the caller's, tkx_service_free().
 * Errors:    AUTH (no key, or one that cannot be right), INVALID_ARGUMENT, NO_MEMORY.
 */
TKX_API tkx_status tkx_service_new(tkx_context *context,
                                   const tkx_service_options *options, tkx_service **out,
                                   tkx_error **err);

/**
 * Let go of the service.  The session is finished when the last client and operation on
 * it are gone.  Thread: any.  Accepts NULL.
 */
TKX_API void tkx_service_free(tkx_service *service);

/**
 * Start the session now instead of at the first use.  Completes without a result.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_future_unref().
 * Errors:    of the call: NO_MEMORY, CLOSED; of the future: whatever the start met.
 */
TKX_API tkx_status tkx_service_start(tkx_service *service, tkx_future **out,
                                     tkx_error **err);

/**
 * The session's id, once the service has started; NULL before.
 *
 * Thread:    any.
 * Ownership: borrowed from @p service.
 */
TKX_API const char *tkx_service_session_id(const tkx_service *service);

/**
 * Milliseconds since a heartbeat got through; -1 before the start.  Beats go out every
 * 10 s, so much more than that means trouble.  Thread: any.
 */
TKX_API int64_t tkx_service_heartbeat_age_ms(const tkx_service *service);

/** Ask which models the service has.  The future's result:
   tkx_future_take_capabilities(). Thread: any. */
TKX_API tkx_status tkx_service_get_capabilities(tkx_service *service, tkx_future **out,
                                                tkx_error **err);

/**
 * Move the answer out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_server_capabilities_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_capabilities(tkx_future *future,
                                                tkx_server_capabilities **out,
                                                tkx_error **err);

TKX_END_DECLS
#endif
