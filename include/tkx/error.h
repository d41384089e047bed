/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/error.h - what was tried, on what, and what came back.
 *
 * A fallible call returns a tkx_status and, on failure only, stores a tkx_error through
 * its last argument.  That may be NULL; what it points to must be NULL or an error of
 * before, which is freed and replaced.  The error owns its strings.  When memory is short
 * it is a static object; freeing that is harmless.  No error ever holds a credential.
 */
#ifndef TKX_ERROR_H
#define TKX_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/status.h>

TKX_BEGIN_DECLS

typedef struct tkx_error tkx_error;

/* Whose fault a failure is; TKX_ERROR_CATEGORY_USER for 4xx other than 408. */
typedef enum tkx_error_category {
    TKX_ERROR_CATEGORY_UNKNOWN = 0,
    TKX_ERROR_CATEGORY_SERVER,
    TKX_ERROR_CATEGORY_USER
} tkx_error_category;

/* Where a failure comes from; follows from the status. */
typedef enum tkx_error_domain {
    TKX_ERROR_DOMAIN_NONE = 0,
    TKX_ERROR_DOMAIN_CALLER,  /* the call itself: its input, its moment, cancelled */
    TKX_ERROR_DOMAIN_LOCAL,   /* this machine: memory, files, limits */
    TKX_ERROR_DOMAIN_LINK,    /* no answer, or none in time */
    TKX_ERROR_DOMAIN_SERVICE, /* the service refused or failed it */
    TKX_ERROR_DOMAIN_CLIENT /* the client will not: closed, broken, session dead, breaker
                               open, budget spent */
} tkx_error_domain;

/* What became of one request of a call that went out in several. */
typedef enum tkx_chunk_state {
    TKX_CHUNK_NOT_SENT = 0,
    TKX_CHUNK_REFUSED,  /* by the service: nothing was done */
    TKX_CHUNK_UNKNOWN,  /* it may or may not have been carried out */
    TKX_CHUNK_ACCEPTED, /* carried out or about to be; its result was not waited for */
    TKX_CHUNK_DONE,
    TKX_CHUNK_FAILED /* taken by the service, then failed */
} tkx_chunk_state;

typedef struct tkx_chunk_report {
    size_t first_datum, n_datums; /* of the call's data */
    int64_t seq_id;               /* -1: has none yet */
    tkx_chunk_state state;
    const tkx_error *error; /* of this chunk; NULL: none.  Borrowed from the outer one */
} tkx_chunk_report;

/*
 * Accessors.  Thread: any, as long as nobody frees the error.  All accept NULL.
 * Strings are borrowed from the error; NULL when unknown.
 */
TKX_API tkx_status tkx_error_status(const tkx_error *error);
TKX_API tkx_error_domain tkx_error_get_domain(const tkx_error *error);
TKX_API const char *tkx_error_message(const tkx_error *error); /* never NULL */
TKX_API int tkx_error_http_status(const tkx_error *error);     /* 0: no HTTP answer */
TKX_API tkx_error_category tkx_error_get_category(const tkx_error *error);
TKX_API int tkx_error_is_retryable(const tkx_error *error);
TKX_API int64_t tkx_error_retry_after_ms(const tkx_error *error); /* -1: not said */
TKX_API const char *tkx_error_request_id(const tkx_error *error);
TKX_API int64_t tkx_error_seq_id(const tkx_error *error); /* -1: has none */
TKX_API int tkx_error_attempts(const tkx_error *error);   /* 0: not sent */
TKX_API int64_t tkx_error_elapsed_ms(const tkx_error *error);
/* Of the W3C trace that its requests carried, 32 digits; see tkx/trace.h. */
TKX_API const char *tkx_error_trace_id(const tkx_error *error);
TKX_API const tkx_error *tkx_error_cause(const tkx_error *error); /* borrowed */

/**
 * The requests of a call that failed in some of them; NULL when it was a single request.
 *
 * Thread:    any.
 * Ownership: borrowed from @p error.
 * Shapes:    returns [*n_chunks], in the order of the datums.
 */
TKX_API const tkx_chunk_report *tkx_error_chunks(const tkx_error *error,
                                                 size_t *n_chunks);

/** Free an error and its causes.  Thread: any.  Accepts NULL. */
TKX_API void tkx_error_free(tkx_error *error);

TKX_END_DECLS
#endif
