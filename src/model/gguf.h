/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/gguf.h - reading GGUF, versions 2 and 3, little-endian.
 *
 * Opening checks every length, count and offset of the file, so that later calls only
 * look things up.  Values and tensors point into the mapping.  Immutable once open: any
 * thread.
 */
#ifndef TKX_MODEL_GGUF_H
#define TKX_MODEL_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "model/tensor.h"

typedef enum tkx__gguf_type {
    TKX__GGUF_U8 = 0,
    TKX__GGUF_I8,
    TKX__GGUF_U16,
    TKX__GGUF_I16,
    TKX__GGUF_U32,
    TKX__GGUF_I32,
    TKX__GGUF_F32,
    TKX__GGUF_BOOL,
    TKX__GGUF_STRING,
    TKX__GGUF_ARRAY,
    TKX__GGUF_U64,
    TKX__GGUF_I64,
    TKX__GGUF_F64,
    TKX__N_GGUF_TYPES
} tkx__gguf_type;

typedef struct tkx__gguf_value {
    const char *key;
    tkx__gguf_type type;
    tkx__gguf_type element_type; /* of an array */
    size_t n;                    /* elements of an array; 1 otherwise */
    const unsigned char *data;   /* first element; unaligned */
    size_t size_bytes;
} tkx__gguf_value;

typedef struct tkx__gguf tkx__gguf;

tkx_status tkx__gguf_open(const char *path, tkx__gguf **out, tkx_error **err);
/* The same from memory, borrowed until free; what names it in errors. */
tkx_status tkx__gguf_parse(const void *bytes, size_t size, const char *what,
                           tkx__gguf **out, tkx_error **err);
/* True for a byte of the mapped file; gguf may be NULL. */
bool tkx__gguf_holds(const tkx__gguf *gguf, const void *byte);
/* See tkx__mapped_forget(). */
void tkx__gguf_forget(const tkx__gguf *gguf, const void *bytes, size_t size);
void tkx__gguf_free(tkx__gguf *gguf);

size_t tkx__gguf_size_bytes(const tkx__gguf *gguf); /* of the whole file */
const tkx__tensors *tkx__gguf_tensors(const tkx__gguf *gguf);
size_t tkx__gguf_n_values(const tkx__gguf *gguf);
const tkx__gguf_value *tkx__gguf_value_at(const tkx__gguf *gguf, size_t i); /* by key */
const tkx__gguf_value *tkx__gguf_find(const tkx__gguf *gguf, const char *key);

/* A key's value if it is there and of a fitting kind: any integer type that fits, any
   number, a bool, a string (not NUL-terminated). */
bool tkx__gguf_get_u64(const tkx__gguf *gguf, const char *key, uint64_t *out);
bool tkx__gguf_get_f64(const tkx__gguf *gguf, const char *key, double *out);
bool tkx__gguf_get_bool(const tkx__gguf *gguf, const char *key, bool *out);
bool tkx__gguf_get_string(const tkx__gguf *gguf, const char *key, const char **text,
                          size_t *n);

/* Element i of an array of numbers (or a scalar, i = 0); i < value->n. */
bool tkx__gguf_i64_at(const tkx__gguf_value *value, size_t i, int64_t *out);
bool tkx__gguf_f64_at(const tkx__gguf_value *value, size_t i, double *out);

/* Walk the strings of an array of strings: start with offset 0; false at the end. */
bool tkx__gguf_next_string(const tkx__gguf_value *value, size_t *offset,
                           const char **text, size_t *n);

#endif
