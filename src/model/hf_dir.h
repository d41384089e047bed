/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/hf_dir.h - the tensors of a Hugging Face folder: one file, or shards and an
 * index.
 *
 * Files that the index names must lie in the folder itself.  Immutable once open.
 */
#ifndef TKX_MODEL_HF_DIR_H
#define TKX_MODEL_HF_DIR_H

#include <stddef.h>

#include <tkx/error.h>

#include "model/tensor.h"

typedef struct tkx__hf_dir tkx__hf_dir;

/*
 * Open model.safetensors, or what model.safetensors.index.json names.
 * Errors: NOT_FOUND when there is neither; PARSE, listing every tensor of the index that
 * is not where it says.
 */
tkx_status tkx__hf_dir_open(const char *dir, tkx__hf_dir **out, tkx_error **err);
void tkx__hf_dir_free(tkx__hf_dir *hf);

const tkx__tensors *tkx__hf_dir_tensors(const tkx__hf_dir *hf); /* of all files */
size_t tkx__hf_dir_size_bytes(const tkx__hf_dir *hf);           /* of all files */
/* True for a byte of a mapped file. */
bool tkx__hf_dir_holds(const tkx__hf_dir *hf, const void *byte);
/* See tkx__mapped_forget(). */
void tkx__hf_dir_forget(const tkx__hf_dir *hf, const void *bytes, size_t size);

#endif
