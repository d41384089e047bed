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
    uint32_t *wanted; /* [n_wanted] places of the wanted ones among all wanted */
    size_t n_wanted;
} adapter_use;

/* One token of the running step. */
typedef struct step_token {
    int64_t id;
    size_t pos;
    size_t part;
    int use;       /* index into uses; -1: the base alone */
    size_t wanted; /* its place among the wanted; TKX__NOT_WANTED */
} step_token;

#define TKX__NOT_WANTED SIZE_MAX

/* fn(ctx, row) for row 0 .. n-1. */
typedef struct row_job {
    tkx__fill_fn *fn;
    void *ctx;
    size_t n;
} row_job;

/* What a layer of the running step consists of. */
typedef struct layer_plan {
    tkx__graph *graph;
    size_t layer;
    /* Tokens that go on when the layer's keys and values are stored: in the last layer
       those alone whose logits are wanted.  NULL: all. */
    const uint32_t *active;
    size_t n_active;
    tkx__product products[TKX__MAT_ROUTER]; /* the dense ones */
    tkx__lora_use *loras;                   /* [TKX__MAT_ROUTER][max adapters] */
    tkx__matmul_job qkv;
    row_job place;
    tkx__attn_job attention;
    tkx__matmul_job o;
    tkx__matmul_job up; /* and gate */
    tkx__matmul_job down;
} layer_plan;

/* Phases of one layer, and beside the layers. */
#define PHASES_OF_LAYER (4 * TKX__MATMUL_PHASES + 2)
#define PHASES_BESIDE (TKX__MATMUL_PHASES + 1)

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
    step_token *tokens;                  /* [T] */
    tkx__attn_token *attn_tokens;        /* [T] */
    uint32_t *wanted;                    /* [n_wanted] tokens with logits, ascending */
    tkx__attn_token *wanted_attn_tokens; /* [n_wanted] */
    size_t n_wanted;
    adapter_use uses[TKX__GRAPH_MAX_ADAPTERS];
    size_t n_uses;
    float attn_scale;

    /* what it consists of */
    layer_plan *plans;  /* [n_layers] */
    tkx__phase *phases; /* [n_phases] not run yet */
    size_t n_phases;
    row_job start;
    tkx__product head_product;
    tkx__matmul_job head_job;

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
    uint32_t *chosen;       /* [S] experts of active row t at t * n_experts_per_tok */
    uint32_t *slot_tokens;  /* [S] active rows, grouped by expert */
    uint32_t *slot_ids;     /* [S] their slots, grouped likewise */
    size_t *expert_first;   /* [n_experts + 1] into the two above */
    uint32_t *use_indices;  /* [max(T, 2 S)] positions of adapters' tokens in products */
    tkx__product *products; /* [2 * n_experts] */
    tkx__lora_use *loras;   /* [max_loras] of experts or the head */
    float *head_rows;       /* [R, hidden] */
    float *logits;          /* [R, vocab_size] */
    tkx__logits_row *rows;  /* [R] */
    uint32_t *row_tokens;   /* [R] */

    void *memory[64]; /* what to free */
    size_t n_memory;
};

/* ---- graph_program.c ---- */

/* Append to what is to be computed; the jobs stay until it is. */
void tkx__graph_add_rows(tkx__graph *graph, row_job *job, size_t n, tkx__fill_fn *fn,
                         void *ctx);
void tkx__graph_add_attention(tkx__graph *graph, tkx__attn_job *job);
void tkx__graph_add_matmul(tkx__graph *graph, tkx__matmul_job *job);
/* Compute all that was appended. */
void tkx__graph_run(tkx__graph *graph);
/* fn(ctx, row) for row 0 .. n-1, at once. */
void tkx__graph_rows(tkx__graph *graph, size_t n, tkx__fill_fn *fn, void *ctx);

/* ---- graph.c ---- */

/* Of active row i, the token. */
static inline size_t tkx__graph_token(const layer_plan *plan, size_t i)
{
    return plan->active ? plan->active[i] : i;
}

/*
 * The product of a layer's dense matrix, with its adapters, into plan->products[matrix]:
 * k and v over all tokens of the step, the others over the active ones, whose rows stand
 * side by side but for those of x (add).
 */
void tkx__graph_product(layer_plan *plan, tkx__layer_matrix matrix,
                        tkx__layer_vector bias, float *y, bool add);

/* ---- graph_pack.c ---- */

/* Bring weights that gain by it into kernel order; short of memory, as many as fit. */
void tkx__graph_pack(tkx__graph *graph);
void tkx__graph_unpack(tkx__graph *graph); /* frees them; the graph is not used after */

/* ---- layers ---- */

/* The two halves of a layer, appended: they read and add to graph->x. */
typedef void tkx__block_fn(tkx__graph *graph, size_t layer);
tkx__block_fn tkx__block_attention; /* graph_attention.c */
tkx__block_fn tkx__block_mlp;       /* graph_mlp.c */
tkx__block_fn tkx__block_experts;   /* graph_experts.c */
tkx__fill_fn tkx__graph_mlp_norm;   /* x to y with a layer_plan's second norm */

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
