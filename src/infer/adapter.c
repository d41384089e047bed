/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter.c - matching an adapter's tensors with the matrices of a base model.
 *
 * Every tensor of the file must find its place; all that do not, and every half without
 * its partner, are listed in one error.  Matrices stay where the file has them; only B of
 * q and k is copied, in the base's row order, when that base has its rows interleaved.
 */
#include "infer/adapter.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "infer/adapter_in.h"
#include "model/safetensors.h"

#define MAX_LISTED 16000 /* bytes of problems in one message */

typedef struct matcher {
    tkx__adapter *adapter;
    const tkx__weights *weights;
    tkx__buf problems;
    bool is_out_of_memory;
} matcher;

static void complain(matcher *m, const char *name, const char *how)
{
    tkx__buf_printf(&m->problems, "\n  %.200s: %s", name, how);
}

/* ---- places ---- */

static bool is_mlp(tkx__layer_matrix matrix)
{
    return matrix >= TKX__MAT_GATE && matrix <= TKX__MAT_DOWN;
}

/* Where the pair of a layer's matrix is kept; NULL when the base has no such matrix. */
static tkx__lora *place_of(const matcher *m, const adapter_name *name, size_t expert)
{
    const tkx__model_config *c = &m->weights->config;
    layer_loras *layer;
    bool wants_expert = name->has_expert || name->module == ADAPTER_ALL_EXPERTS;

    if (name->module == ADAPTER_HEAD)
        return &m->adapter->head;
    if (name->layer >= c->n_layers)
        return NULL;
    layer = &m->adapter->layers[name->layer];
    if (is_mlp(name->matrix) && wants_expert != (layer->experts != NULL))
        return NULL;
    if (!wants_expert)
        return &layer->dense[name->matrix];
    if (expert >= c->n_experts)
        return NULL;
    return &layer
                ->experts[(size_t)(name->matrix - TKX__MAT_GATE) * c->n_experts + expert];
}

static const tkx__stored *base_of(const matcher *m, const adapter_name *name)
{
    if (name->module == ADAPTER_HEAD)
        return &m->weights->head;
    return tkx__weights_matrix(m->weights, name->layer, name->matrix, name->expert);
}

/* ---- one tensor ---- */

/* [rank, n_in] or [n_out, rank]; a first dimension of 1 or n_experts before it for the
   three-dimensional kind. */
static bool check_shape(matcher *m, const tkx__tensor *t, const adapter_name *name)
{
    const tkx__stored *base = base_of(m, name);
    size_t rank = m->adapter->config.rank;
    size_t n_experts = m->weights->config.n_experts;
    size_t want[3] = {n_experts, name->is_b ? base->n_rows : rank,
                      name->is_b ? rank : base->n_cols};
    bool is_3d = name->module == ADAPTER_ALL_EXPERTS;
    const size_t *last = want + (is_3d ? 0 : 1);
    size_t n = is_3d ? 3 : 2;
    char has[128];
    char needs[128];
    char how[320];

    if (t->n_dims == n && t->dims[n - 2] == want[1] && t->dims[n - 1] == want[2] &&
        (!is_3d || t->dims[0] == n_experts || t->dims[0] == 1))
        return true;
    tkx__tensor_shape_text(t->dims, t->n_dims, has, sizeof has);
    tkx__tensor_shape_text(last, n, needs, sizeof needs);
    snprintf(how, sizeof how, "has shape %s, needs %s%s (rank %zu)", has, needs,
             is_3d ? " or a first dimension of 1" : "", rank);
    complain(m, t->name, how);
    return false;
}

/* B of q and k in the row order of an interleaved base. */
static const void *reorder(matcher *m, const void *data, size_t row_bytes,
                           const adapter_name *name, size_t n_rows)
{
    unsigned char *copy = tkx__arena_alloc(&m->adapter->arena, n_rows, row_bytes);

    if (!copy) {
        m->is_out_of_memory = true;
        return NULL;
    }
    for (size_t r = 0; r < n_rows; r++)
        memcpy(copy + tkx__weights_stored_row(m->weights, name->matrix, r) * row_bytes,
               (const unsigned char *)data + r * row_bytes, row_bytes);
    return copy;
}

static void set_half(matcher *m, const tkx__tensor *t, const adapter_name *name,
                     size_t slice, tkx__lora *pair)
{
    tkx__matrix *half = name->is_b ? &pair->b : &pair->a;
    tkx__matrix made = {.n_rows = t->dims[t->n_dims - 2],
                        .n_cols = t->dims[t->n_dims - 1]};

    if (half->data) {
        complain(m, t->name, "names a matrix that another tensor has named already");
        return;
    }
    made.type = (tkx__wtype)tkx__dtype_get(t->dtype)->gguf_id;
    made.row_size = made.n_cols * tkx__dtype_get(t->dtype)->block_bytes;
    made.data = (const unsigned char *)t->data + slice * made.n_rows * made.row_size;
    if (name->is_b && name->module == ADAPTER_LAYER && m->weights->is_qk_interleaved &&
        (name->matrix == TKX__MAT_Q || name->matrix == TKX__MAT_K))
        made.data = reorder(m, made.data, made.row_size, name, made.n_rows);
    *half = made;
}

static size_t n_places(const matcher *m, const adapter_name *name)
{
    return name->module == ADAPTER_ALL_EXPERTS ? m->weights->config.n_experts : 1;
}

/* It is there and refused, which is one complaint: its partner does not lack it. */
static void refuse_half(matcher *m, const adapter_name *name)
{
    size_t n = n_places(m, name);

    for (size_t e = 0; e < n; e++) {
        tkx__lora *pair = place_of(m, name, n > 1 ? e : name->expert);

        (name->is_b ? &pair->b : &pair->a)->n_rows = 1;
    }
}

/* One of A and B may be shared by all experts, not both: that is no adapter of experts.
 */
static void check_sharing(matcher *m, const tkx__tensor *t, const tkx__lora *first,
                          const tkx__lora *second)
{
    if (first->a.data && first->a.data == second->a.data && first->b.data &&
        first->b.data == second->b.data)
        complain(m, t->name, "and its partner both have a first dimension of 1");
}

static void match(matcher *m, const tkx__tensor *t)
{
    adapter_name name;
    size_t n;

    if (!tkx__adapter_name_parse(t->name, &name)) {
        complain(m, t->name, "is not used: no adapter tensor has such a name");
        return;
    }
    if (t->n_elements == 0 && name.layer < m->weights->config.n_layers) {
        m->adapter->layers[name.layer].untrained |= 1u << name.matrix;
        return; /* an empty tensor stands for a matrix that was not trained */
    }
    if (!place_of(m, &name, name.expert)) {
        complain(m, t->name, "is not used: the base model has no such matrix");
        return;
    }
    if (t->dtype != TKX__DTYPE_F32 && t->dtype != TKX__DTYPE_F16 &&
        t->dtype != TKX__DTYPE_BF16) {
        complain(m, t->name, "is neither F32, F16 nor BF16");
        refuse_half(m, &name);
        return;
    }
    if (!check_shape(m, t, &name)) {
        refuse_half(m, &name);
        return;
    }
    n = n_places(m, &name);
    for (size_t e = 0; e < n; e++)
        set_half(m, t, &name, t->n_dims == 3 && t->dims[0] > 1 ? e : 0,
                 place_of(m, &name, n > 1 ? e : name.expert));
    if (n > 1 && t->dims[0] == 1)
        check_sharing(m, t, place_of(m, &name, 0), place_of(m, &name, 1));
}

/* ---- the whole ---- */

static tkx_status make_places(matcher *m, tkx_error **err)
{
    tkx__adapter *a = m->adapter;
    const tkx__model_config *c = &m->weights->config;

    a->n_layers = c->n_layers;
    a->n_experts = c->n_experts;
    a->layers = tkx__arena_zalloc(&a->arena, c->n_layers, sizeof *a->layers);
    if (!a->layers)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < c->n_layers; i++) {
        if (!c->is_moe_layer[i])
            continue;
        a->layers[i].experts =
            tkx__arena_zalloc(&a->arena, 3 * c->n_experts, sizeof *a->layers[i].experts);
        if (!a->layers[i].experts)
            return tkx__fail_memory(err);
    }
    return TKX_OK;
}

static tkx_status match_all(matcher *m, const char *what, tkx_error **err)
{
    const tkx__tensors *table = tkx__safetensors_tensors(m->adapter->tensors);
    size_t n_before = m->problems.size; /* of the config */
    tkx_status st = make_places(m, err);

    if (st != TKX_OK)
        return st;
    for (size_t i = 0; i < table->n && !m->is_out_of_memory; i++)
        match(m, &table->items[i]);
    if (m->is_out_of_memory)
        return tkx__fail_memory(err);
    tkx__adapter_check_complete(m->adapter, m->problems.size == n_before, &m->problems);
    if (!m->problems.size && m->adapter->n_matrices == 0)
        complain(m, what, "holds no matrix at all");
    if (m->problems.size)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "the adapter %s does not fit the %s model %s:%s%s", what,
                         tkx__arch_name(m->weights->config.arch), m->weights->path,
                         tkx__buf_text(&m->problems),
                         m->problems.status != TKX_OK ? "\n  and more" : "");
    return TKX_OK;
}

/* A file of the adapter, for errors; NULL: no memory. */
static char *name_of(const char *what, const char *file)
{
    tkx__buf name;

    tkx__buf_init(&name, 1 << 16);
    tkx__buf_printf(&name, "%.32000s: %s", what, file);
    return tkx__buf_take(&name, NULL);
}

static tkx_status build(tkx__adapter *a, const char *what, const void *tensors,
                        size_t size, const tkx__weights *weights, tkx_error **err)
{
    matcher m = {.adapter = a, .weights = weights};
    char *config_name = name_of(what, "adapter_config.json");
    char *tensors_name = name_of(what, "adapter_model.safetensors");
    double rank;
    tkx_status st = TKX_OK;

    tkx__buf_init(&m.problems, MAX_LISTED);
    if (!config_name || !tensors_name)
        st = tkx__fail_memory(err);
    if (st == TKX_OK)
        st = tkx__adapter_config_parse(a->files.config.data, a->files.config.size,
                                       config_name, &a->config, &m.problems, err);
    if (st == TKX_OK)
        st = tkx__safetensors_parse(tensors, size, tensors_name, &a->tensors, err);
    if (st == TKX_OK)
        st = match_all(&m, what, err);
    tkx__buf_clear(&m.problems);
    tkx__free(tensors_name);
    tkx__free(config_name);
    rank = (double)a->config.rank;
    if (st == TKX_OK)
        a->scale = (float)(a->config.alpha / (a->config.is_rslora ? sqrt(rank) : rank));
    return st;
}

static tkx__adapter *new_adapter(void)
{
    static atomic_uint_least64_t last_uid;
    tkx__adapter *a = tkx__calloc(1, sizeof *a);

    if (a) {
        atomic_init(&a->n_refs, 1);
        a->uid = atomic_fetch_add(&last_uid, 1) + 1;
        tkx__arena_init(&a->arena, 1 << 14, SIZE_MAX);
    }
    return a;
}

static tkx_status finish(tkx__adapter *a, tkx_status st, tkx__adapter **out)
{
    if (st == TKX_OK)
        *out = a;
    else
        tkx__adapter_unref(a);
    return st;
}

tkx_status tkx__adapter_open(const char *path, const tkx__weights *weights,
                             tkx__adapter **out, tkx_error **err)
{
    tkx__adapter *a = new_adapter();
    tkx_status st;

    if (!a)
        return tkx__fail_memory(err);
    st = tkx__adapter_files_open(path, &a->files, err);
    if (st == TKX_OK && a->files.tensors.data)
        st = build(a, path, a->files.tensors.data, a->files.tensors.size, weights, err);
    else if (st == TKX_OK)
        st = build(a, path, a->files.mapped.data, a->files.mapped.size, weights, err);
    return finish(a, st, out);
}

tkx_status tkx__adapter_parse(const void *config, size_t config_size, const void *tensors,
                              size_t tensors_size, const char *what,
                              const tkx__weights *weights, tkx__adapter **out,
                              tkx_error **err)
{
    tkx__adapter *a = new_adapter();
    tkx_status st = TKX_OK;

    if (!a)
        return tkx__fail_memory(err);
    tkx__buf_init(&a->files.config, config_size + 1);
    tkx__buf_init(&a->files.tensors, tensors_size + 1);
    tkx__buf_append(&a->files.config, config, config_size);
    tkx__buf_append(&a->files.tensors, tensors, tensors_size);
    if (a->files.config.status != TKX_OK || a->files.tensors.status != TKX_OK)
        st = tkx__fail_memory(err);
    if (st == TKX_OK)
        st = build(a, what, a->files.tensors.data, a->files.tensors.size, weights, err);
    return finish(a, st, out);
}

tkx__adapter *tkx__adapter_ref(tkx__adapter *adapter)
{
    atomic_fetch_add_explicit(&adapter->n_refs, 1, memory_order_relaxed);
    return adapter;
}

void tkx__adapter_unref(tkx__adapter *adapter)
{
    if (!adapter ||
        atomic_fetch_sub_explicit(&adapter->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    tkx__safetensors_free(adapter->tensors);
    tkx__adapter_files_close(&adapter->files);
    tkx__arena_clear(&adapter->arena);
    tkx__free(adapter->arranged);
    tkx__free(adapter->config.base_model);
    tkx__free(adapter->config.modules);
    tkx__free(adapter);
}

tkx__adapter_info tkx__adapter_get_info(const tkx__adapter *a)
{
    return (tkx__adapter_info){.base_model = a->config.base_model,
                               .rank = a->config.rank,
                               .alpha = a->config.alpha,
                               .is_rslora = a->config.is_rslora,
                               .n_matrices = a->n_matrices,
                               .size_bytes = tkx__safetensors_size_bytes(a->tensors)};
}

uint64_t tkx__adapter_uid(const tkx__adapter *adapter)
{
    return adapter->uid;
}

size_t tkx__adapter_rank(const tkx__adapter *adapter)
{
    return adapter->config.rank;
}

float tkx__adapter_scale(const tkx__adapter *adapter)
{
    return adapter->scale;
}

static const tkx__lora *if_set(const tkx__lora *pair)
{
    return pair->a.data ? pair : NULL;
}

const tkx__lora *tkx__adapter_find(const tkx__adapter *a, size_t layer,
                                   tkx__layer_matrix matrix, size_t expert)
{
    const layer_loras *l = &a->layers[layer];

    if (l->experts && is_mlp(matrix))
        return if_set(
            &l->experts[(size_t)(matrix - TKX__MAT_GATE) * a->n_experts + expert]);
    return if_set(&l->dense[matrix]);
}

const tkx__lora *tkx__adapter_head(const tkx__adapter *adapter)
{
    return if_set(&adapter->head);
}
