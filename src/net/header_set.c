/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header_set.c - header lines that many requests share.
 *
 * One block: the struct, a list node for each line, the nodes as libcurl reads them, and
 * the text.  A transfer chains its own nodes in front of those, so nothing is copied.
 */
#include "net/header_set.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

struct tkx__header_set {
    atomic_size_t n_refs;
    size_t n;
    size_t text_size;
    struct curl_slist *sent;   /* NULL: none */
    struct curl_slist nodes[]; /* [n] lines, [n] that are sent, then the text */
};

static bool measure(const tkx__header *headers, size_t n, size_t *nodes, size_t *text)
{
    *text = 0;
    for (size_t i = 0; i < n; i++)
        if (!tkx__add(*text, 2 * (strlen(headers[i].name) + strlen(headers[i].value)) + 7,
                      text))
            return false;
    return tkx__mul(n, 2 * sizeof(struct curl_slist), nodes);
}

bool tkx__header_is_joined(const tkx__header *header)
{
    return strncasecmp(header->name, "x-", 2) == 0 && *header->value;
}

size_t tkx__headers_join(char *to, const tkx__header *headers, size_t n,
                         bool (*is_sent)(const void *arg, const char *name),
                         const void *arg)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++) {
        if (!tkx__header_is_joined(&headers[i]) ||
            (is_sent && !is_sent(arg, headers[i].name)))
            continue;
        if (size > 0) { /* in place of the NUL */
            to[size - 1] = '\r';
            to[size++] = '\n';
        }
        size += tkx__header_write(to + size, headers[i].name, headers[i].value);
    }
    return size;
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

static void push(tkx__header_set *set, struct curl_slist *node, char *text)
{
    *node = (struct curl_slist){.data = text, .next = set->sent};
    set->sent = node;
}

tkx__header_set *tkx__header_set_new(const tkx__header *headers, size_t n)
{
    size_t nodes, text, size;
    tkx__header_set *set;
    struct curl_slist *next;
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
    set->sent = NULL;
    next = set->nodes + n;
    at = (char *)(set->nodes + 2 * n);
    for (size_t i = 0; i < n; i++) {
        set->nodes[i].data = at;
        if (!tkx__header_is_joined(&headers[i]))
            push(set, next++, at);
        at += tkx__header_write(at, headers[i].name, headers[i].value);
    }
    if (tkx__headers_join(at, headers, n, NULL, NULL) > 0)
        push(set, next, at);
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
    tkx__wipe(set->nodes + 2 * set->n, set->text_size); /* a key may be among them */
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
    return set ? set->sent : NULL;
}
