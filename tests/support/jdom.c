/* SPDX-License-Identifier: Apache-2.0 */
/* jdom.c - a tree of a JSON text, for tests. */
#include "support/jdom.h"

#include <math.h>
#include <string.h>

static void read_value(tkx__json_reader *r, jdom *to);

typedef struct growing {
    jdom *items;
    const char **keys;
    size_t n;
    size_t capacity;
} growing;

static jdom *add(tkx__json_reader *r, growing *g)
{
    if (g->n == g->capacity) {
        size_t capacity = g->capacity ? 2 * g->capacity : 4;
        jdom *items = tkx__arena_zalloc(r->arena, capacity, sizeof *items);
        const char **keys = tkx__arena_zalloc(r->arena, capacity, sizeof *keys);

        if (!items || !keys) {
            tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory");
            return NULL;
        }
        if (g->n) {
            memcpy(items, g->items, g->n * sizeof *items);
            memcpy(keys, g->keys, g->n * sizeof *keys);
        }
        g->items = items;
        g->keys = keys;
        g->capacity = capacity;
    }
    return &g->items[g->n++];
}

static void read_members(tkx__json_reader *r, jdom *to)
{
    growing g = {0};
    tkx__json_text key;

    if (to->kind == TKX__JSON_OBJECT) {
        tkx__json_read_object(r);
        while (tkx__json_read_key(r, &key)) {
            jdom *item = add(r, &g);

            if (!item)
                return;
            g.keys[g.n - 1] = tkx__arena_strndup(r->arena, key.data, key.size);
            read_value(r, item);
        }
    } else {
        tkx__json_read_array(r);
        while (tkx__json_read_element(r)) {
            jdom *item = add(r, &g);

            if (!item)
                return;
            read_value(r, item);
        }
    }
    to->items = g.items;
    to->keys = g.keys;
    to->n = g.n;
}

static void read_value(tkx__json_reader *r, jdom *to)
{
    tkx__json_text text;

    to->kind = tkx__json_peek(r);
    switch (to->kind) {
    case TKX__JSON_OBJECT:
    case TKX__JSON_ARRAY:
        read_members(r, to);
        break;
    case TKX__JSON_STRING:
        if (tkx__json_read_text(r, &text))
            to->text = tkx__arena_strndup(r->arena, text.data, text.size);
        break;
    case TKX__JSON_NUMBER:
        tkx__json_read_number(r, &to->number);
        break;
    case TKX__JSON_BOOL:
        tkx__json_read_bool(r, &to->flag);
        break;
    default:
        if (!tkx__json_take_null(r))
            tkx__json_fail(r, TKX_ERR_PARSE, "expected a value");
    }
}

const jdom *jdom_parse(tkx__arena *arena, const char *bytes, size_t size)
{
    tkx__json_reader r;
    jdom *root = tkx__arena_zalloc(arena, 1, sizeof *root);

    if (!root)
        return NULL;
    tkx__json_reader_init(&r, bytes, size, arena, TKX__JSON_LENIENT);
    read_value(&r, root);
    return tkx__json_finish(&r, "text", NULL) == TKX_OK ? root : NULL;
}

const jdom *jdom_get(const jdom *object, const char *key)
{
    if (!object || object->kind != TKX__JSON_OBJECT)
        return NULL;
    for (size_t i = object->n; i-- > 0;)
        if (strcmp(object->keys[i], key) == 0)
            return &object->items[i];
    return NULL;
}

const jdom *jdom_at(const jdom *array, size_t i)
{
    return array && i < array->n ? &array->items[i] : NULL;
}

size_t jdom_count(const jdom *value)
{
    return value ? value->n : 0;
}

const char *jdom_text(const jdom *value)
{
    return value && value->kind == TKX__JSON_STRING ? value->text : NULL;
}

int64_t jdom_i64(const jdom *value, int64_t missing)
{
    if (!value || value->kind != TKX__JSON_NUMBER)
        return missing;
    if (value->number.kind == TKX__JSON_U64)
        return (int64_t)value->number.u64;
    return value->number.kind == TKX__JSON_I64 ? value->number.i64
                                               : (int64_t)value->number.f64;
}

double jdom_f64(const jdom *value, double missing)
{
    const char *text = jdom_text(value);

    if (text && strcmp(text, "nan") == 0)
        return NAN;
    if (text && strcmp(text, "inf") == 0)
        return INFINITY;
    if (text && strcmp(text, "-inf") == 0)
        return -INFINITY;
    return value && value->kind == TKX__JSON_NUMBER ? value->number.f64 : missing;
}

bool jdom_flag(const jdom *value, bool missing)
{
    return value && value->kind == TKX__JSON_BOOL ? value->flag : missing;
}

bool jdom_is_null(const jdom *value)
{
    return !value || value->kind == TKX__JSON_NULL;
}

static bool same_number(const tkx__json_number *a, const tkx__json_number *b)
{
    if (a->kind != TKX__JSON_F64 && b->kind != TKX__JSON_F64)
        return a->kind == b->kind &&
               (a->kind == TKX__JSON_U64 ? a->u64 == b->u64 : a->i64 == b->i64);
    return a->f64 == b->f64 && signbit(a->f64) == signbit(b->f64);
}

bool jdom_equal(const jdom *a, const jdom *b)
{
    if (!a || !b || a->kind != b->kind)
        return !a && !b;
    switch (a->kind) {
    case TKX__JSON_NUMBER:
        return same_number(&a->number, &b->number);
    case TKX__JSON_STRING:
        return strcmp(a->text, b->text) == 0;
    case TKX__JSON_BOOL:
        return a->flag == b->flag;
    case TKX__JSON_OBJECT:
        for (size_t i = 0; i < a->n; i++)
            if (!jdom_equal(&a->items[i], jdom_get(b, a->keys[i])))
                return false;
        return a->n == b->n;
    case TKX__JSON_ARRAY:
        for (size_t i = 0; i < a->n; i++)
            if (!jdom_equal(&a->items[i], jdom_at(b, i)))
                return false;
        return a->n == b->n;
    default:
        return true;
    }
}
