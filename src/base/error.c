/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.c - the error object: one block holds the struct, the message and the request id.
 *
 * Immutable once made, so it needs no lock.  Out of memory yields the static instance,
 * which free() leaves alone.
 */
#define TKX__ERROR_IMPLEMENTATION
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct tkx_error {
    tkx_status status;
    tkx__error_facts facts;   /* its strings point into the block, or are NULL */
    tkx_error *cause;         /* owned */
    const char *message;      /* into the block */
    tkx_chunk_report *chunks; /* [n_chunks], owned with their errors; NULL: none */
    size_t n_chunks;
};

static tkx_error out_of_memory = {
    .status = TKX_ERR_NO_MEMORY,
    .facts = TKX__ERROR_FACTS_INIT,
    .message = "out of memory",
};

static tkx_error *make(tkx_status status, const tkx__error_facts *facts, tkx_error *cause,
                       const char *fmt, va_list args)
{
    static const tkx__error_facts no_facts = TKX__ERROR_FACTS_INIT;
    va_list again;
    int n;
    size_t id_size, trace_size;
    tkx_error *error;
    char *text;

    if (!facts)
        facts = &no_facts;
    id_size = facts->request_id ? strlen(facts->request_id) + 1 : 0;
    trace_size = facts->trace_id ? strlen(facts->trace_id) + 1 : 0;
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        n = 0;
    error = tkx__malloc(sizeof *error + (size_t)n + 1 + id_size + trace_size);
    if (!error) {
        tkx_error_free(cause);
        return &out_of_memory;
    }
    text = (char *)(error + 1);
    text[0] = '\0';
    vsnprintf(text, (size_t)n + 1, fmt, args);
    error->status = status;
    error->facts = *facts;
    error->cause = cause;
    error->chunks = NULL;
    error->n_chunks = 0;
    error->message = text;
    if (id_size)
        error->facts.request_id = memcpy(text + n + 1, facts->request_id, id_size);
    if (trace_size)
        error->facts.trace_id =
            memcpy(text + n + 1 + id_size, facts->trace_id, trace_size);
    return error;
}

static tkx_error *make_f(tkx_status status, const tkx__error_facts *facts,
                         tkx_error *cause, const char *fmt, ...) TKX_PRINTF(4, 5);

static tkx_error *make_f(tkx_status status, const tkx__error_facts *facts,
                         tkx_error *cause, const char *fmt, ...)
{
    va_list args;
    tkx_error *error;

    va_start(args, fmt);
    error = make(status, facts, cause, fmt, args);
    va_end(args);
    return error;
}

tkx_status tkx__fail_with(tkx_error **err, tkx_error *error)
{
    tkx_status status = tkx_error_status(error);

    if (err) {
        tkx_error_free(*err);
        *err = error;
    } else {
        tkx_error_free(error);
    }
    return status;
}

/* Where memory is short the error is another, but not what the caller returns. */
static tkx_status store(tkx_error **err, tkx_error *error, tkx_status status)
{
    tkx__fail_with(err, error);
    return status;
}

static tkx_status vfail(tkx_error **err, tkx_status status, const char *fmt, va_list args)
{
    if (!err)
        return status;
    return store(err, make(status, NULL, NULL, fmt, args), status);
}

tkx_status tkx__fail(tkx_error **err, tkx_status status, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    status = vfail(err, status, fmt, args);
    va_end(args);
    return status;
}

tkx_status tkx__fail_errno(tkx_error **err, int errnum, const char *fmt, ...)
{
    tkx_status status = errnum == ENOENT   ? TKX_ERR_NOT_FOUND
                        : errnum == ENOMEM ? TKX_ERR_NO_MEMORY
                                           : TKX_ERR_IO;
    char what[512];
    char reason[128];
    va_list args;

    if (!err)
        return status;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (strerror_r(errnum, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "errno %d", errnum);
    return tkx__fail(err, status, "%s: %s", what, reason);
}

tkx_status tkx__fail_memory(tkx_error **err)
{
    return store(err, &out_of_memory, TKX_ERR_NO_MEMORY);
}

tkx_status tkx__fail_facts(tkx_error **err, tkx_status status,
                           const tkx__error_facts *facts, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return status;
    va_start(args, fmt);
    store(err, make(status, facts, NULL, fmt, args), status);
    va_end(args);
    return status;
}

tkx_status tkx__fail_cause(tkx_error **err, tkx_status status,
                           const tkx__error_facts *facts, tkx_error **cause,
                           const char *fmt, ...)
{
    tkx_error *taken = *cause;
    va_list args;
    tkx_error *error;

    *cause = NULL;
    va_start(args, fmt);
    error = make(status, facts || !taken ? facts : &taken->facts, taken, fmt, args);
    va_end(args);
    return store(err, error, status);
}

static void drop_chunks(tkx_chunk_report *chunks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tkx_error_free((tkx_error *)(uintptr_t)chunks[i].error);
}

void tkx__error_set_chunks(tkx_error *error, tkx_chunk_report *chunks, size_t n)
{
    if (error && error != &out_of_memory && !error->chunks)
        error->chunks = tkx__calloc(n, sizeof *chunks);
    if (error && error != &out_of_memory && error->chunks && !error->n_chunks) {
        memcpy(error->chunks, chunks, n * sizeof *chunks);
        error->n_chunks = n;
    } else {
        drop_chunks(chunks, n);
    }
    for (size_t i = 0; i < n; i++)
        chunks[i].error = NULL;
}

const tkx_chunk_report *tkx_error_chunks(const tkx_error *error, size_t *n_chunks)
{
    *n_chunks = error ? error->n_chunks : 0;
    return error ? error->chunks : NULL;
}

tkx_error *tkx__error_copy(const tkx_error *error)
{
    tkx_error *copy;

    if (!error || error == &out_of_memory)
        return (tkx_error *)(uintptr_t)error;
    copy = make_f(error->status, &error->facts, tkx__error_copy(error->cause), "%s",
                  error->message);
    if (copy == &out_of_memory || !error->n_chunks)
        return copy;
    copy->chunks = tkx__calloc(error->n_chunks, sizeof *copy->chunks);
    for (size_t i = 0; copy->chunks && i < error->n_chunks; i++) {
        copy->chunks[i] = error->chunks[i];
        copy->chunks[i].error = tkx__error_copy(error->chunks[i].error);
        copy->n_chunks++;
    }
    return copy;
}

tkx_status tkx_error_status(const tkx_error *error)
{
    return error ? error->status : TKX_OK;
}

tkx_error_domain tkx_error_get_domain(const tkx_error *error)
{
    static const unsigned char domains[TKX_N_STATUSES] = {
        [TKX_OK] = TKX_ERROR_DOMAIN_NONE,
        [TKX_ERR_INVALID_ARGUMENT] = TKX_ERROR_DOMAIN_CALLER,
        [TKX_ERR_INVALID_STATE] = TKX_ERROR_DOMAIN_CALLER,
        [TKX_ERR_NO_MEMORY] = TKX_ERROR_DOMAIN_LOCAL,
        [TKX_ERR_IO] = TKX_ERROR_DOMAIN_LOCAL,
        [TKX_ERR_NOT_FOUND] = TKX_ERROR_DOMAIN_LOCAL,
        [TKX_ERR_PARSE] = TKX_ERROR_DOMAIN_LOCAL,
        [TKX_ERR_UNSUPPORTED] = TKX_ERROR_DOMAIN_LOCAL,
        [TKX_ERR_LIMIT] = TKX_ERROR_DOMAIN_LOCAL,
        [TKX_ERR_BUSY] = TKX_ERROR_DOMAIN_LOCAL,
        [TKX_ERR_AUTH] = TKX_ERROR_DOMAIN_SERVICE,
        [TKX_ERR_BILLING] = TKX_ERROR_DOMAIN_SERVICE,
        [TKX_ERR_PERMISSION] = TKX_ERROR_DOMAIN_SERVICE,
        [TKX_ERR_CONNECTION] = TKX_ERROR_DOMAIN_LINK,
        [TKX_ERR_TIMEOUT] = TKX_ERROR_DOMAIN_LINK,
        [TKX_ERR_HTTP] = TKX_ERROR_DOMAIN_SERVICE,
        [TKX_ERR_PROTOCOL] = TKX_ERROR_DOMAIN_SERVICE,
        [TKX_ERR_REQUEST_FAILED] = TKX_ERROR_DOMAIN_SERVICE,
        [TKX_ERR_PROMISE_GONE] = TKX_ERROR_DOMAIN_SERVICE,
        [TKX_ERR_SESSION_DEAD] = TKX_ERROR_DOMAIN_CLIENT,
        [TKX_ERR_CLIENT_BROKEN] = TKX_ERROR_DOMAIN_CLIENT,
        [TKX_ERR_CANCELLED] = TKX_ERROR_DOMAIN_CALLER,
        [TKX_ERR_CLOSED] = TKX_ERROR_DOMAIN_CLIENT,
        [TKX_ERR_WOULD_BLOCK] = TKX_ERROR_DOMAIN_CALLER,
        [TKX_ERR_BREAKER_OPEN] = TKX_ERROR_DOMAIN_CLIENT,
        [TKX_ERR_BUDGET] = TKX_ERROR_DOMAIN_CLIENT,
    };
    tkx_status status = tkx_error_status(error);

    return (unsigned)status < TKX_N_STATUSES ? (tkx_error_domain)domains[status]
                                             : TKX_ERROR_DOMAIN_NONE;
}

const char *tkx_error_message(const tkx_error *error)
{
    return error ? error->message : "no error";
}

int tkx_error_http_status(const tkx_error *error)
{
    return error ? error->facts.http_status : 0;
}

tkx_error_category tkx_error_get_category(const tkx_error *error)
{
    return error ? error->facts.category : TKX_ERROR_CATEGORY_UNKNOWN;
}

int tkx_error_is_retryable(const tkx_error *error)
{
    return error ? error->facts.is_retryable : 0;
}

int64_t tkx_error_retry_after_ms(const tkx_error *error)
{
    return error ? error->facts.retry_after_ms : -1;
}

const char *tkx_error_request_id(const tkx_error *error)
{
    return error ? error->facts.request_id : NULL;
}

int64_t tkx_error_seq_id(const tkx_error *error)
{
    return error ? error->facts.seq_id : -1;
}

int tkx_error_attempts(const tkx_error *error)
{
    return error ? error->facts.attempts : 0;
}

int64_t tkx_error_elapsed_ms(const tkx_error *error)
{
    return error ? error->facts.elapsed_ms : 0;
}

const char *tkx_error_trace_id(const tkx_error *error)
{
    return error ? error->facts.trace_id : NULL;
}

const tkx_error *tkx_error_cause(const tkx_error *error)
{
    return error ? error->cause : NULL;
}

void tkx_error_free(tkx_error *error)
{
    while (error && error != &out_of_memory) {
        tkx_error *cause = error->cause;

        drop_chunks(error->chunks, error->n_chunks);
        tkx__free(error->chunks);
        tkx__free(error);
        error = cause;
    }
}
