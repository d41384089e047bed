/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_search.c - everything that a search finds, whatever number of pages it takes.
 *
 * The next page is asked for with the cursor that the last one gave; a page without one
 * ends the walk, and so does a cursor that stands still.
 */
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/options.h"
#include "client/rest_loop.h"
#include "types/checkpoint_search.h"
#include "types/session.h"

#define MAX_KEPT_BYTES ((size_t)1 << 20)

typedef struct walk {
    tkx__rest_loop loop; /* first */
    tkx__arena arena;    /* copies of the query and of cursors */
    void *user_data;
    union {
        tkx_session_summary_fn *session;
        tkx_checkpoint_fn *checkpoint;
    } fn;
    union {
        tkx_session_search session;
        tkx_checkpoint_search checkpoint;
    } query;
} walk;

static void clear(tkx__rest_loop *l)
{
    tkx__arena_clear(&((walk *)l)->arena);
}

/* ---- copies of a query ---- */

static bool keep(walk *w, const char **text)
{
    if (*text)
        *text = tkx__arena_strndup(&w->arena, *text, strlen(*text));
    return *text != NULL;
}

static bool keep_if_any(walk *w, const char **text)
{
    return !*text || keep(w, text);
}

static bool keep_strings(walk *w, tkx_string_list *list)
{
    const char **items = tkx__arena_zalloc(&w->arena, list->count + 1, sizeof *items);

    for (size_t i = 0; items && i < list->count; i++) {
        items[i] = list->items[i];
        if (!keep(w, &items[i]))
            return false;
    }
    list->items = items;
    return items != NULL;
}

static bool keep_pairs(walk *w, tkx_pair_list *list)
{
    tkx_pair *items = tkx__arena_zalloc(&w->arena, list->count + 1, sizeof *items);

    for (size_t i = 0; items && i < list->count; i++) {
        items[i] = list->items[i];
        if (!keep(w, &items[i].key) || !keep(w, &items[i].value))
            return false;
    }
    list->items = items;
    return items != NULL;
}

static bool keep_extra(walk *w, tkx_json_member_list *list)
{
    tkx_json_member *items = tkx__arena_zalloc(&w->arena, list->count + 1, sizeof *items);

    for (size_t i = 0; items && i < list->count; i++) {
        items[i] = list->items[i];
        if (!keep(w, &items[i].name) || !keep(w, &items[i].json))
            return false;
    }
    list->items = items;
    return items != NULL;
}

static bool keep_statuses(walk *w, tkx_session_search *q)
{
    tkx_session_status_filter *items =
        tkx__arena_zalloc(&w->arena, q->n_statuses + 1, sizeof *items);

    for (size_t i = 0; items && i < q->n_statuses; i++) {
        items[i] = q->statuses[i];
        if (!keep(w, &items[i].type) || !keep_strings(w, &items[i].reasons))
            return false;
    }
    q->statuses = items;
    return items != NULL;
}

static bool keep_session_query(walk *w)
{
    tkx_session_search *q = &w->query.session;

    return keep_if_any(w, &q->session_id) && keep_strings(w, &q->project_ids) &&
           keep_pairs(w, &q->user_metadata) && keep_if_any(w, &q->display_name) &&
           keep_if_any(w, &q->owner) && keep_strings(w, &q->owner_urns) &&
           keep_statuses(w, q) && keep_if_any(w, &q->cursor_json) &&
           keep_extra(w, &q->extra_json);
}

static bool keep_checkpoint_query(walk *w)
{
    tkx_checkpoint_search *q = &w->query.checkpoint;

    return keep_strings(w, &q->project_ids) && keep_pairs(w, &q->user_metadata) &&
           keep_if_any(w, &q->checkpoint_type) && keep_if_any(w, &q->owner) &&
           keep_strings(w, &q->owner_urns) && keep_strings(w, &q->base_models) &&
           keep_if_any(w, &q->cursor_json) && keep_extra(w, &q->extra_json);
}

/* ---- pages ---- */

/* From the cursor of the last page to the next one: go on, or not. */
static int64_t advance(walk *w, const char **cursor, const char *next, tkx_error **err)
{
    if (!next || (*cursor && strcmp(next, *cursor) == 0))
        return -1;
    *cursor = next;
    if (keep(w, cursor))
        return 0;
    tkx__fail_memory(err);
    return -1;
}

static tkx_status write_sessions(tkx__rest_loop *l, tkx__buf *path, tkx__buf *body,
                                 tkx_error **err)
{
    tkx_status st = tkx__rest_route_print(l->kind->route, NULL, NULL, 0, path, err);

    if (st != TKX_OK)
        return st;
    return tkx__session_search_encode_json(&((walk *)l)->query.session, body, err);
}

static tkx_status write_checkpoints(tkx__rest_loop *l, tkx__buf *path, tkx__buf *body,
                                    tkx_error **err)
{
    tkx_status st = tkx__rest_route_print(l->kind->route, NULL, NULL, 0, path, err);

    if (st != TKX_OK)
        return st;
    return tkx__checkpoint_search_encode_json(&((walk *)l)->query.checkpoint, body, err);
}

static int64_t look_at_sessions(tkx__rest_loop *l, void **answer, void **result,
                                tkx_error **err)
{
    walk *w = (walk *)l;
    const tkx_session_search_result *list = *answer;

    (void)result;
    for (size_t i = 0; i < list->count; i++)
        if (w->fn.session(&list->items[i], w->user_data) != 0)
            return -1;
    return advance(w, &w->query.session.cursor_json, list->next_cursor_json, err);
}

static int64_t look_at_checkpoints(tkx__rest_loop *l, void **answer, void **result,
                                   tkx_error **err)
{
    walk *w = (walk *)l;
    const tkx_checkpoint_search_result *list = *answer;

    (void)result;
    for (size_t i = 0; i < list->count; i++)
        if (w->fn.checkpoint(&list->items[i], w->user_data) != 0)
            return -1;
    return advance(w, &w->query.checkpoint.cursor_json, list->next_cursor_json, err);
}

/* ---- the calls ---- */

static tkx_status new_walk(tkx_rest *rest, const tkx__rest_loop_kind *kind,
                           void *user_data, walk **out_walk, tkx_future **out,
                           tkx_error **err)
{
    tkx__rest_loop *l;
    tkx_status st = tkx__rest_loop_new(rest, kind, sizeof(walk), &l, out, err);

    if (st != TKX_OK)
        return st;
    *out_walk = (walk *)l;
    tkx__arena_init(&(*out_walk)->arena, 256, MAX_KEPT_BYTES);
    (*out_walk)->user_data = user_data;
    return TKX_OK;
}

static tkx_status launch(walk *w, bool is_kept, tkx_future **out, tkx_error **err)
{
    if (is_kept)
        return tkx__task_launch(&w->loop.task, out, err);
    tkx__task_drop(&w->loop.task, out);
    return tkx__fail_memory(err);
}

tkx_status tkx_rest_each_found_session(tkx_rest *rest, const tkx_session_search *search,
                                       tkx_session_summary_fn *fn, void *user_data,
                                       tkx_future **out, tkx_error **err)
{
    static const tkx__rest_loop_kind kind = {.route = &tkx__rest_find_sessions,
                                             .result = &tkx__result_nothing,
                                             .write = write_sessions,
                                             .look = look_at_sessions,
                                             .clear = clear};
    tkx_session_search q = TKX_SESSION_SEARCH_INIT;
    walk *w;
    tkx_status st = tkx__options_overlay(&q, sizeof q, search, "tkx_session_search", err);

    if (st == TKX_OK)
        st = new_walk(rest, &kind, user_data, &w, out, err);
    if (st != TKX_OK)
        return st;
    w->fn.session = fn;
    w->query.session = q;
    return launch(w, keep_session_query(w), out, err);
}

tkx_status tkx_rest_each_found_checkpoint(tkx_rest *rest,
                                          const tkx_checkpoint_search *search,
                                          tkx_checkpoint_fn *fn, void *user_data,
                                          tkx_future **out, tkx_error **err)
{
    static const tkx__rest_loop_kind kind = {.route = &tkx__rest_find_checkpoints,
                                             .result = &tkx__result_nothing,
                                             .write = write_checkpoints,
                                             .look = look_at_checkpoints,
                                             .clear = clear};
    tkx_checkpoint_search q = TKX_CHECKPOINT_SEARCH_INIT;
    walk *w;
    tkx_status st =
        tkx__options_overlay(&q, sizeof q, search, "tkx_checkpoint_search", err);

    if (st == TKX_OK)
        st = new_walk(rest, &kind, user_data, &w, out, err);
    if (st != TKX_OK)
        return st;
    w->fn.checkpoint = fn;
    w->query.checkpoint = q;
    return launch(w, keep_checkpoint_query(w), out, err);
}
