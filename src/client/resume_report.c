/* SPDX-License-Identifier: Apache-2.0 */
/* resume_report.c - parts back to calls, results handed over. */
#include "client/resume_report.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/training.h"
#include "types/forward_backward_output.h"

#define MAX_ARENA ((size_t)64 << 20)

tkx__report *tkx__report_new(void)
{
    tkx__report *r = tkx__calloc(1, sizeof *r);

    if (r)
        tkx__arena_init(&r->arena, 1024, MAX_ARENA);
    return r;
}

void tkx_resume_report_free(tkx_resume_report *shown)
{
    tkx__report *r = (tkx__report *)shown;

    if (!r)
        return;
    for (size_t i = 0; i < r->n_results; i++)
        r->free_results[i](r->results[i]);
    for (size_t i = 0; i < r->n_errors; i++)
        tkx_error_free(r->errors[i]);
    tkx__arena_clear(&r->arena);
    tkx__free(r);
}

bool tkx__report_text(tkx__report *r, const char **to, const char *text)
{
    *to = text ? tkx__arena_strndup(&r->arena, text, strlen(text)) : NULL;
    return *to || !text;
}

/* --- calls ----------------------------------------------------------------------- */

/* How many parts from `first` on belong to its call.  They stand together: the numbers of
   a call are one block. */
static size_t n_of_call(const tkx__attached *parts, size_t n, size_t first)
{
    size_t k = 1;

    while (first + k < n && parts[first + k].row->call == parts[first].row->call)
        k++;
    return k;
}

static void keep_result(tkx__report *r, void *result, void (*free_result)(void *))
{
    r->results[r->n_results] = result;
    r->free_results[r->n_results++] = free_result;
}

/* All outputs as one; NULL unless every part has its own. */
static tkx_status join(tkx__attached *parts, size_t n, tkx_forward_backward_output **out,
                       tkx_error **err)
{
    tkx_forward_backward_output **outputs = tkx__calloc(n, sizeof(void *));

    *out = NULL;
    if (!outputs)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        outputs[i] = parts[i].result;
        if (!outputs[i] || (size_t)parts[i].row->n_parts != n) {
            tkx__free(outputs);
            return TKX_OK;
        }
    }
    for (size_t i = 0; i < n; i++)
        parts[i].result = NULL;
    tkx_status st = tkx__forward_backward_output_join(outputs, n, out, err);
    tkx__free(outputs);
    return st;
}

static tkx_status fill(tkx__report *r, tkx_resumed_call *call, tkx__attached *parts,
                       size_t n, tkx_error **err)
{
    const tkx__op_kind *kind = parts[0].kind;
    tkx_forward_backward_output *output = NULL;

    call->number = (size_t)parts[0].row->number;
    call->op = kind->op;
    for (size_t i = 0; i < n && !call->error; i++)
        if (parts[i].error) {
            call->error = r->errors[r->n_errors++] = parts[i].error;
            parts[i].error = NULL;
        }
    if (call->error || !parts[0].result)
        return TKX_OK;
    if (kind->kind == TKX__OP_PASS) {
        tkx_status st = join(parts, n, &output, err);
        if (st != TKX_OK || !output)
            return st;
        keep_result(r, output, kind->free_result);
        call->forward_backward = output;
        return TKX_OK;
    }
    if (kind->path_of)
        call->path = kind->path_of(parts[0].result);
    if (kind->kind == TKX__OP_STEP)
        call->optim_step = parts[0].result;
    keep_result(r, parts[0].result, kind->free_result);
    parts[0].result = NULL;
    return TKX_OK;
}

tkx_status tkx__report_calls(tkx__report *r, tkx__attached *parts, size_t n,
                             tkx_error **err)
{
    size_t room = n ? n : 1, n_calls = 0;
    tkx_status st = TKX_OK;

    r->calls = tkx__arena_zalloc(&r->arena, room, sizeof *r->calls);
    r->results = tkx__arena_zalloc(&r->arena, room, sizeof *r->results);
    r->free_results = tkx__arena_zalloc(&r->arena, room, sizeof *r->free_results);
    r->errors = tkx__arena_zalloc(&r->arena, room, sizeof(tkx_error *));
    if (!r->calls || !r->results || !r->free_results || !r->errors)
        return tkx__fail_memory(err);
    for (size_t i = 0, k; i < n && st == TKX_OK; i += k) {
        k = n_of_call(parts, n, i);
        if (!parts[i].row->is_delivered)
            st = fill(r, &r->calls[n_calls++], parts + i, k, err);
    }
    r->shown.calls = r->calls;
    r->shown.n_resumed_calls = n_calls;
    return st;
}
