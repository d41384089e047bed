/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.c - a small table of header sets, replaced in turn.
 */
#include "api/profile.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

#define N_PROFILES 48
#define MAX_SITE_HEADERS 32

typedef struct tkx__profile {
    tkx__profile_key key; /* holds a reference to the secret */
    tkx__header_set *set; /* NULL: free entry */
} tkx__profile;

static bool is_same(const tkx__profile_key *a, const tkx__profile_key *b)
{
    return a->request_type == b->request_type && a->sdk_method == b->sdk_method &&
           a->secret == b->secret && a->accept == b->accept &&
           a->content_type == b->content_type &&
           a->content_encoding == b->content_encoding && a->timeout_ms == b->timeout_ms &&
           a->is_get == b->is_get && a->wants_pushback == b->wants_pushback &&
           a->is_brief == b->is_brief;
}

/* Headers that the caller of the site gave win over ours of the same name. */
static void add(const tkx__site *site, tkx__header *to, size_t *n, const char *name,
                const char *value)
{
    if (!value)
        return;
    for (size_t i = 0; i < site->n_headers; i++)
        if (tkx__equals_nocase(site->headers[i].name, name))
            return;
    to[(*n)++] = (tkx__header){name, value};
}

static tkx__header_set *build(const tkx__site *site, const tkx__profile_key *key)
{
    tkx__header h[12 + MAX_SITE_HEADERS];
    char timeout[24];
    size_t n = 0;

    snprintf(timeout, sizeof timeout, "%lld", (long long)(key->timeout_ms / 1000));
    add(site, h, &n, "Accept", key->accept);
    add(site, h, &n, "Content-Type", key->is_get ? NULL : key->content_type);
    add(site, h, &n, "Content-Encoding", key->content_encoding);
    add(site, h, &n, "X-API-Key", key->secret ? key->secret->text : NULL);
    add(site, h, &n, "x-stainless-read-timeout", timeout);
    add(site, h, &n, "x-sdk-version", key->sdk_method ? site->sdk_version : NULL);
    add(site, h, &n, "x-sdk-method", key->sdk_method);
    add(site, h, &n, "X-Tinker-Request-Type", key->request_type);
    add(site, h, &n, "X-Tinker-Sampling-Backpressure", key->wants_pushback ? "1" : NULL);
    for (size_t i = key->is_brief ? site->n_platform : 0;
         i < site->n_headers && i < MAX_SITE_HEADERS; i++)
        h[n++] = site->headers[i];
    return tkx__header_set_new(h, n);
}

static void drop(tkx__profile *profile)
{
    tkx__header_set_unref(profile->set);
    tkx__secret_unref(profile->key.secret);
    *profile = (tkx__profile){0};
}

tkx__header_set *tkx__profile_get(tkx__site *site, const tkx__profile_key *key)
{
    if (!site->profiles)
        site->profiles = tkx__calloc(N_PROFILES, sizeof *site->profiles);
    if (!site->profiles)
        return NULL;
    for (size_t i = 0; i < N_PROFILES && site->profiles[i].set; i++)
        if (is_same(&site->profiles[i].key, key))
            return tkx__header_set_ref(site->profiles[i].set);

    tkx__profile *entry = &site->profiles[site->next_profile++ % N_PROFILES];
    drop(entry);
    entry->set = build(site, key);
    if (!entry->set)
        return NULL;
    entry->key = *key;
    entry->key.secret = tkx__secret_ref(key->secret);
    return tkx__header_set_ref(entry->set);
}

void tkx__profiles_free(tkx__site *site)
{
    for (size_t i = 0; site->profiles && i < N_PROFILES; i++)
        drop(&site->profiles[i]);
    tkx__free(site->profiles);
    site->profiles = NULL;
}
