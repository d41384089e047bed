/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_each.c - every entry of a list, whatever number of pages it takes.
 *
 * The next page begins behind what has been seen; a short page, or the cursor's total,
 * ends it.
 */
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/options.h"
#include "client/rest_loop.h"
#include "client/rest_page.h"

#define RUNS_A_PAGE 100
#define CHECKPOINTS_A_PAGE 1000
#define SESSIONS_A_PAGE 100
#define MAX_KEPT_BYTES ((size_t)1 << 20)

typedef struct each {
    tkx__rest_loop loop; /* first */
    tkx__arena arena;    /* copies of texts */
    tkx_page page;
    union {
        tkx_training_run_fn *run;
        tkx_checkpoint_fn *checkpoint;
        tkx_session_id_fn *session;
    } fn;
    void *user_data;
} each;

static tkx_status write_page(tkx__rest_loop *l, tkx__buf *path, tkx__buf *body,
                             tkx_error **err)
{
    char numbers[2][24];
    tkx_pair query[4];

    (void)body;
    tkx__rest_page_query(l->kind->route, &((each *)l)->page, numbers, query);
    return tkx__rest_route_print(l->kind->route, NULL, query, 4, path, err);
}

/* Behind n entries: go on, or not. */
static int64_t behind(each *e, size_t n, const tkx_cursor *cursor)
{
    e->page.offset += (int64_t)n;
    if (n == 0 || (cursor && e->page.offset >= cursor->total_count) ||
        (!cursor && (int64_t)n < e->page.limit))
        return -1;
    return 0;
}

static int64_t look_at_runs(tkx__rest_loop *l, void **answer, void **result,
                            tkx_error **err)
{
    each *e = (each *)l;
    const tkx_training_run_list *list = *answer;

    (void)result, (void)err;
    for (size_t i = 0; i < list->count; i++)
        if (e->fn.run(&list->items[i], e->user_data) != 0)
            return -1;
    return behind(e, list->count, &list->cursor);
}

static int64_t look_at_checkpoints(tkx__rest_loop *l, void **answer, void **result,
                                   tkx_error **err)
{
    each *e = (each *)l;
    const tkx_checkpoint_list *list = *answer;

    (void)result, (void)err;
    for (size_t i = 0; i < list->count; i++)
        if (e->fn.checkpoint(&list->items[i], e->user_data) != 0)
            return -1;
    return behind(e, list->count, list->cursor);
}

static int64_t look_at_sessions(tkx__rest_loop *l, void **answer, void **result,
                                tkx_error **err)
{
    each *e = (each *)l;
    const tkx_session_list *list = *answer;

    (void)result, (void)err;
    for (size_t i = 0; i < list->sessions.count; i++)
        if (e->fn.session(list->sessions.items[i], e->user_data) != 0)
            return -1;
    return behind(e, list->sessions.count, NULL);
}

static void clear(tkx__rest_loop *l)
{
    tkx__arena_clear(&((each *)l)->arena);
}

static bool keep_if_any(each *e, const char **text)
{
    if (!*text)
        return true;
    *text = tkx__arena_strndup(&e->arena, *text, strlen(*text));
    return *text != NULL;
}

static tkx_status new_each(tkx_rest *rest, const tkx__rest_loop_kind *kind,
                           const tkx_page *page, int64_t limit, void *user_data,
                           each **out_each, tkx_future **out, tkx_error **err)
{
    tkx_page p = TKX_PAGE_INIT;
    tkx__rest_loop *l;
    tkx_status st = tkx__options_overlay(&p, sizeof p, page, "tkx_page", err);

    if (st == TKX_OK)
        st = tkx__rest_loop_new(rest, kind, sizeof(each), &l, out, err);
    if (st != TKX_OK)
        return st;
    each *e = (each *)l;
    tkx__arena_init(&e->arena, 256, MAX_KEPT_BYTES);
    e->page = p;
    e->page.limit = p.limit > 0 ? p.limit : limit;
    e->page.offset = p.offset > 0 ? p.offset : 0;
    e->user_data = user_data;
    *out_each = e;
    if (keep_if_any(e, &e->page.access_scope) && keep_if_any(e, &e->page.project_id))
        return TKX_OK;
    tkx__task_drop(&l->task, out);
    return tkx__fail_memory(err);
}

tkx_status tkx_rest_each_training_run(tkx_rest *rest, const tkx_page *page,
                                      tkx_training_run_fn *fn, void *user_data,
                                      tkx_future **out, tkx_error **err)
{
    static const tkx__rest_loop_kind kind = {.route = &tkx__rest_list_runs,
                                             .result = &tkx__result_nothing,
                                             .write = write_page,
                                             .look = look_at_runs,
                                             .clear = clear};
    each *e;
    tkx_status st = new_each(rest, &kind, page, RUNS_A_PAGE, user_data, &e, out, err);

    if (st != TKX_OK)
        return st;
    e->fn.run = fn;
    return tkx__task_launch(&e->loop.task, out, err);
}

tkx_status tkx_rest_each_checkpoint(tkx_rest *rest, const tkx_page *page,
                                    tkx_checkpoint_fn *fn, void *user_data,
                                    tkx_future **out, tkx_error **err)
{
    static const tkx__rest_loop_kind kind = {.route = &tkx__rest_list_checkpoints,
                                             .result = &tkx__result_nothing,
                                             .write = write_page,
                                             .look = look_at_checkpoints,
                                             .clear = clear};
    each *e;
    tkx_status st =
        new_each(rest, &kind, page, CHECKPOINTS_A_PAGE, user_data, &e, out, err);

    if (st != TKX_OK)
        return st;
    e->fn.checkpoint = fn;
    return tkx__task_launch(&e->loop.task, out, err);
}

tkx_status tkx_rest_each_session(tkx_rest *rest, const tkx_page *page,
                                 tkx_session_id_fn *fn, void *user_data, tkx_future **out,
                                 tkx_error **err)
{
    static const tkx__rest_loop_kind kind = {.route = &tkx__rest_list_sessions,
                                             .result = &tkx__result_nothing,
                                             .write = write_page,
                                             .look = look_at_sessions,
                                             .clear = clear};
    each *e;
    tkx_status st = new_each(rest, &kind, page, SESSIONS_A_PAGE, user_data, &e, out, err);

    if (st != TKX_OK)
        return st;
    e->fn.session = fn;
    return tkx__task_launch(&e->loop.task, out, err);
}
