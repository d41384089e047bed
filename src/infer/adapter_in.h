/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/adapter_in.h - the steps of opening an adapter: its files, its options, its
 * tensors' names.
 */
#ifndef TKX_INFER_ADAPTER_IN_H
#define TKX_INFER_ADAPTER_IN_H

#include <stdbool.h>
#include <stddef.h>

#include <tkx/error.h>

#include "base/buf.h"
#include "model/mapped.h"
#include "model/weights.h"

/* ---- files (adapter_files.c) ---- */

/* The two files of an adapter, in memory or mapped. */
typedef struct adapter_files {
    tkx__buf config;
    tkx__buf tensors;   /* from an archive */
    tkx__mapped mapped; /* from a folder */
} adapter_files;

tkx_status tkx__adapter_files_open(const char *path, adapter_files *files,
                                   tkx_error **err);
/* An archive in memory; bytes are not kept. */
tkx_status tkx__adapter_files_parse(const void *bytes, size_t size, const char *what,
                                    adapter_files *files, tkx_error **err);
void tkx__adapter_files_close(adapter_files *files);

/* ---- adapter_config.json (adapter_config.c) ---- */

typedef struct adapter_config {
    size_t rank;
    double alpha;
    bool is_rslora;
    char *base_model; /* NULL: not said; tkx__free() */
} adapter_config;

/* Problems are appended to `problems`, one "\n  ..." line each. */
tkx_status tkx__adapter_config_parse(const char *text, size_t size, const char *what,
                                     adapter_config *out, tkx__buf *problems,
                                     tkx_error **err);

/* ---- tensor names (adapter_name.c) ---- */

typedef enum adapter_module {
    ADAPTER_LAYER,       /* one matrix of a layer, or of one expert */
    ADAPTER_ALL_EXPERTS, /* three-dimensional: one matrix for each expert */
    ADAPTER_HEAD
} adapter_module;

typedef struct adapter_name {
    adapter_module module;
    size_t layer;
    tkx__layer_matrix matrix;
    size_t expert;
    bool has_expert;
    bool is_b; /* lora_B, else lora_A */
} adapter_name;

/* false: no name that an adapter of the service has. */
bool tkx__adapter_name_parse(const char *text, adapter_name *out);

#endif
