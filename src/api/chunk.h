/* SPDX-License-Identifier: Apache-2.0 */
/* api/chunk.h - cut the datums of one call into requests. */
#ifndef TKX_API_CHUNK_H
#define TKX_API_CHUNK_H

#include <tkx/error.h>
#include <tkx/types/datum.h>

/* Datums [from, from + count). */
typedef struct tkx__chunk {
    size_t from, count;
    size_t bytes; /* estimated */
} tkx__chunk;

/*
 * Close a chunk before a datum that would push it past max_bytes, or past max_count; one
 * datum larger than that stands alone.  *chunks is the caller's (tkx__free).
 */
tkx_status tkx__chunk_plan(const tkx_datum *data, size_t n_data, size_t max_bytes,
                           size_t max_count, tkx__chunk **chunks, size_t *n_chunks,
                           tkx_error **err);

/* The same for image pointers, which have a form in JSON alone. */
tkx_status tkx__data_refuse_pointers(const tkx_datum *data, size_t n_data,
                                     tkx_error **err);

#endif
