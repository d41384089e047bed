/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c - a model's state to safetensors bytes and back.
 *
 * Everything is gathered and checked before the model is touched, and an error lists all
 * that differs.
 */
#include "mock_server/nn/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/model.h"
#include "mock_server/nn/snapshot.h"
#include "model/safetensors.h"

enum {
    MAX_LIST = 8 << 10, /* of an error's list */
    N_METADATA = 13
};

static const size_t max_state = (size_t)1 << 36;

/* One array of a model and the prefix of its tensors' names. */
typedef struct part {
    const char *prefix;
    float *values;
} part;

typedef struct writer {
    tkx__tensor *tensors;
    char (*names)[192];
    size_t n;
    size_t capacity;
    const part *part;
} writer;

static bool count_tensor(const nn_adapter_tensor *t, void *user_data)
{
    (void)t;
    (*(size_t *)user_data)++;
    return true;
}

static bool add_tensor(const nn_adapter_tensor *t, void *user_data)
{
    writer *w = user_data;
    tkx__tensor *to = &w->tensors[w->n];

    snprintf(w->names[w->n], sizeof *w->names, "%s%s", w->part->prefix, t->name);
    *to = (tkx__tensor){.name = w->names[w->n],
                        .dtype = TKX__DTYPE_F32,
                        .n_dims = t->n_dims,
                        .n_elements = t->n,
                        .data = w->part->values + t->offset,
                        .size_bytes = t->n * sizeof(float)};
    memcpy(to->dims, t->shape, t->n_dims * sizeof *t->shape);
    w->n++;
    return true;
}

/* The parts of one adapter's layout as a file. */
static tkx_status write_parts(const nn_adapter *a, const part *parts, size_t n_parts,
                              const tkx__safetensors_pair *metadata, size_t n_metadata,
                              nn_bytes *out, tkx_error **err)
{
    writer w = {0};
    tkx__buf buf;
    tkx_status st;

    tkx__buf_init(&buf, max_state);
    nn_adapter_each(a, count_tensor, &w.capacity);
    w.capacity *= n_parts;
    w.tensors = tkx__calloc(w.capacity, sizeof *w.tensors);
    w.names = tkx__calloc(w.capacity, sizeof *w.names);
    if (!w.tensors || !w.names) {
        st = tkx__fail_memory(err);
        goto done;
    }
    for (size_t i = 0; i < n_parts; i++) {
        w.part = &parts[i];
        nn_adapter_each(a, add_tensor, &w);
    }
    st = tkx__safetensors_write(w.tensors, w.n, metadata, n_metadata, tkx__write_to_buf,
                                &buf, err);
    if (st == TKX_OK && buf.status != TKX_OK)
        st = tkx__fail(err, buf.status, "writing %zu tensors", w.n);
    if (st != TKX_OK)
        goto done;
    out->data = tkx__buf_take(&buf, &out->size);
done:
    tkx__buf_clear(&buf);
    tkx__free(w.tensors);
    tkx__free(w.names);
    return st;
}

/* What the metadata says, as text; the values live in text. */
static size_t describe(const nn_model *model, unsigned parts,
                       tkx__safetensors_pair pairs[N_METADATA], char text[N_METADATA][64])
{
    const nn_lora_options *o = &model->adapter.options;
    size_t n = 0;

    snprintf(text[0], 64, "%zu", o->rank);
    snprintf(text[1], 64, "%.17g", o->alpha);
    snprintf(text[2], 64, "%" PRIu64, o->seed);
    snprintf(text[3], 64, "%d", o->train_attn);
    snprintf(text[4], 64, "%d", o->train_mlp);
    snprintf(text[5], 64, "%d", o->train_unembed);
    snprintf(text[6], 64, "%s", o->optimizer == NN_DIMUON ? "dimuon" : "adamw");
    snprintf(text[7], 64, "%" PRId64, parts & NN_STATE_OPTIMIZER ? model->step : 0);
    snprintf(text[8], 64, "%u", parts);
    snprintf(text[9], 64, "%d", o->use_rslora);
    pairs[n++] = (tkx__safetensors_pair){"tkx.base_model", model->adapter.base->name};
    pairs[n++] = (tkx__safetensors_pair){"tkx.rank", text[0]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.alpha", text[1]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.seed", text[2]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.train_attn", text[3]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.train_mlp", text[4]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.train_unembed", text[5]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.optimizer", text[6]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.step", text[7]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.parts", text[8]};
    pairs[n++] = (tkx__safetensors_pair){"tkx.use_rslora", text[9]};
    return n;
}

tkx_status nn_model_save_state(const nn_model *model, unsigned parts, nn_bytes *out,
                               tkx_error **err)
{
    tkx__safetensors_pair pairs[N_METADATA];
    char text[N_METADATA][64];
    part list[4] = {{"", model->adapter.values}};
    size_t n = 1;

    if (parts & NN_STATE_OPTIMIZER) {
        list[n++] = (part){"optimizer.m.", model->m};
        if (model->v)
            list[n++] = (part){"optimizer.v.", model->v};
    }
    if (parts & NN_STATE_GRADIENTS)
        list[n++] = (part){"gradient.", model->gradient};
    return write_parts(&model->adapter, list, n, pairs,
                       describe(model, parts, pairs, text), out, err);
}

tkx_status nn_snapshot_adapter_bytes(const nn_snapshot *s, nn_bytes *out, tkx_error **err)
{
    static const tkx__safetensors_pair format = {"format", "pt"};
    part values = {"", s->adapter.values};

    if (!s->has_adapter)
        return nn_fail_user(err, TKX_ERR_INVALID_STATE,
                            "'%s' is a base model and has no adapter to save",
                            s->base->name);
    return write_parts(&s->adapter, &values, 1, &format, 1, out, err);
}

tkx_status nn_snapshot_config_json(const nn_snapshot *s, nn_bytes *out, tkx_error **err)
{
    const nn_lora_options *o = &s->adapter.options;
    tkx__buf buf;

    if (!s->has_adapter)
        return nn_fail_user(err, TKX_ERR_INVALID_STATE,
                            "'%s' is a base model and has no adapter to save",
                            s->base->name);
    tkx__buf_init(&buf, 64 << 10);
    tkx__buf_puts(&buf, "{\n  \"base_model_name_or_path\": \"");
    for (const char *c = s->base->name; *c; c++) {
        if (*c == '"' || *c == '\\')
            tkx__buf_putc(&buf, '\\');
        if ((unsigned char)*c < ' ')
            tkx__buf_printf(&buf, "\\u%04x", (unsigned)(unsigned char)*c);
        else
            tkx__buf_putc(&buf, *c);
    }
    tkx__buf_printf(&buf,
                    "\",\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": false,\n"
                    "  \"inference_mode\": true,\n  \"lora_alpha\": %.1f,\n"
                    "  \"lora_dropout\": 0.0,\n  \"modules_to_save\": null,\n"
                    "  \"peft_type\": \"LORA\",\n  \"r\": %zu,\n"
                    "  \"target_modules\": null,\n  \"task_type\": \"CAUSAL_LM\",\n"
                    "  \"use_dora\": false,\n  \"use_rslora\": %s\n}\n",
                    o->alpha, o->rank, o->use_rslora ? "true" : "false");
    if (buf.status != TKX_OK) {
        tkx__buf_clear(&buf);
        return tkx__fail_memory(err);
    }
    out->data = tkx__buf_take(&buf, &out->size);
    return TKX_OK;
}

/* ---- reading ---- */

typedef struct reader {
    const tkx__tensors *tensors;
    const char *prefix;
    float *values;
    tkx__buf *list; /* of what is wrong */
    size_t n_found;
} reader;

static bool is_shape(const tkx__tensor *t, const nn_adapter_tensor *want)
{
    return t->n_dims == want->n_dims &&
           memcmp(t->dims, want->shape, want->n_dims * sizeof *want->shape) == 0;
}

static bool read_tensor(const nn_adapter_tensor *want, void *user_data)
{
    reader *r = user_data;
    char name[192], have[64], need[64];
    const tkx__tensor *t;

    snprintf(name, sizeof name, "%s%s", r->prefix, want->name);
    t = tkx__tensors_find(r->tensors, name);
    if (!t) {
        tkx__buf_printf(r->list, "%smissing %s", r->list->size ? "; " : "", name);
        return true;
    }
    r->n_found++;
    if (!is_shape(t, want)) {
        tkx__tensor_shape_text(t->dims, t->n_dims, have, sizeof have);
        tkx__tensor_shape_text(want->shape, want->n_dims, need, sizeof need);
        tkx__buf_printf(r->list, "%s%s has shape %s, expected %s",
                        r->list->size ? "; " : "", name, have, need);
        return true;
    }
    if (tkx__tensor_to_f32(t, 0, t->n_elements, r->values + want->offset, NULL) != TKX_OK)
        tkx__buf_printf(r->list, "%s%s has type %s", r->list->size ? "; " : "", name,
                        tkx__dtype_name(t->dtype));
    return true;
}

/* Tensors of this prefix that nothing asked for. */
static void list_unknown(const tkx__tensors *tensors, const nn_adapter *a, tkx__buf *list)
{
    size_t n_wanted = 0, n_there = 0;

    nn_adapter_each(a, count_tensor, &n_wanted);
    for (size_t i = 0; i < tensors->n; i++)
        n_there += tkx__starts_with(tensors->items[i].name, "base_model.");
    if (n_there > n_wanted)
        tkx__buf_printf(list, "%s%zu adapter tensors where this model has %zu",
                        list->size ? "; " : "", n_there, n_wanted);
}

/* Fill values (laid out as a's) from the tensors of a prefix; listing what does not
   fit. */
static void read_part(const tkx__tensors *tensors, const nn_adapter *a,
                      const char *prefix, float *values, tkx__buf *list)
{
    reader r = {.tensors = tensors, .prefix = prefix, .values = values, .list = list};

    nn_adapter_each(a, read_tensor, &r);
}

static bool read_flag(const tkx__safetensors *file, const char *key, bool *out)
{
    const char *text = tkx__safetensors_metadata(file, key);

    if (!text || (strcmp(text, "0") != 0 && strcmp(text, "1") != 0))
        return false;
    *out = text[0] == '1';
    return true;
}

static bool read_number(const tkx__safetensors *file, const char *key, uint64_t *out)
{
    const char *text = tkx__safetensors_metadata(file, key);

    return text && tkx__parse_u64(text, out);
}

static tkx_status read_info(const tkx__safetensors *file, nn_state_info *info,
                            tkx_error **err)
{
    const char *base = tkx__safetensors_metadata(file, "tkx.base_model");
    const char *optimizer = tkx__safetensors_metadata(file, "tkx.optimizer");
    const char *alpha = tkx__safetensors_metadata(file, "tkx.alpha");
    uint64_t rank = 0, step = 0, parts = 0;

    memset(info, 0, sizeof *info);
    if (!base || strlen(base) >= sizeof info->base_model || !optimizer || !alpha ||
        !tkx__parse_f64(alpha, &info->lora.alpha) ||
        !read_number(file, "tkx.rank", &rank) || !read_number(file, "tkx.step", &step) ||
        !read_number(file, "tkx.parts", &parts) ||
        !read_number(file, "tkx.seed", &info->lora.seed) ||
        !read_flag(file, "tkx.train_attn", &info->lora.train_attn) ||
        !read_flag(file, "tkx.train_mlp", &info->lora.train_mlp) ||
        !read_flag(file, "tkx.train_unembed", &info->lora.train_unembed) ||
        !read_flag(file, "tkx.use_rslora", &info->lora.use_rslora) ||
        (strcmp(optimizer, "adamw") != 0 && strcmp(optimizer, "dimuon") != 0))
        return nn_fail_user(err, TKX_ERR_PARSE,
                            "not a training state: its metadata is absent or incomplete");
    memcpy(info->base_model, base, strlen(base) + 1);
    info->lora.rank = (size_t)rank;
    info->lora.optimizer = strcmp(optimizer, "dimuon") == 0 ? NN_DIMUON : NN_ADAMW;
    info->step = (int64_t)step;
    info->parts = (unsigned)parts;
    return TKX_OK;
}

tkx_status nn_state_read_info(const void *bytes, size_t size, nn_state_info *info,
                              tkx_error **err)
{
    tkx__safetensors *file = NULL;
    tkx_status st = tkx__safetensors_parse(bytes, size, "training state", &file, err);

    if (st == TKX_OK)
        st = read_info(file, info, err);
    tkx__safetensors_free(file);
    return st;
}

/* Everything a load brings, outside the model until all of it is known to be right. */
typedef struct incoming {
    float *values, *m, *v, *gradient;
} incoming;

static void list_differences(const nn_model *model, const nn_state_info *info,
                             unsigned parts, tkx__buf *list)
{
    if (strcmp(info->base_model, model->adapter.base->name) != 0)
        tkx__buf_printf(list, "saved from base model '%s', loaded into '%s'; ",
                        info->base_model, model->adapter.base->name);
    if (info->lora.rank != model->adapter.rank)
        tkx__buf_printf(list, "saved with rank %zu, loaded into rank %zu; ",
                        info->lora.rank, model->adapter.rank);
    if (parts & ~info->parts)
        tkx__buf_printf(list, "saved without %s; ",
                        parts & ~info->parts & NN_STATE_OPTIMIZER ? "optimizer state"
                                                                  : "gradients");
    if ((parts & NN_STATE_OPTIMIZER) &&
        info->lora.optimizer != model->adapter.options.optimizer)
        tkx__buf_puts(list, "saved with another optimizer family; ");
}

static tkx_status read_incoming(const nn_model *model, const tkx__tensors *tensors,
                                unsigned parts, incoming *in, tkx__buf *list,
                                tkx_error **err)
{
    size_t n = model->adapter.n_values;
    bool moments = parts & NN_STATE_OPTIMIZER, gradients = parts & NN_STATE_GRADIENTS;

    in->values = tkx__calloc(n, sizeof *in->values);
    in->m = tkx__calloc(n, sizeof *in->m);
    in->v = tkx__calloc(n, sizeof *in->v);
    in->gradient = tkx__calloc(n, sizeof *in->gradient);
    if (!in->values || !in->m || !in->v || !in->gradient)
        return tkx__fail_memory(err);
    read_part(tensors, &model->adapter, "", in->values, list);
    list_unknown(tensors, &model->adapter, list);
    if (moments)
        read_part(tensors, &model->adapter, "optimizer.m.", in->m, list);
    if (moments && model->v)
        read_part(tensors, &model->adapter, "optimizer.v.", in->v, list);
    if (gradients)
        read_part(tensors, &model->adapter, "gradient.", in->gradient, list);
    return TKX_OK;
}

static void accept_incoming(nn_model *model, const incoming *in, int64_t step)
{
    size_t size = model->adapter.n_values * sizeof(float);

    memcpy(model->adapter.values, in->values, size);
    memcpy(model->m, in->m, size);
    if (model->v)
        memcpy(model->v, in->v, size);
    memcpy(model->gradient, in->gradient, size);
    model->step = step;
}

tkx_status nn_model_load_state(nn_model *model, const void *bytes, size_t size,
                               unsigned parts, tkx_error **err)
{
    tkx__safetensors *file = NULL;
    nn_state_info info = {0};
    incoming in = {0};
    tkx__buf list;
    tkx_status st = tkx__safetensors_parse(bytes, size, "training state", &file, err);

    tkx__buf_init(&list, MAX_LIST);
    if (st != TKX_OK)
        goto done;
    /* An adapter's file has no such metadata; its tensors must do. */
    if (tkx__safetensors_metadata(file, "tkx.base_model") || parts != 0)
        st = read_info(file, &info, err);
    if (st != TKX_OK)
        goto done;
    if (info.base_model[0])
        list_differences(model, &info, parts, &list);
    st = read_incoming(model, tkx__safetensors_tensors(file), parts, &in, &list, err);
    if (st == TKX_OK && list.size > 0)
        st = nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT, "cannot load the state: %s",
                          tkx__buf_text(&list));
    if (st == TKX_OK)
        accept_incoming(model, &in, parts & NN_STATE_OPTIMIZER ? info.step : 0);
done:
    tkx__free(in.values);
    tkx__free(in.m);
    tkx__free(in.v);
    tkx__free(in.gradient);
    tkx__buf_clear(&list);
    tkx__safetensors_free(file);
    return st;
}

/* Rank and trained groups as an adapter's tensor names and shapes show them. */
static bool guess_options(const tkx__tensors *tensors, nn_lora_options *o)
{
    *o = (nn_lora_options){0};
    for (size_t i = 0; i < tensors->n; i++) {
        const tkx__tensor *t = &tensors->items[i];

        if (!strstr(t->name, ".lora_A.") || t->n_dims < 2)
            continue;
        o->rank = t->dims[t->n_dims - 2];
        o->train_attn |= strstr(t->name, ".self_attn.") != NULL;
        o->train_mlp |= strstr(t->name, ".mlp.") != NULL;
        o->train_unembed |= strstr(t->name, ".unembed_tokens.") != NULL;
    }
    return o->rank > 0;
}

tkx_status nn_snapshot_from_state(nn_engine *engine, const nn_base *base,
                                  const void *bytes, size_t size, nn_snapshot **out,
                                  tkx_error **err)
{
    tkx__safetensors *file = NULL;
    const tkx__tensors *tensors;
    nn_state_info info;
    nn_adapter a = {0};
    tkx__buf list;
    tkx_status st = tkx__safetensors_parse(bytes, size, "adapter", &file, err);

    tkx__buf_init(&list, MAX_LIST);
    if (st != TKX_OK)
        goto done;
    tensors = tkx__safetensors_tensors(file);
    if (read_info(file, &info, NULL) != TKX_OK && !guess_options(tensors, &info.lora)) {
        st = nn_fail_user(err, TKX_ERR_PARSE, "not an adapter: no tensor named lora_A");
        goto done;
    }
    st = nn_adapter_init(&a, base, &info.lora, err);
    if (st != TKX_OK)
        goto done;
    read_part(tensors, &a, "", a.values, &list);
    list_unknown(tensors, &a, &list);
    st = list.size > 0 ? nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                                      "cannot load the adapter: %s", tkx__buf_text(&list))
                       : nn_snapshot_new(engine, base, &a, out, err);
done:
    nn_adapter_clear(&a);
    tkx__buf_clear(&list);
    tkx__safetensors_free(file);
    return st;
}
