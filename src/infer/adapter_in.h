/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/adapter_in.h - the inside of an adapter, and the steps of opening one: its files,
 * its options, its tensors' names.
 */
#ifndef TKX_INFER_ADAPTER_IN_H
#define TKX_INFER_ADAPTER_IN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <tkx/error.h>

#include "base/arena.h"
#include "base/buf.h"
#include "infer/adapter.h"
#include "model/mapped.h"
#include "model/safetensors.h"
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
    char *base_model;  /* NULL: not said; tkx__free() */
    char *modules;     /* names in target_modules, one a line; NULL: none; tkx__free() */
    bool picks_layers; /* not all layers need be adapted */
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

/* ---- the whole (adapter.c) ---- */

typedef struct layer_loras {
    tkx__lora dense[TKX__N_LAYER_MATRICES];
    tkx__lora *experts; /* [3 * n_experts]: gates, ups, downs; NULL in a dense layer */
    unsigned untrained; /* bit of a matrix: an empty tensor says so */
} layer_loras;

struct tkx__adapter {
    atomic_size_t n_refs;
    uint64_t uid;
    adapter_files files;
    adapter_config config;
    tkx__safetensors *tensors;
    tkx__arena arena; /* layers, copies of B */
    void *arranged;   /* memory of matrices as steps read them (adapter_arrange.c) */
    layer_loras *layers;
    size_t n_layers;
    size_t n_experts;
    tkx__lora head;
    float scale;
    size_t n_matrices;
};

/* ---- what is missing (adapter_complete.c) ---- */

/* Counts the matrices; problems are appended, one "\n  ..." line each.  all_fit: every
   tensor found its place. */
void tkx__adapter_check_complete(tkx__adapter *adapter, bool all_fit, tkx__buf *problems);

#endif
