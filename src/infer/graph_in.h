/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/graph_in.h - the inside of a graph, shared by its files (graph*.c, arch.c).
 *
 * Scratch is sized from the configuration once; T is max_tokens, S = T * experts per
 * token (T when dense), R is max_logits.
 */
#ifndef TKX_INFER_GRAPH_IN_H
#define TKX_INFER_GRAPH_IN_H

#include "infer/graph.h"

/* The matrices of a layer as the kernels take them. */
typedef struct layer_matrices {
    tkx__matrix dense[TKX__N_LAYER_MATRICES];
    tkx__matrix *experts; /* [3 * n_experts]: gates, ups, downs; NULL in a dense layer */
} layer_matrices;

/* The tokens of a step that use one adapter. */
typedef struct adapter_use {
    const tkx__adapter *adapter;
    uint32_t *tokens; /* [n], ascending */
    size_t n;
} adapter_use;

/* One token of the running step. */
typedef struct step_token {
    int64_t id;
    size_t pos;
    size_t part;
    int use; /* index into uses; -1: the base alone */
} step_token;

struct tkx__graph {
    const tkx__weights *weights;
    const tkx__model_config *config;
    const tkx__kernels *kernels;
    tkx__threads *pool;
    tkx__kv *kv;
    tkx__graph_options options;
    tkx__work *work;
    tkx__work_limits limits;

    layer_matrices *layers; /* [n_layers] */
    tkx__matrix *experts;   /* of all layers */
    tkx__matrix embedding;
    tkx__matrix head;

    /* the running step */
    const tkx__step_part *parts;
    size_t n_tokens;
    step_token *tokens;           /* [T] */
    tkx__attn_token *attn_tokens; /* [T] */
    adapter_use uses[TKX__GRAPH_MAX_ADAPTERS];
    size_t n_uses;
    size_t layer; /* that runs now */
    float attn_scale;

    /* weights in kernel order */
    size_t n_steps; /* finished; counted up to 1 */
    bool is_packed;
    void **packed; /* [2 n_layers + 1] what to free */

    /* scratch, all float32 unless said */
    float *x;               /* [T, hidden] the residual stream */
    float *y;               /* [T, hidden] its norm */
    float *q;               /* [T, n_heads * head_dim] */
    float *k;               /* [T, n_kv_heads * head_dim] */
    float *v;               /* [T, n_kv_heads * head_dim] */
    float *att;             /* [T, n_heads * head_dim] */
    float *cos;             /* [T, head_dim / 2] */
    float *sin;             /* [T, head_dim / 2] */
    float *gate;            /* [S, ffn] */
    float *up;              /* [S, ffn] */
    float *slots;           /* [S, hidden] what each chosen expert gives */
    float *router;          /* [T, n_experts] */
    float *share;           /* [S] weight of each chosen expert */
    uint32_t *chosen;       /* [S] experts of token t at t * n_experts_per_tok */
    uint32_t *slot_tokens;  /* [S] tokens, grouped by expert */
    uint32_t *slot_ids;     /* [S] their slots, grouped likewise */
    size_t *expert_first;   /* [n_experts + 1] into the two above */
    uint32_t *use_indices;  /* [max(T, 2 S)] positions of adapters' tokens in products */
    tkx__product *products; /* [max(3, 2 * n_experts)] */
    tkx__lora_use *loras;   /* [max_loras] */
    float *head_rows;       /* [R, hidden] */
    float *logits;          /* [R, vocab_size] */
    tkx__logits_row *rows;  /* [R] */
    uint32_t *row_tokens;   /* [R] */

    void *memory[64]; /* what to free */
    size_t n_memory;
};

/* fn(graph, i) for i in 0 .. n-1 over the pool, in pieces. */
typedef void tkx__row_fn(tkx__graph *graph, size_t i);
void tkx__graph_rows(tkx__graph *graph, size_t n, tkx__row_fn *fn);

/*
 * Give a product its adapters: p->loras at *loras (advanced), from the pairs that find
 * returns.  The product takes all tokens of the step, in order.
 */
void tkx__graph_adapt(tkx__graph *graph, tkx__product *p, tkx__lora_use **loras,
                      tkx__layer_matrix matrix);

/* Bring weights that gain by it into kernel order; short of memory, as many as fit. */
void tkx__graph_pack(tkx__graph *graph);
void tkx__graph_unpack(tkx__graph *graph); /* frees them; the graph is not used after */

/* The two halves of a layer: they read and add to graph->x. */
typedef void tkx__block_fn(tkx__graph *graph);
tkx__block_fn tkx__block_attention; /* graph_attention.c */
tkx__block_fn tkx__block_mlp;       /* graph_mlp.c */
tkx__block_fn tkx__block_experts;   /* graph_experts.c */

/*
 * The architecture table: which functions make up layer `layer`.  An architecture with
 * another kind of layer adds its functions in a file of its own and a row here.
 */
typedef struct tkx__arch_ops {
    tkx__block_fn *(*mixer)(const tkx__model_config *config, size_t layer);
    tkx__block_fn *(*mlp)(const tkx__model_config *config, size_t layer);
} tkx__arch_ops;
const tkx__arch_ops *tkx__arch_get(tkx__arch arch);

#endif
