/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_rules.c - comparing bodies, and where our client means to differ from the SDK.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx_wire.pb-c.h>
#include <zstd.h>

#include "fixtures_rules.h"

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
    {"event_data", "{}", "the default"},
    {"user_metadata", "{}", "no entries say as much as no map"},
    {"age_encryption_recipients", "[]", "no keys say as much as no list"},
};

/* Values of ours that stand for others of the SDK's. */
static const struct {
    const char *key;
    const char *theirs, *ours;
    const char *why;
} stand_ins[] = {
    {"tags", "[\"\"]", "[]", "an empty variable names no tag"},
};

static bool is_json(fixture *f, const jdom *value, const char *json)
{
    return jdom_equal(value, jdom_parse(f->arena, json, strlen(json)));
}

static bool may_stand_for(fixture *f, const char *key, const jdom *ours,
                          const jdom *theirs)
{
    for (size_t i = 0; i < sizeof stand_ins / sizeof *stand_ins; i++)
        if (strcmp(stand_ins[i].key, key) == 0 &&
            is_json(f, theirs, stand_ins[i].theirs) &&
            is_json(f, ours, stand_ins[i].ours))
            return true;
    return false;
}

static bool may_be_left_out(fixture *f, const char *key, const jdom *value)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(left_out[i].key, key) == 0 && is_json(f, value, left_out[i].json))
            return true;
    return false;
}

/* Errors that have a status of their own here.  NULL: any operation; 0: any status. */
static const struct {
    const char *op;
    const char *domain;
    int64_t http_from, http_to;
    tkx_status ours;
    const char *why;
} statuses[] = {
    {NULL, "http", 300, 399, TKX_ERR_PROTOCOL, "a redirect that leads nowhere"},
    {"whoami", "protocol", 0, 0, TKX_ERR_UNSUPPORTED, "no token, nobody to name"},
    {"export_session_trace", "protocol", 0, 0, TKX_ERR_REQUEST_FAILED,
     "the service says that it failed"},
};

bool fixture_rule_status(const fixture *f, const char *domain, int64_t http_status,
                         tkx_status ours)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if ((!statuses[i].op || strcmp(statuses[i].op, f->op) == 0) &&
            strcmp(statuses[i].domain, domain) == 0 && statuses[i].ours == ours &&
            http_status >= statuses[i].http_from && http_status <= statuses[i].http_to)
            return true;
    return false;
}

/* Pauses of ours that have other bounds, in ms, than those of the SDK.  NULL: any. */
static const struct {
    const char *op;
    const char *layer;
    int64_t least_ms, most_ms;
    const char *why;
} pauses[] = {
    {"get_checkpoint_archive_url", "low_level", 30000, 30000,
     "a 503 means that the archive is being built: no low-level resend"},
};

static const char *layer_of(const jdom *waits, size_t i)
{
    const char *layer = jdom_text(jdom_get(jdom_at(waits, i), "layer"));

    return layer ? layer : "";
}

static double seconds_of(const jdom *waits, size_t i)
{
    return jdom_f64(jdom_get(jdom_at(waits, i), "seconds"), 0);
}

/* The SDK looks every second whether it may go on; we wait once, with some jitter. */
static size_t pushed_back(const jdom *waits, size_t from, int64_t ms)
{
    double sum = 0;

    for (size_t n = from; n < jdom_count(waits); n++) {
        if (strcmp(layer_of(waits, n), "backpressure") != 0)
            break;
        sum += 1000 * seconds_of(waits, n);
        if ((double)ms >= sum - 2 && (double)ms <= 1.25 * sum + 2)
            return n - from + 1;
    }
    return 0;
}

/* Jitter only ever shortens a pause of the calls, and goes both ways between samples;
   the rest is exact. */
size_t fixture_rule_wait(const fixture *f, const jdom *waits, size_t from, int64_t ms)
{
    const char *layer = layer_of(waits, from);
    double least = seconds_of(waits, from), most = least;

    if (from >= jdom_count(waits))
        return 0;
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++)
        if ((!pauses[i].op || strcmp(pauses[i].op, f->op) == 0) &&
            strcmp(pauses[i].layer, layer) == 0)
            return ms >= pauses[i].least_ms && ms <= pauses[i].most_ms;
    if (strcmp(layer, "backpressure") == 0)
        return pushed_back(waits, from, ms);
    if (strcmp(layer, "sampling_retry") == 0) {
        least *= 0.75;
        most *= 1.25;
    } else if (strcmp(layer, "low_level") == 0) {
        least *= 0.75;
    }
    return (double)ms >= 1000 * least - 2 && (double)ms <= 1000 * most + 2;
}

/* The generations before 0.38 do not tell a watcher that the wait has ended. */
bool fixture_rule_silent_end(const fixture *f)
{
    const char *version = jdom_text(jdom_get(f->root, "sdk_version"));

    return version && strncmp(version, "0.2", 3) == 0;
}

/* Pauses that the SDK does not take. */
static const struct {
    const char *route_end;
    int64_t http_from, http_to; /* of the answer before */
    int64_t most_ms;
    const char *why;
} extra_pauses[] = {
    {"/retrieve_future", 400, 599, 5000,
     "a floor, so that a proxy that fails fast is not polled in a hot loop"},
    {"/retrieve_future", 200, 299, 5000, "the same for a service that does not hold"},
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static int64_t status_of_reply(const fixture *f, size_t k)
{
    const jdom *replies = jdom_get(f->root, "replies");

    for (size_t i = 0; i < jdom_count(replies); i++) {
        size_t times = (size_t)jdom_i64(jdom_get(jdom_at(replies, i), "times"), 1);

        if (k < times)
            return jdom_i64(jdom_get(jdom_at(replies, i), "status"), 0);
        k -= times;
    }
    return 0;
}

bool fixture_rule_extra_wait(const fixture *f, size_t k, int64_t ms)
{
    const char *path = jdom_text(jdom_get(jdom_get(f->root, "route"), "path"));
    int64_t http = status_of_reply(f, k);

    for (size_t i = 0; i < sizeof extra_pauses / sizeof *extra_pauses; i++)
        if (path && ends_with(path, extra_pauses[i].route_end) &&
            http >= extra_pauses[i].http_from && http <= extra_pauses[i].http_to &&
            ms <= extra_pauses[i].most_ms)
            return true;
    return false;
}

/* Requests that the SDK does not make. */
static const struct {
    const char *group;
    const char *domain; /* of the error in the end */
    int64_t most;
    const char *why;
} more_requests[] = {
    {"submit_error", "protocol", 2,
     "a submit that cannot be read is sent again: its number makes that safe"},
};

bool fixture_rule_more_requests(const fixture *f, int64_t more)
{
    const char *domain =
        jdom_text(jdom_get(jdom_get(jdom_get(f->root, "expect"), "error"), "domain"));

    for (size_t i = 0; i < sizeof more_requests / sizeof *more_requests; i++)
        if (strcmp(more_requests[i].group, f->group) == 0 && domain &&
            strcmp(more_requests[i].domain, domain) == 0 && more > 0 &&
            more <= more_requests[i].most)
            return true;
    return false;
}

/* Requests that the SDK makes and we do not. */
static const struct {
    const char *route_end;
    int64_t most;
    const char *why;
} fewer_requests[] = {
    {"/auth/token", 1, "a token whose end cannot be read is used for a minute"},
};

bool fixture_rule_fewer_requests(const fixture *f, int64_t fewer)
{
    const char *path = jdom_text(jdom_get(jdom_get(f->root, "route"), "path"));

    for (size_t i = 0; i < sizeof fewer_requests / sizeof *fewer_requests; i++)
        if (path && ends_with(path, fewer_requests[i].route_end) && fewer > 0 &&
            fewer <= fewer_requests[i].most)
            return true;
    return false;
}

bool fixture_rule_silent_failure(const jdom *last_event)
{
    const char *state = jdom_text(jdom_at(last_event, 0));

    return state && strcmp(state, "active") == 0;
}

/* Errors of the SDK after which we go another way and may well succeed. */
static const struct {
    const char *ops;
    const char *route_end;
    int64_t http;
    const char *why;
} other_ways[] = {
    {"forward_backward forward", "/forward_backward", 400,
     "a server without protobuf: JSON is tried once"},
    {"forward_backward forward", "/forward_backward", 415, "the same"},
    {"forward_backward forward", "/forward_backward", 422, "the same"},
    {"sample compute_logprobs", "/retrieve_future", 404,
     "a promise that nobody knows is as lost as a 410"},
};

bool fixture_rule_other_way(const fixture *f, int64_t http)
{
    const char *path = jdom_text(jdom_get(jdom_get(f->root, "route"), "path"));

    for (size_t i = 0; i < sizeof other_ways / sizeof *other_ways; i++)
        if (other_ways[i].http == http && strstr(other_ways[i].ops, f->op) && path &&
            ends_with(path, other_ways[i].route_end))
            return true;
    return false;
}

/* Rule: log-probabilities of a prompt have one entry for each of its tokens here, the
   missing ones first; the SDK hands out what the server sent. */
bool fixture_rule_padded(const fixture *f, const jdom *ours, const jdom *theirs)
{
    size_t n = jdom_is_null(theirs) ? 0 : theirs->n;

    if (strcmp(f->op, "compute_logprobs") != 0 || !ours ||
        ours->kind != TKX__JSON_ARRAY || ours->n < n)
        return false;
    for (size_t i = 0; i < ours->n - n; i++)
        if (!jdom_is_null(&ours->items[i]))
            return false;
    for (size_t i = 0; i < n; i++)
        if (!jdom_equal(&ours->items[ours->n - n + i], &theirs->items[i]))
            return false;
    return true;
}

/* Values that say which client it is. */
static bool is_any_text(const char *key)
{
    return strcmp(key, "sdk_version") == 0;
}

/* "$.a[3].b" as the manifests write it: "a[].b". */
static void neutral_path(const char *path, char *to, size_t size)
{
    size_t n = 0;

    path += strncmp(path, "$.", 2) == 0 ? 2 : 0;
    for (; *path && n + 1 < size; path++) {
        to[n++] = *path;
        if (*path == '[')
            path += strcspn(path, "]") - 1;
    }
    to[n] = '\0';
}

/* Paths of values that differ on every run. */
static bool is_volatile(const fixture *f, const char *path)
{
    const jdom *list = jdom_get(jdom_get(f->root, "request"), "volatile_json");
    char neutral[300];

    if (!list)
        list = jdom_get(f->root, "volatile_json");
    neutral_path(path, neutral, sizeof neutral);
    for (size_t i = 0; i < jdom_count(list); i++) {
        const char *its = jdom_text(jdom_at(list, i));

        if (its && (strcmp(its, path) == 0 || strcmp(its, neutral) == 0))
            return true;
    }
    return false;
}

static fixture_verdict compare(fixture *f, const jdom *ours, const jdom *theirs,
                               const char *path, bool is_f32);

static bool has_f32_data(const jdom *object)
{
    const char *dtype = jdom_text(jdom_get(object, "dtype"));

    return dtype && strcmp(dtype, "float32") == 0;
}

/* A bare stop string goes out as a list: some servers refuse it otherwise. */
static bool is_lone_stop(const jdom *ours, const jdom *theirs)
{
    return theirs->kind == TKX__JSON_STRING && ours->kind == TKX__JSON_ARRAY &&
           ours->n == 1 && jdom_equal(&ours->items[0], theirs);
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
        if (is_any_text(key) && mine->kind == theirs->items[i].kind)
            continue;
        if (may_stand_for(f, key, mine, &theirs->items[i]))
            continue;
        if (strcmp(key, "stop") == 0 && is_lone_stop(mine, &theirs->items[i]))
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

static void sort_maps(TkxWire__ForwardBackwardRequest *q)
{
    for (size_t i = 0; i < q->n_data; i++)
        sort(q->data[i]->loss_fn_inputs, q->data[i]->n_loss_fn_inputs, by_input);
    sort(q->loss_fn_config, q->n_loss_fn_config, by_number);
    sort(q->loss_fn_config_v2, q->n_loss_fn_config_v2, by_entry);
}

/* Rule: a shape that the caller did not give is one dimension, and we say so, because a
   message without it could be a scalar as well. */
static void drop_own_shapes(const fixture *f, TkxWire__ForwardBackwardRequest *ours)
{
    const jdom *data = jdom_get(f->args, "data");

    for (size_t i = 0; i < ours->n_data && i < jdom_count(data); i++) {
        const jdom *inputs = jdom_get(jdom_at(data, i), "loss_fn_inputs");

        for (size_t k = 0; k < ours->data[i]->n_loss_fn_inputs; k++) {
            TkxWire__LossFnInput *input = ours->data[i]->loss_fn_inputs[k];
            const jdom *given = jdom_get(inputs, input->key);

            if (given && input->value && jdom_is_null(jdom_get(given, "shape")))
                input->value->n_shape = 0;
        }
    }
}

static char *canonical(fixture *f, TkxWire__ForwardBackwardRequest *q, size_t *size)
{
    char *bytes;

    sort_maps(q);
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
        drop_own_shapes(f, mine);
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

fixture_verdict fixture_compare_sent_proto(fixture *f, const char *ours, size_t n_ours,
                                           const char *theirs, size_t n_theirs,
                                           bool is_zstd)
{
    unsigned long long size = is_zstd ? ZSTD_getFrameContentSize(ours, n_ours) : 0;
    char *plain;

    if (!is_zstd)
        return fixture_compare_proto(f, ours, n_ours, theirs, n_theirs);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ||
        size > SIZE_MAX / 2)
        return fixture_differs(f, "our body is no frame with its size in it");
    plain = tkx__arena_alloc(f->arena, (size_t)size + 1, 1);
    if (ZSTD_decompress(plain, (size_t)size, ours, n_ours) != size)
        return fixture_differs(f, "our frame cannot be decompressed");
    return fixture_compare_proto(f, plain, (size_t)size, theirs, n_theirs);
}
