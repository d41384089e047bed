/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_rules.c - comparing bodies, and where our client means to differ from the SDK.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx_wire.pb-c.h>

#include "fixtures.h"

/* Keys that we leave out when they have this value. */
static const struct {
    const char *key;
    const char *json;
    const char *why;
} left_out[] = {
    {"kind", "\"snapshot\"", "younger than 0.25; the default"},
    {"optimizer_config", "{\"type\":\"adamw\"}", "younger than 0.25; the default"},
    {"overwrite", "false", "some servers refuse the key; the default"},
    {"topk_sample_logprobs", "0", "younger than 0.25; the default"},
    {"prompt_alt_tokens_k", "0", "younger than 0.25; the default"},
    {"record_stability_info", "false", "younger than 0.25; the default"},
};

static bool may_be_left_out(fixture *f, const char *key, const jdom *value)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(left_out[i].key, key) == 0 &&
            jdom_equal(value,
                       jdom_parse(f->arena, left_out[i].json, strlen(left_out[i].json))))
            return true;
    return false;
}

/* Pairs of a query that we leave to the service when the caller named none. */
static const char *const left_out_pairs[] = {"limit=20", "limit=100", "offset=0",
                                             "access_scope=owned"};

bool fixture_query_may_be_left_out(const char *pair, size_t size)
{
    for (size_t i = 0; i < sizeof left_out_pairs / sizeof *left_out_pairs; i++)
        if (strlen(left_out_pairs[i]) == size &&
            strncmp(left_out_pairs[i], pair, size) == 0)
            return true;
    return false;
}

/* A redirect that leads nowhere breaks the protocol; the SDK calls it a status error. */
bool fixture_is_bad_redirect(int64_t http_status, tkx_status status)
{
    return http_status >= 300 && http_status < 400 && status == TKX_ERR_PROTOCOL;
}

/* Paths of values that differ on every run. */
static bool is_volatile(const fixture *f, const char *path)
{
    const jdom *list = jdom_get(jdom_get(f->root, "request"), "volatile_json");

    if (!list)
        list = jdom_get(f->root, "volatile_json");
    for (size_t i = 0; i < jdom_count(list); i++)
        if (strcmp(jdom_text(jdom_at(list, i)), path) == 0)
            return true;
    return false;
}

static fixture_verdict compare(fixture *f, const jdom *ours, const jdom *theirs,
                               const char *path, bool is_f32);

static bool has_f32_data(const jdom *object)
{
    const char *dtype = jdom_text(jdom_get(object, "dtype"));

    return dtype && strcmp(dtype, "float32") == 0;
}

static fixture_verdict compare_objects(fixture *f, const jdom *ours, const jdom *theirs,
                                       const char *path)
{
    char child[300];

    for (size_t i = 0; i < theirs->n; i++) {
        const char *key = theirs->keys[i];
        const jdom *mine = jdom_get(ours, key);

        snprintf(child, sizeof child, "%s.%s", path, key);
        if (!mine && may_be_left_out(f, key, &theirs->items[i]))
            continue;
        if (!mine)
            return fixture_differs(f, "%s is missing", child);
        if (is_volatile(f, child))
            continue;
        /* Values of a float32 tensor are written with the digits of a float32. */
        if (compare(f, mine, &theirs->items[i], child,
                    strcmp(key, "data") == 0 && has_f32_data(theirs)) != FIXTURE_PASSED)
            return FIXTURE_FAILED;
    }
    for (size_t i = 0; i < ours->n; i++)
        if (!jdom_get(theirs, ours->keys[i]))
            return fixture_differs(f, "%s.%s should not be there", path, ours->keys[i]);
    return FIXTURE_PASSED;
}

static fixture_verdict compare_arrays(fixture *f, const jdom *ours, const jdom *theirs,
                                      const char *path, bool is_f32)
{
    char child[300];

    if (ours->n != theirs->n)
        return fixture_differs(f, "%s has %zu elements, not %zu", path, ours->n,
                               theirs->n);
    for (size_t i = 0; i < ours->n; i++) {
        snprintf(child, sizeof child, "%s[%zu]", path, i);
        if (compare(f, &ours->items[i], &theirs->items[i], child, is_f32) !=
            FIXTURE_PASSED)
            return FIXTURE_FAILED;
    }
    return FIXTURE_PASSED;
}

static fixture_verdict compare(fixture *f, const jdom *ours, const jdom *theirs,
                               const char *path, bool is_f32)
{
    if (ours->kind != theirs->kind)
        return fixture_differs(f, "%s is of another kind", path);
    if (ours->kind == TKX__JSON_OBJECT)
        return compare_objects(f, ours, theirs, path);
    if (ours->kind == TKX__JSON_ARRAY)
        return compare_arrays(f, ours, theirs, path, is_f32);
    if (is_f32 && ours->kind == TKX__JSON_NUMBER &&
        (float)ours->number.f64 == (float)theirs->number.f64)
        return FIXTURE_PASSED;
    if (!jdom_equal(ours, theirs))
        return fixture_differs(f, "%s differs", path);
    return FIXTURE_PASSED;
}

fixture_verdict fixture_compare_json(fixture *f, const char *ours, size_t n_ours,
                                     const char *theirs, size_t n_theirs)
{
    const jdom *mine = jdom_parse(f->arena, ours, n_ours);
    const jdom *yours = jdom_parse(f->arena, theirs, n_theirs);

    if (!mine || !yours)
        return fixture_differs(f, "%s body is no JSON", mine ? "recorded" : "our");
    return compare(f, mine, yours, "$", false);
}

/* Entries of maps stand in any order: both sides are sorted by key, then packed again. */
static int by_input(const void *a, const void *b)
{
    return strcmp((*(TkxWire__LossFnInput *const *)a)->key,
                  (*(TkxWire__LossFnInput *const *)b)->key);
}

static int by_number(const void *a, const void *b)
{
    return strcmp((*(TkxWire__LossConfigNumber *const *)a)->key,
                  (*(TkxWire__LossConfigNumber *const *)b)->key);
}

static int by_entry(const void *a, const void *b)
{
    return strcmp((*(TkxWire__LossConfigEntry *const *)a)->key,
                  (*(TkxWire__LossConfigEntry *const *)b)->key);
}

static void sort(void *list, size_t n, int (*order)(const void *, const void *))
{
    if (n)
        qsort(list, n, sizeof(void *), order);
}

static char *canonical(fixture *f, TkxWire__ForwardBackwardRequest *q, size_t *size)
{
    char *bytes;

    for (size_t i = 0; i < q->n_data; i++)
        sort(q->data[i]->loss_fn_inputs, q->data[i]->n_loss_fn_inputs, by_input);
    sort(q->loss_fn_config, q->n_loss_fn_config, by_number);
    sort(q->loss_fn_config_v2, q->n_loss_fn_config_v2, by_entry);
    *size = tkx_wire__forward_backward_request__get_packed_size(q);
    bytes = tkx__arena_alloc(f->arena, *size + 1, 1);
    tkx_wire__forward_backward_request__pack(q, (uint8_t *)bytes);
    return bytes;
}

fixture_verdict fixture_compare_proto(fixture *f, const char *ours, size_t n_ours,
                                      const char *theirs, size_t n_theirs)
{
    TkxWire__ForwardBackwardRequest *mine =
        tkx_wire__forward_backward_request__unpack(NULL, n_ours, (const uint8_t *)ours);
    TkxWire__ForwardBackwardRequest *yours = tkx_wire__forward_backward_request__unpack(
        NULL, n_theirs, (const uint8_t *)theirs);
    fixture_verdict verdict = FIXTURE_PASSED;
    size_t kept = 0;
    size_t n[2];

    if (mine && yours) {
        char *a;
        char *b;

        /* We always write the second map of settings; 0.25 does not know it. */
        if (!yours->n_loss_fn_config_v2) {
            kept = mine->n_loss_fn_config_v2;
            mine->n_loss_fn_config_v2 = 0;
        }
        a = canonical(f, mine, &n[0]);
        b = canonical(f, yours, &n[1]);
        if (kept)
            mine->n_loss_fn_config_v2 = kept;
        if (n[0] != n[1] || memcmp(a, b, n[0]) != 0)
            verdict = fixture_differs(
                f, "messages differ (%zu and %zu bytes in one order)", n[0], n[1]);
    } else {
        verdict = fixture_differs(f, "%s body is no message", mine ? "recorded" : "our");
    }
    if (mine)
        tkx_wire__forward_backward_request__free_unpacked(mine, NULL);
    if (yours)
        tkx_wire__forward_backward_request__free_unpacked(yours, NULL);
    return verdict;
}
