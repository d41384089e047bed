/* SPDX-License-Identifier: Apache-2.0 */
/* graph_args.c - what a node is given: values of other nodes, numbers, lists. */
#include <math.h>
#include <string.h>

#include "mock_server/graph_args.h"

const jv **graph_list(tkx__arena *arena, const jv *list, size_t *n_out)
{
    const jv *inner = list && list->kind == JV_OBJECT ? jv_get(list, "tuple") : list;
    const jv **items, *m;
    jv *made;
    const char *at;

    *n_out = 0;
    if (!inner || inner->kind != JV_ARRAY)
        return NULL;
    items = tkx__arena_zalloc(arena, inner->n + 1, sizeof(const jv *));
    if (!items)
        return NULL;
    *n_out = inner->n;
    m = inner->first;
    at = inner->text;
    for (size_t i = 0; i < inner->n; i++) {
        if (!inner->is_packed) {
            items[i] = m;
            m = m->next;
            continue;
        }
        made = tkx__arena_zalloc(arena, 1, sizeof *made);
        if (!made) {
            *n_out = 0;
            return NULL;
        }
        at += strspn(at, " \t\r\n,");
        *made = (jv){.kind = JV_NUMBER, .text = at, .size = strcspn(at, " \t\r\n,]")};
        items[i] = made;
        at += made->size;
    }
    return items;
}

const jv *graph_argument(const graph_args *args, size_t i, const char *name)
{
    const jv *value = i < args->n ? args->items[i] : NULL;

    if (!value && name)
        value = jv_get(args->named, name);
    return value && value->kind == JV_NULL ? NULL : value;
}

static gv *special_number(tape *t, const char *text)
{
    if (strcmp(text, "inf") == 0)
        return gv_number(t, INFINITY);
    return gv_number(t, strcmp(text, "-inf") == 0 ? -INFINITY : NAN);
}

/* A tensor: a node's value, or a number. */
gv *graph_tensor_of(tape *t, const graph_args *args, const jv *value)
{
    const char *name = jv_get_str(value, "ref"), *text = jv_get_str(value, "float");
    double number;
    gv *v;

    if (name) {
        v = args->lookup(args->ctx, name);
        return v ? v : tape_fail(t, "an argument that has no value");
    }
    if (text)
        return special_number(t, text);
    if (jv_f64(value, &number))
        return gv_number(t, number);
    if (value && value->kind == JV_BOOL)
        return gv_number(t, value->is_true);
    return tape_fail(t, "an argument that is no tensor and no number");
}

/* A whole number: written, or computed (sizes are). */
bool graph_integer(tape *t, const graph_args *args, const jv *value, int64_t *out)
{
    gv *v;

    if (jv_i64(value, out))
        return true;
    v = jv_get_str(value, "ref") ? graph_tensor_of(t, args, value) : NULL;
    if (!v || v->n != 1 || !(fabs(v->data[0]) < 1e15))
        return tape_fail(t, "a whole number is wanted") != NULL;
    *out = (int64_t)v->data[0];
    return true;
}

/* One number or a list of them, from argument i on (all that follow count). */
bool graph_integers(tape *t, const graph_args *args, size_t i, const char *name,
                    int64_t out[GRAPH_MAX_DIMS], size_t *n)
{
    const jv *value = graph_argument(args, i, name);
    size_t n_items;
    const jv **items = graph_list(&t->arena, value, &n_items);

    *n = 0;
    if (!value)
        return true;
    if (!items) {
        items = i < args->n ? args->items + i : &value;
        n_items = i < args->n ? args->n - i : 1;
    }
    if (n_items > GRAPH_MAX_DIMS)
        return tape_fail(t, "more than four dimensions") != NULL;
    for (size_t k = 0; k < n_items; k++)
        if (!graph_integer(t, args, items[k], &out[(*n)++]))
            return false;
    return true;
}

bool graph_flag(const graph_args *args, size_t i, const char *name)
{
    const jv *value = graph_argument(args, i, name);

    return value && value->kind == JV_BOOL && value->is_true;
}
