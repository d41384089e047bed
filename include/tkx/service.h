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

/*
 * Told what the service says about an operation that waits: its queue state with the
 * service's own words (NULL: none), and ACTIVE once more when the operation has ended.
 * States that this version does not know are not told.
 * Thread:    loop thread; must not block.
 * Ownership: both are borrowed for the call.
 */
typedef void tkx_queue_fn(tkx_future *future, tkx_queue_state state, const char *reason,
                          void *user_data);

/* Start from TKX_SERVICE_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_service_options {
    size_t struct_size;
    const char *const *tags; /* NULL: the comma list in TINKER_TAGS */
    size_t n_tags;
    const tkx_pair *user_metadata;
    size_t n_user_metadata;
    const char *project_id;           /* NULL: TINKER_PROJECT_ID, else none */
    const char *display_name;         /* NULL: none */
    const char *sdk_version;          /* what servers gate features on; NULL: "0.38.0" */
    int accepts_any_key;              /* 1: the key need not begin with "tml-" or "eyJ" */
    int is_sessionless;               /* 1: no session; REST only */
    int64_t request_timeout_ms;       /* of one send; 0: 60,000 */
    int64_t poll_timeout_ms;          /* of one long poll; 0: 45,000 */
    tkx_billing_fn *on_billing;       /* NULL: only logged */
    void *user_data;                  /* of all functions here */
    tkx_queue_fn *on_queue;           /* NULL: look at tkx_future_progress() */
    const char *const *extra_headers; /* "Name: value", sent with every request of this
                                         client, behind those of the context */
    size_t n_extra_headers;
    const char *api_prefix; /* between the base URL and the routes; NULL: "/api/v1" */
    const char *session_id; /* a session that lives already, of another process: it is
                               kept alive and neither created nor finished here */
    int telemetry; /* 1: tell the service about errors (see tkx/telemetry.h); -1: never;
                      0: when TINKER_TELEMETRY is 1, true, yes or on */
    tkx_json_member_list extra_json; /* more members of the create_session request */
    int has_preview_routes; /* 1: calls that are known from documentation alone go out;
                               0: they are refused with UNSUPPORTED */
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

typedef enum tkx_finish_reason {
    TKX_FINISH_SUCCESS = 0,
    TKX_FINISH_ERRORED,
    TKX_FINISH_INTERRUPTED
} tkx_finish_reason;

/**
 * Tell the service that the session is over, and why, instead of the "success" that
 * freeing the last client or closing the context tells.  Operations that come later fail
 * with CLOSED.  Without a session, or on a service that has no such route, it just
 * completes.  Completes without a result.
 *
 * Thread:    any.
 * Ownership: @p detail (NULL: none) is copied.
 */
TKX_API tkx_status tkx_service_finish(tkx_service *service, tkx_finish_reason reason,
                                      const char *detail, tkx_future **out,
                                      tkx_error **err);

/**
 * Ask which models the service has.  The future's result: tkx_future_take_capabilities().
 *
 * Thread:    any.
 * Ownership: @p out is the caller's.
 */
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
