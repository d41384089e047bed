/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/safetensors.h - reading and writing safetensors.
 *
 * A file is an 8-byte header length, a JSON header and raw little-endian data.  Opening
 * checks the header whole: names, types, shapes, offsets, bounds, overlaps, gaps. Tensors
 * point into the mapping, at any alignment.  Immutable once open: any thread.
 */
#ifndef TKX_MODEL_SAFETENSORS_H
#define TKX_MODEL_SAFETENSORS_H

#include <stddef.h>

#include <tkx/error.h>

#include "base/buf.h"
#include "model/tensor.h"

typedef struct tkx__safetensors tkx__safetensors;

tkx_status tkx__safetensors_open(const char *path, tkx__safetensors **out,
                                 tkx_error **err);
/* The same from memory, borrowed until free; what names it in errors. */
tkx_status tkx__safetensors_parse(const void *bytes, size_t size, const char *what,
                                  tkx__safetensors **out, tkx_error **err);
bool tkx__safetensors_holds(const tkx__safetensors *file, const void *byte);
/* See tkx__mapped_forget(). */
void tkx__safetensors_forget(const tkx__safetensors *file, const void *bytes,
                             size_t size);
void tkx__safetensors_free(tkx__safetensors *file);

size_t tkx__safetensors_size_bytes(const tkx__safetensors *file); /* of the whole file */
const tkx__tensors *tkx__safetensors_tensors(const tkx__safetensors *file);
/* A value of "__metadata__"; NULL when it has none of that key. */
const char *tkx__safetensors_metadata(const tkx__safetensors *file, const char *key);

/* ---- writing ---- */

typedef struct tkx__safetensors_pair {
    const char *key;
    const char *value;
} tkx__safetensors_pair;

/* Takes the next bytes of the file. */
typedef tkx_status tkx__write_fn(void *ctx, const void *bytes, size_t n, tkx_error **err);

/*
 * Write a file of n_tensors (name, dtype, dims, data of each; sizes are worked out)
 * through write.  Tensors of wider types come first, so that each is aligned; the order
 * is kept otherwise.  metadata may be NULL.  Data is passed on in place, nothing is
 * copied.
 *
 * Errors: INVALID_ARGUMENT for a type that safetensors does not have; what write returns.
 */
tkx_status tkx__safetensors_write(const tkx__tensor *tensors, size_t n_tensors,
                                  const tkx__safetensors_pair *metadata,
                                  size_t n_metadata, tkx__write_fn *write, void *ctx,
                                  tkx_error **err);

/* A write function that appends to the tkx__buf in ctx. */
tkx_status tkx__write_to_buf(void *ctx, const void *bytes, size_t n, tkx_error **err);
/* A write function for the descriptor that the int in ctx holds; goes on after EINTR. */
tkx_status tkx__write_to_fd(void *ctx, const void *bytes, size_t n, tkx_error **err);

#endif
