/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/rest.h - what an account has on a service: runs, checkpoints, sessions, usage.
 *
 * A tkx_rest never creates a session.  Every call returns a future whose answer is moved
 * out with the tkx_future_take_...() of its record; calls without an answer complete
 * without a result (look at tkx_future_error()).
 *
 * All calls below, unless stated otherwise:
 * Thread:    any.
 * Ownership: arguments are borrowed for the call; @p out is the caller's,
 *            tkx_future_unref().
 * Errors:    of the call: INVALID_ARGUMENT (a path that is none, a text that cannot stand
 *            in a route), NO_MEMORY, CLOSED; of the future: AUTH, PERMISSION, HTTP with
 *            tkx_error_http_status() (404: unknown, or a server without that route),
 *            PROTOCOL for an answer that cannot be read, CONNECTION, TIMEOUT.
 */
#ifndef TKX_REST_H
#define TKX_REST_H

#include <tkx/service.h>
#include <tkx/types/billing.h>
#include <tkx/types/checkpoint.h>
#include <tkx/types/checkpoint_search.h>
#include <tkx/types/external_upload.h>
#include <tkx/types/session.h>
#include <tkx/types/weights.h>

TKX_BEGIN_DECLS

typedef struct tkx_rest tkx_rest;

/**
 * Make a client.  Sends nothing; credentials are found as for tkx_service_new().
 *
 * Thread:    any.
 * Ownership: @p context is borrowed and must outlive the client; @p options is borrowed
 *            (NULL: defaults; is_sessionless is taken as 1); @p out is the caller's,
 *            tkx_rest_free().
 * Errors:    as tkx_service_new().
 */
TKX_API tkx_status tkx_rest_new(tkx_context *context, const tkx_service_options *options,
                                tkx_rest **out, tkx_error **err);
/** Let go of the client; calls under way go on.  Thread: any.  Accepts NULL. */
TKX_API void tkx_rest_free(tkx_rest *rest);

/* Which part of a list.  Start from TKX_PAGE_INIT. */
typedef struct tkx_page {
    size_t struct_size;
    int64_t limit;            /* -1: 20; checkpoints: 100 */
    int64_t offset;           /* -1: from the first one */
    const char *access_scope; /* "owned", "accessible"; NULL: owned */
    const char *project_id;   /* training runs only; NULL: any */
} tkx_page;

#define TKX_PAGE_INIT                                                                    \
    {                                                                                    \
        .struct_size = sizeof(tkx_page), .limit = -1, .offset = -1                       \
    }

/* ---- the service ---- */

/** Is the service there?  tkx_future_take_health(). */
TKX_API tkx_status tkx_rest_get_health(tkx_rest *rest, tkx_future **out, tkx_error **err);
/** Which models it has.  tkx_future_take_capabilities() of tkx/service.h. */
TKX_API tkx_status tkx_rest_get_capabilities(tkx_rest *rest, tkx_future **out,
                                             tkx_error **err);
/**
 * Who the service takes us for, read from its token.  UNSUPPORTED where it exchanges API
 * keys for none.  tkx_future_take_identity().
 */
TKX_API tkx_status tkx_rest_whoami(tkx_rest *rest, tkx_future **out, tkx_error **err);

/* ---- training runs and their checkpoints ---- */

/** A page of runs; @p page NULL: the first.  tkx_future_take_training_run_list(). */
TKX_API tkx_status tkx_rest_list_training_runs(tkx_rest *rest, const tkx_page *page,
                                               tkx_future **out, tkx_error **err);
/** One run; @p access_scope as in tkx_page.  tkx_future_take_training_run(). */
TKX_API tkx_status tkx_rest_get_training_run(tkx_rest *rest, const char *run_id,
                                             const char *access_scope, tkx_future **out,
                                             tkx_error **err);
/** All checkpoints of one run.  tkx_future_take_checkpoint_list(). */
TKX_API tkx_status tkx_rest_list_run_checkpoints(tkx_rest *rest, const char *run_id,
                                                 tkx_future **out, tkx_error **err);
/** A page of the user's checkpoints.  tkx_future_take_checkpoint_list(). */
TKX_API tkx_status tkx_rest_list_checkpoints(tkx_rest *rest, const tkx_page *page,
                                             tkx_future **out, tkx_error **err);
/**
 * What a checkpoint was made with.  @p owner_token, or NULL, is the credential of its
 * owner, for a checkpoint of somebody else; copied and wiped after use.
 * tkx_future_take_weights_info().
 */
TKX_API tkx_status tkx_rest_get_weights_info(tkx_rest *rest, const char *tinker_path,
                                             const char *owner_token, tkx_future **out,
                                             tkx_error **err);

/** Delete a checkpoint.  No result. */
TKX_API tkx_status tkx_rest_delete_checkpoint(tkx_rest *rest, const char *tinker_path,
                                              tkx_future **out, tkx_error **err);
/** Let everybody read a checkpoint.  No result; 409 when it is public already. */
TKX_API tkx_status tkx_rest_publish_checkpoint(tkx_rest *rest, const char *tinker_path,
                                               tkx_future **out, tkx_error **err);
/** The reverse.  No result; 409 when it is private already. */
TKX_API tkx_status tkx_rest_unpublish_checkpoint(tkx_rest *rest, const char *tinker_path,
                                                 tkx_future **out, tkx_error **err);
/** Let a checkpoint expire; @p ttl_seconds -1: never.  No result. */
TKX_API tkx_status tkx_rest_set_checkpoint_ttl(tkx_rest *rest, const char *tinker_path,
                                               int64_t ttl_seconds, tkx_future **out,
                                               tkx_error **err);
/**
 * Copy a checkpoint into a project.  @p owner_token as above.
 * tkx_future_take_copy_weights_result().
 */
TKX_API tkx_status tkx_rest_copy_weights(tkx_rest *rest,
                                         const tkx_copy_weights_request *request,
                                         const char *owner_token, tkx_future **out,
                                         tkx_error **err);

/**
 * A signed link to a checkpoint as a tar archive, to be fetched without credentials.
 * While the service builds the archive (503) it is asked again every 30 s, six times in
 * all; a server that knows checkpoints by their bare name is asked that way too.
 * tkx_future_take_archive_url().
 */
TKX_API tkx_status tkx_rest_get_archive_url(tkx_rest *rest, const char *tinker_path,
                                            tkx_future **out, tkx_error **err);
/** Signed links to the files of an external checkpoint.
    tkx_future_take_external_weights_urls(). */
TKX_API tkx_status tkx_rest_get_external_weights_urls(tkx_rest *rest,
                                                      const char *tinker_path,
                                                      tkx_future **out, tkx_error **err);

/* ---- newer than any client that has been seen ---- */

/*
 * These three are known from documentation alone, their routes by the pattern of others.
 * They go out only with has_preview_routes of tkx_service_options, else the call fails
 * with UNSUPPORTED; a service that lacks them answers 404.
 */

/** Checkpoints, newest first; follow next_cursor_json for more.
    tkx_future_take_checkpoint_search_result(). */
TKX_API tkx_status tkx_rest_search_checkpoints(tkx_rest *rest,
                                               const tkx_checkpoint_search *search,
                                               tkx_future **out, tkx_error **err);
/** Begin to bring an adapter that was made elsewhere: each file is then PUT to its link,
    without credentials.  tkx_future_take_external_upload(). */
TKX_API tkx_status
tkx_rest_start_external_upload(tkx_rest *rest, const tkx_external_upload_request *request,
                               tkx_future **out, tkx_error **err);
/** All files of an upload are there: make the checkpoint.
    tkx_future_take_external_upload_result(). */
TKX_API tkx_status tkx_rest_finish_external_upload(tkx_rest *rest, const char *upload_id,
                                                   tkx_future **out, tkx_error **err);

/* ---- sessions and samplers ---- */

/** A page of session ids.  tkx_future_take_session_list(). */
TKX_API tkx_status tkx_rest_list_sessions(tkx_rest *rest, const tkx_page *page,
                                          tkx_future **out, tkx_error **err);
/** What a session made.  tkx_future_take_session_info(). */
TKX_API tkx_status tkx_rest_get_session(tkx_rest *rest, const char *session_id,
                                        const char *access_scope, tkx_future **out,
                                        tkx_error **err);
/** Newest first; follow next_cursor_json for more.
    tkx_future_take_session_search_result(). */
TKX_API tkx_status tkx_rest_search_sessions(tkx_rest *rest,
                                            const tkx_session_search *search,
                                            tkx_future **out, tkx_error **err);
/** Move a session to a project.  No result. */
TKX_API tkx_status tkx_rest_set_session_project(tkx_rest *rest, const char *session_id,
                                                const char *project_id, tkx_future **out,
                                                tkx_error **err);
/** Ask for a session's trace: "pending" means ask again in 5 s.
    tkx_future_take_trace_export(). */
TKX_API tkx_status tkx_rest_export_trace(tkx_rest *rest, const char *session_id,
                                         tkx_future **out, tkx_error **err);
/** What a sampler samples from.  tkx_future_take_sampler_info(). */
TKX_API tkx_status tkx_rest_get_sampler(tkx_rest *rest, const char *sampler_id,
                                        tkx_future **out, tkx_error **err);

/**
 * Ask for a session's trace every 5 s until it is there: the future's result is "ready",
 * with its link.  REQUEST_FAILED with the service's words when it cannot be made.
 * tkx_future_take_trace_export().
 */
TKX_API tkx_status tkx_rest_wait_for_trace(tkx_rest *rest, const char *session_id,
                                           tkx_future **out, tkx_error **err);

/* ---- whole lists ---- */

/*
 * Told of each entry; anything but 0 ends the walk, which is no error.
 * Thread:    loop thread; must not block.
 * Ownership: the entry is borrowed for the call.
 */
typedef int tkx_training_run_fn(const tkx_training_run *run, void *user_data);
typedef int tkx_checkpoint_fn(const tkx_checkpoint *checkpoint, void *user_data);
typedef int tkx_session_id_fn(const char *session_id, void *user_data);
typedef int tkx_session_summary_fn(const tkx_session_summary *session, void *user_data);

/*
 * Walk a list page by page, from @p page's offset (NULL: from the first entry), with as
 * many entries a page as its limit says (-1: 100; checkpoints: 1,000).  The future
 * completes without a result when the last entry has been told; @p user_data is needed
 * until then.
 */
TKX_API tkx_status tkx_rest_each_training_run(tkx_rest *rest, const tkx_page *page,
                                              tkx_training_run_fn *fn, void *user_data,
                                              tkx_future **out, tkx_error **err);
TKX_API tkx_status tkx_rest_each_checkpoint(tkx_rest *rest, const tkx_page *page,
                                            tkx_checkpoint_fn *fn, void *user_data,
                                            tkx_future **out, tkx_error **err);
TKX_API tkx_status tkx_rest_each_session(tkx_rest *rest, const tkx_page *page,
                                         tkx_session_id_fn *fn, void *user_data,
                                         tkx_future **out, tkx_error **err);
/** The same for a search; its limit is that of a page. */
TKX_API tkx_status tkx_rest_each_found_session(tkx_rest *rest,
                                               const tkx_session_search *search,
                                               tkx_session_summary_fn *fn,
                                               void *user_data, tkx_future **out,
                                               tkx_error **err);

/** The same for a search for checkpoints. */
TKX_API tkx_status tkx_rest_each_found_checkpoint(tkx_rest *rest,
                                                  const tkx_checkpoint_search *search,
                                                  tkx_checkpoint_fn *fn, void *user_data,
                                                  tkx_future **out, tkx_error **err);

/* ---- audit and billing ---- */

/** One UTC day ("2026-01-31") of events; @p event_type: "all", "checkpoints", "projects",
    "teams" or "organizations"; NULL: all.  tkx_future_take_audit_log(). */
TKX_API tkx_status tkx_rest_get_audit_log(tkx_rest *rest, const char *event_type,
                                          const char *day, tkx_future **out,
                                          tkx_error **err);
/** Usage between two RFC 3339 times on full UTC hours, 14 days apart at most.
    tkx_future_take_billing_usage(). */
TKX_API tkx_status tkx_rest_get_billing_usage(tkx_rest *rest, const char *starting_on,
                                              const char *ending_before, tkx_future **out,
                                              tkx_error **err);
/** What checkpoints take up now; @p project_id NULL: the whole organization.
    tkx_future_take_checkpoint_storage(). */
TKX_API tkx_status tkx_rest_get_checkpoint_storage(tkx_rest *rest, const char *project_id,
                                                   tkx_future **out, tkx_error **err);

/*
 * Move the answer out of a completed future, once.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, the record's own tkx_..._free().
 * Errors:    whatever the call failed with; INVALID_STATE if pending or taken;
 *            INVALID_ARGUMENT for a future of another kind.
 */
TKX_API tkx_status tkx_future_take_health(tkx_future *future, tkx_health **out,
                                          tkx_error **err);
TKX_API tkx_status tkx_future_take_identity(tkx_future *future, tkx_identity **out,
                                            tkx_error **err);
TKX_API tkx_status tkx_future_take_training_run_list(tkx_future *future,
                                                     tkx_training_run_list **out,
                                                     tkx_error **err);
TKX_API tkx_status tkx_future_take_training_run(tkx_future *future,
                                                tkx_training_run **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_checkpoint_list(tkx_future *future,
                                                   tkx_checkpoint_list **out,
                                                   tkx_error **err);
TKX_API tkx_status tkx_future_take_weights_info(tkx_future *future,
                                                tkx_weights_info **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_copy_weights_result(tkx_future *future,
                                                       tkx_copy_weights_result **out,
                                                       tkx_error **err);
TKX_API tkx_status tkx_future_take_archive_url(tkx_future *future, tkx_archive_url **out,
                                               tkx_error **err);
TKX_API tkx_status tkx_future_take_external_weights_urls(tkx_future *future,
                                                         tkx_external_weights_urls **out,
                                                         tkx_error **err);
TKX_API tkx_status tkx_future_take_checkpoint_search_result(
    tkx_future *future, tkx_checkpoint_search_result **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_external_upload(tkx_future *future,
                                                   tkx_external_upload **out,
                                                   tkx_error **err);
TKX_API tkx_status tkx_future_take_external_upload_result(
    tkx_future *future, tkx_external_upload_result **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_session_list(tkx_future *future,
                                                tkx_session_list **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_session_info(tkx_future *future,
                                                tkx_session_info **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_session_search_result(tkx_future *future,
                                                         tkx_session_search_result **out,
                                                         tkx_error **err);
TKX_API tkx_status tkx_future_take_trace_export(tkx_future *future,
                                                tkx_trace_export **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_sampler_info(tkx_future *future,
                                                tkx_sampler_info **out, tkx_error **err);
TKX_API tkx_status tkx_future_take_audit_log(tkx_future *future, tkx_audit_log **out,
                                             tkx_error **err);
TKX_API tkx_status tkx_future_take_billing_usage(tkx_future *future,
                                                 tkx_billing_usage **out,
                                                 tkx_error **err);
TKX_API tkx_status tkx_future_take_checkpoint_storage(tkx_future *future,
                                                      tkx_checkpoint_storage **out,
                                                      tkx_error **err);

TKX_END_DECLS
#endif
