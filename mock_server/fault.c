/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c - reading a scenario and choosing what happens to a request.
 *
 * Every rule whose route fits counts the request.  Delays add up; of the other rules that
 * apply the first one in the list wins.
 */
#include "mock_server/fault.h"

#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "mock_server/jv.h"

struct fault_set {
    int n_refs; /* loop thread only */
    fault_rule *rules;
    size_t n_rules;
};

static const char *const kind_names[FAULT_N_KINDS] = {
    [FAULT_NONE] = "",           [FAULT_STATUS] = "status",
    [FAULT_DELAY] = "delay",     [FAULT_CUT] = "cut",
    [FAULT_STALL] = "stall",     [FAULT_RESET] = "reset",
    [FAULT_GARBAGE] = "garbage", [FAULT_CONTENT_TYPE] = "content_type",
    [FAULT_LOSE] = "lose",       [FAULT_DUPLICATE] = "duplicate",
    [FAULT_REORDER] = "reorder",
};

static void clear_rule(fault_rule *rule)
{
    tkx__free(rule->method);
    tkx__free(rule->path);
    tkx__free(rule->nth);
    tkx__free(rule->body);
    for (size_t i = 0; i < rule->n_headers; i++) {
        tkx__free(rule->headers[i].name);
        tkx__free(rule->headers[i].value);
    }
}

static fault_set *fault_set_ref(fault_set *set)
{
    if (set)
        set->n_refs++;
    return set;
}

void fault_set_unref(fault_set *set)
{
    if (!set || --set->n_refs > 0)
        return;
    for (size_t i = 0; i < set->n_rules; i++)
        clear_rule(&set->rules[i]);
    tkx__free(set->rules);
    tkx__free(set);
}

static tkx_status bad_rule(tkx_error **err, size_t i, const char *what)
{
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "scenario, rule %zu: %s", i, what);
}

static tkx_status read_kind(const jv *from, size_t i, fault_rule *rule, tkx_error **err)
{
    const char *name = jv_get_str(from, "fault");
    const char *phase = jv_get_str(from, "phase");
    for (size_t k = 1; name && k < FAULT_N_KINDS; k++)
        if (strcmp(name, kind_names[k]) == 0)
            rule->kind = (fault_kind)k;
    if (rule->kind == FAULT_NONE)
        return bad_rule(err, i,
                        "\"fault\" is one of status, delay, cut, stall, reset, "
                        "content_type, garbage, lose, duplicate, reorder");
    if (phase && strcmp(phase, "after") != 0 && strcmp(phase, "before") != 0)
        return bad_rule(err, i, "\"phase\" is before or after");
    rule->is_after = phase && *phase == 'a';
    return TKX_OK;
}

static tkx_status read_route(const jv *from, size_t i, fault_rule *rule, tkx_error **err)
{
    const char *text = jv_get_str(from, "route");
    const char *space = text ? strchr(text, ' ') : NULL;
    if (text && strcmp(text, "*") == 0)
        return TKX_OK;
    if (!space || space[1] != '/')
        return bad_rule(err, i, "\"route\" is a method, a space and a path, or *");
    rule->method = tkx__strndup(text, (size_t)(space - text));
    rule->path = tkx__strdup(space + 1);
    return rule->method && rule->path ? TKX_OK : tkx__fail_memory(err);
}

static tkx_status read_nth(const jv *from, size_t i, fault_rule *rule, tkx_error **err)
{
    const jv *nth = jv_get(from, "nth");
    rule->is_all = !nth || (nth->kind == JV_STRING && strcmp(nth->text, "all") == 0);
    if (rule->is_all)
        return TKX_OK;
    rule->n_nth = nth->kind == JV_ARRAY ? nth->n : 1;
    rule->nth = tkx__calloc(rule->n_nth, sizeof *rule->nth);
    if (!rule->nth)
        return tkx__fail_memory(err);
    if (!(nth->kind == JV_ARRAY ? jv_i64s(nth, rule->nth) : jv_i64(nth, rule->nth)))
        return bad_rule(err, i, "\"nth\" is a list of numbers from 1, or \"all\"");
    return TKX_OK;
}

static tkx_status read_headers(const jv *from, size_t i, fault_rule *rule,
                               tkx_error **err)
{
    const jv *headers = jv_get(from, "headers");
    if (!headers)
        return TKX_OK;
    if (headers->kind != JV_OBJECT || headers->n > FAULT_MAX_HEADERS)
        return bad_rule(err, i, "\"headers\" is an object of at most 8 texts");
    for (const jv *h = headers->first; h; h = h->next) {
        fault_header *to = &rule->headers[rule->n_headers];
        if (h->kind != JV_STRING && h->kind != JV_NUMBER)
            return bad_rule(err, i, "a header's value is a text");
        to->name = tkx__strdup(h->key);
        to->value = tkx__strndup(h->text, h->size);
        rule->n_headers++;
        if (!to->name || !to->value)
            return tkx__fail_memory(err);
    }
    return TKX_OK;
}

static bool read_count(const jv *from, const char *key, int64_t *out)
{
    const jv *value = jv_get(from, key);
    return !value || (jv_i64(value, out) && *out >= 0);
}

static tkx_status read_numbers(const jv *from, size_t i, fault_rule *rule,
                               tkx_error **err)
{
    int64_t status = 503, bytes = 0;
    const char *body = jv_get_str(from, "body");
    if (!read_count(from, "status", &status) || !read_count(from, "ms", &rule->ms) ||
        !read_count(from, "jitter_ms", &rule->jitter_ms) ||
        !read_count(from, "bytes", &bytes))
        return bad_rule(err, i, "status, ms, jitter_ms and bytes are numbers from 0");
    if (status < 100 || status > 999)
        return bad_rule(err, i, "\"status\" is a HTTP status");
    rule->status = (int)status;
    rule->bytes = (size_t)bytes;
    if (body && !(rule->body = tkx__strdup(body)))
        return tkx__fail_memory(err);
    return TKX_OK;
}

static tkx_status read_rule(const jv *from, size_t i, fault_rule *rule, tkx_error **err)
{
    tkx_status st = read_kind(from, i, rule, err);
    if (st == TKX_OK)
        st = read_route(from, i, rule, err);
    if (st == TKX_OK)
        st = read_nth(from, i, rule, err);
    if (st == TKX_OK)
        st = read_headers(from, i, rule, err);
    if (st == TKX_OK)
        st = read_numbers(from, i, rule, err);
    return st;
}

static tkx_status read_rules(const jv *root, fault_set *set, tkx_error **err)
{
    const jv *rules = jv_get(root, "rules");
    tkx_status st = TKX_OK;
    if (!rules || rules->kind != JV_ARRAY || (rules->n && rules->is_packed))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "scenario: an object with a list \"rules\" is wanted");
    set->rules = tkx__calloc(rules->n ? rules->n : 1, sizeof *set->rules);
    if (!set->rules)
        return tkx__fail_memory(err);
    for (const jv *r = rules->first; r && st == TKX_OK; r = r->next, set->n_rules++)
        st = read_rule(r, set->n_rules, &set->rules[set->n_rules], err);
    return st;
}

tkx_status fault_set_parse(const char *text, size_t size, fault_set **out,
                           tkx_error **err)
{
    tkx__arena arena;
    const jv *root;
    tkx_status st;
    fault_set *set = tkx__calloc(1, sizeof *set);
    if (!set)
        return tkx__fail_memory(err);
    set->n_refs = 1;
    tkx__arena_init(&arena, 4096, 16 << 20);
    st = jv_parse(&arena, text, size, &root, err);
    if (st == TKX_OK)
        st = read_rules(root, set, err);
    tkx__arena_clear(&arena);
    if (st == TKX_OK) {
        *out = set;
        set = NULL;
    }
    fault_set_unref(set);
    return st;
}

/* Segment by segment; one that begins with a brace fits any. */
static bool path_fits(const char *pattern, const char *path)
{
    while (*pattern == '/' && *path == '/') {
        size_t want = strcspn(pattern + 1, "/"), have = strcspn(path + 1, "/");
        if (pattern[1] != '{' &&
            (want != have || memcmp(pattern + 1, path + 1, want) != 0))
            return false;
        pattern += 1 + want;
        path += 1 + have;
    }
    return !*pattern && !*path;
}

static bool rule_applies(fault_rule *rule)
{
    rule->n_seen++;
    if (rule->is_all)
        return true;
    for (size_t i = 0; i < rule->n_nth; i++)
        if (rule->nth[i] == rule->n_seen)
            return true;
    return false;
}

fault_plan fault_set_next(fault_set *set, const char *method, const char *path,
                          uint64_t random)
{
    fault_plan plan = {0};
    for (size_t i = 0; set && i < set->n_rules; i++) {
        fault_rule *rule = &set->rules[i];
        int64_t ms;
        if (rule->method &&
            (strcmp(rule->method, method) != 0 || !path_fits(rule->path, path)))
            continue;
        if (!rule_applies(rule))
            continue;
        plan.set = set;
        if (rule->kind != FAULT_DELAY) {
            plan.rule = plan.rule ? plan.rule : rule;
            continue;
        }
        ms = rule->ms;
        if (rule->jitter_ms > 0)
            ms += (int64_t)(random % (uint64_t)(rule->jitter_ms + 1));
        *(rule->is_after ? &plan.after_ms : &plan.before_ms) += ms;
    }
    fault_set_ref(plan.set);
    return plan;
}

void fault_plan_clear(fault_plan *plan)
{
    fault_set_unref(plan->set);
    *plan = (fault_plan){0};
}
