/* SPDX-License-Identifier: Apache-2.0 */
/* op.c - ops, lanes and their table: plain data structures, no lock and no database. */
#include "mock_server/op.h"

#include <string.h>

#include "base/mem.h"
#include "mock_server/util.h"

static const char *const kind_names[OP_N_KINDS] = {
    [OP_CREATE_MODEL] = "create_model",
    [OP_FORWARD] = "forward",
    [OP_FORWARD_BACKWARD] = "forward_backward",
    [OP_OPTIM_STEP] = "optim_step",
    [OP_SAVE_WEIGHTS] = "save_weights",
    [OP_SAVE_SAMPLER] = "save_weights_for_sampler",
    [OP_SAVE_EXTERNAL] = "save_weights_external",
    [OP_LOAD_WEIGHTS] = "load_weights",
    [OP_UNLOAD_MODEL] = "unload_model",
    [OP_CUSTOM_LOSS] = "create_custom_loss",
    [OP_SAMPLE] = "asample",
};

const char *op_kind_name(op_kind kind)
{
    return kind_names[kind];
}

/* NULL stays NULL; *ok turns false when memory is short. */
static char *copy_text(const char *text, bool *ok)
{
    char *copy = text ? tkx__strdup(text) : NULL;
    if (text && !copy)
        *ok = false;
    return copy;
}

op *op_new(const op_spec *spec)
{
    bool ok = true;
    op *o = tkx__calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->kind = spec->kind;
    o->seq_id = spec->seq_id;
    o->seed = spec->seed;
    o->is_proto = spec->is_proto;
    o->created_ms = mock_mono_ms();
    atomic_init(&o->is_cancelled, false);
    o->request_id = copy_text(spec->request_id, &ok);
    o->owner = copy_text(spec->owner, &ok);
    o->session_id = copy_text(spec->session_id, &ok);
    o->sampler_id = copy_text(spec->sampler_id, &ok);
    o->source = copy_text(spec->source, &ok);
    o->base_model = copy_text(spec->base_model, &ok);
    if (spec->sha256)
        memcpy(o->sha256, spec->sha256, strnlen(spec->sha256, 64));
    o->body = tkx__strndup(spec->body ? spec->body : "", 0);
    if (spec->body && spec->body_size) {
        tkx__free(o->body);
        o->body = tkx__malloc(spec->body_size + 1);
        if (o->body) {
            memcpy(o->body, spec->body, spec->body_size);
            o->body[spec->body_size] = '\0';
        }
    }
    o->body_size = spec->body_size;
    if (!ok || !o->body) {
        op_free(o);
        return NULL;
    }
    return o;
}

void op_free(op *o)
{
    if (!o)
        return;
    tkx__free(o->request_id);
    tkx__free(o->owner);
    tkx__free(o->session_id);
    tkx__free(o->sampler_id);
    tkx__free(o->source);
    tkx__free(o->base_model);
    tkx__free(o->body);
    tkx__free(o);
}

lane *lane_new(const char *model_id, int64_t next_seq)
{
    lane *l = tkx__calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->next_seq = next_seq;
    l->file_seq = -1;
    l->model_id = tkx__strdup(model_id);
    if (!l->model_id) {
        lane_free(l);
        return NULL;
    }
    return l;
}

void lane_free(lane *l)
{
    if (!l)
        return;
    while (l->head) {
        op *o = l->head;
        l->head = o->next;
        op_free(o);
    }
    nn_model_free(l->model);
    tkx__free(l->model_id);
    tkx__free(l);
}

void lane_put(lane *l, op *o)
{
    op **at = &l->head;
    while (*at && (*at)->seq_id <= o->seq_id)
        at = &(*at)->next;
    if (l->is_any_order && o->seq_id >= 0) /* as they come */
        while (*at)
            at = &(*at)->next;
    o->next = *at;
    o->lane = l;
    *at = o;
}

op *lane_peek(const lane *l)
{
    if (l->is_running || !l->head)
        return NULL;
    if (l->is_any_order || l->head->seq_id < 0 || l->head->seq_id <= l->next_seq)
        return l->head;
    return NULL;
}

op *lane_take(lane *l)
{
    op *o = l->head;
    l->head = o->next;
    o->next = NULL;
    if (o->seq_id >= l->next_seq)
        l->next_seq = o->seq_id + 1;
    return o;
}

static size_t slot_of(const char *id)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)(h % OP_TABLE_SIZE);
}

void op_table_put(op_table *table, op *o)
{
    op **slot = &table->slots[slot_of(o->request_id)];
    o->hash_next = *slot;
    *slot = o;
    table->n++;
}

op *op_table_get(const op_table *table, const char *request_id)
{
    op *o = table->slots[slot_of(request_id)];
    while (o && strcmp(o->request_id, request_id) != 0)
        o = o->hash_next;
    return o;
}

void op_table_remove(op_table *table, op *o)
{
    op **at = &table->slots[slot_of(o->request_id)];
    while (*at && *at != o)
        at = &(*at)->hash_next;
    if (!*at)
        return;
    *at = o->hash_next;
    o->hash_next = NULL;
    table->n--;
}
