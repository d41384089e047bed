/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jdom.h - a tree of a JSON text, for tests: numbers exact, keys in their order.
 */
#ifndef TESTS_SUPPORT_JDOM_H
#define TESTS_SUPPORT_JDOM_H

#include "json/reader.h"

typedef struct jdom {
    tkx__json_kind kind;
    tkx__json_number number;
    bool flag;
    const char *text; /* STRING, NUL-terminated */
    size_t n;
    struct jdom *items;
    const char **keys; /* OBJECT */
} jdom;

/* NULL when the text is no JSON.  Everything is in the arena. */
const jdom *jdom_parse(tkx__arena *arena, const char *bytes, size_t size);

/* Members and elements; NULL when absent (or the value itself is NULL). */
const jdom *jdom_get(const jdom *object, const char *key);
const jdom *jdom_at(const jdom *array, size_t i);
size_t jdom_count(const jdom *value); /* 0 for NULL */

const char *jdom_text(const jdom *value); /* NULL for anything but a string */
int64_t jdom_i64(const jdom *value, int64_t missing);
double jdom_f64(const jdom *value, double missing); /* also "nan", "inf", "-inf" */
bool jdom_flag(const jdom *value, bool missing);
bool jdom_is_null(const jdom *value); /* or absent */

/* The same value: 1 equals 1.0, "nan" equals "nan", key order is free. */
bool jdom_equal(const jdom *a, const jdom *b);

#endif
