/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header_set.c - header lines that many requests share.
 *
 * One block: the struct, an array of list nodes as libcurl reads them, and the text.  A
 * transfer chains its own nodes in front of the first of these, so nothing is copied.
 */
#include "net/header_set.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct tkx__header_set {
    atomic_size_t n_refs;
    size_t n;
    size_t text_size;
    struct curl_slist nodes[]; /* [n], then the text */
};

static bool measure(const tkx__header *headers, size_t n, size_t *nodes, size_t *text)
{
    *text = 0;
    for (size_t i = 0; i < n; i++)
        if (!tkx__add(*text, strlen(headers[i].name) + strlen(headers[i].value) + 3,
                      text))
            return false;
    return tkx__mul(n, sizeof(struct curl_slist), nodes);
}

/* One line; a blank value needs libcurl's form with a semicolon. */
size_t tkx__header_write(char *to, const char *name, const char *value)
{
    size_t n = strlen(name);
    size_t m = strlen(value);

    memcpy(to, name, n);
    if (m == 0) {
        memcpy(to + n, ";", 2);
        return n + 2;
    }
    memcpy(to + n, ": ", 2);
    memcpy(to + n + 2, value, m + 1);
    return n + m + 3;
}

tkx__header_set *tkx__header_set_new(const tkx__header *headers, size_t n)
{
    size_t nodes, text, size;
    tkx__header_set *set;
    char *at;

    if (!measure(headers, n, &nodes, &text) || !tkx__add(nodes, text, &size) ||
        !tkx__add(size, sizeof *set, &size))
        return NULL;
    set = tkx__malloc(size);
    if (!set)
        return NULL;
    atomic_init(&set->n_refs, 1);
    set->n = n;
    set->text_size = text;
    at = (char *)(set->nodes + n);
    for (size_t i = 0; i < n; i++) {
        set->nodes[i].data = at;
        set->nodes[i].next = i + 1 < n ? &set->nodes[i + 1] : NULL;
        at += tkx__header_write(at, headers[i].name, headers[i].value);
    }
    return set;
}

tkx__header_set *tkx__header_set_ref(tkx__header_set *set)
{
    if (set)
        atomic_fetch_add_explicit(&set->n_refs, 1, memory_order_relaxed);
    return set;
}

void tkx__header_set_unref(tkx__header_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    tkx__wipe(set->nodes + set->n, set->text_size); /* a key may be among them */
    tkx__free(set);
}

size_t tkx__header_set_count(const tkx__header_set *set)
{
    return set->n;
}

const char *tkx__header_set_line(const tkx__header_set *set, size_t i)
{
    return set->nodes[i].data;
}

struct curl_slist *tkx__header_set_list(tkx__header_set *set)
{
    return set && set->n > 0 ? set->nodes : NULL;
}
