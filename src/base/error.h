/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/error.h - making errors.
 *
 * All makers accept err == NULL and return the status, so that `return tkx__fail(...)`
 * reads well.  An error already in *err is freed first: the newest failure wins.
 * Thread: any.
 */
#ifndef TKX_BASE_ERROR_H
#define TKX_BASE_ERROR_H

#include <stdarg.h>
#include <stdint.h>

#include <tkx/error.h>

tkx_status tkx__fail(tkx_error **err, tkx_status status, const char *fmt, ...)
    TKX_PRINTF(3, 4);

/* IO (or NOT_FOUND for ENOENT, NO_MEMORY for ENOMEM): "<what>: <strerror>". */
tkx_status tkx__fail_errno(tkx_error **err, int errnum, const char *fmt, ...)
    TKX_PRINTF(3, 4);

tkx_status tkx__fail_memory(tkx_error **err);

/* The facts of a failed request, beyond status and message; copied. */
typedef struct tkx__error_facts {
    int http_status;
    tkx_error_category category;
    int is_retryable;
    int64_t retry_after_ms; /* -1: not said */
    const char *request_id; /* NULL: none */
    int64_t seq_id;         /* -1: none */
    int attempts;
    int64_t elapsed_ms;
    const char *trace_id; /* W3C, 32 digits; NULL: none */
} tkx__error_facts;

#define TKX__ERROR_FACTS_INIT                                                            \
    {                                                                                    \
        .retry_after_ms = -1, .seq_id = -1                                               \
    }

tkx_status tkx__fail_facts(tkx_error **err, tkx_status status,
                           const tkx__error_facts *facts, const char *fmt, ...)
    TKX_PRINTF(4, 5);

/*
 * A new error whose cause is *cause (taken; set to NULL, also on failure).  Facts are
 * copied from the cause when facts is NULL.
 */
tkx_status tkx__fail_cause(tkx_error **err, tkx_status status,
                           const tkx__error_facts *facts, tkx_error **cause,
                           const char *fmt, ...) TKX_PRINTF(5, 6);

/*
 * What became of each request; the reports are copied, their errors taken (set to NULL).
 * An error without memory for them goes without.
 */
void tkx__error_set_chunks(tkx_error *error, tkx_chunk_report *chunks, size_t n_chunks);

/* Hand on an error (taken; freed where err is NULL), in place of what stood there.  Its
   status. */
tkx_status tkx__fail_with(tkx_error **err, tkx_error *error);

/* A deep copy; the static out-of-memory error when there is no memory for it. */
tkx_error *tkx__error_copy(const tkx_error *error);

/*
 * clang's analyzer looks at one file at a time and would believe that a maker may return
 * TKX_OK.  It is shown what they return; nothing else sees these.
 */
#if defined(__clang_analyzer__) && !defined(TKX__ERROR_IMPLEMENTATION)
static inline int tkx__analyzed(tkx_error **err, const char *fmt, ...)
{
    (void)err;
    (void)fmt;
    return 0;
}
/* Apart, because calls with a variable list of arguments are not looked into. */
static inline tkx_status tkx__analyzed_status(tkx_status status, int unused)
{
    (void)unused;
    return status;
}
#define tkx__fail(err, status, ...)                                                      \
    tkx__analyzed_status(status, tkx__analyzed(err, __VA_ARGS__))
#define tkx__fail_errno(err, errnum, ...)                                                \
    tkx__analyzed_status(TKX_ERR_IO, tkx__analyzed(err, __VA_ARGS__) + (errnum))
#define tkx__fail_memory(err) tkx__analyzed_status(TKX_ERR_NO_MEMORY, (err) != NULL)
#endif

#endif
