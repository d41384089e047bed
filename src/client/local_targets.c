/* SPDX-License-Identifier: Apache-2.0 */
/* local_targets.c - see local_targets.h. */
#include "client/local_targets.h"

#include "base/error.h"
#include "base/mem.h"

static tkx_status bad(tkx_error **err, const char *why)
{
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "target_prompt_logprobs: %s", why);
}

static tkx_status check_shape(const tkx_tensor *t, size_t n_rows, tkx_error **err)
{
    size_t cells;

    if (t->dtype != TKX_DTYPE_INT64)
        return bad(err, "token ids are int64");
    if (!t->has_shape || t->n_dims != 2 || t->shape[0] < 0 || t->shape[1] < 0 ||
        (uint64_t)t->shape[0] != n_rows)
        return bad(err, "needs two dimensions, the first one less than the prompt");
    if (t->is_sparse)
        return TKX_OK;
    if (!tkx__mul((size_t)t->shape[0], (size_t)t->shape[1], &cells) ||
        cells != t->n_values)
        return bad(err, "has not as many values as its shape says");
    return TKX_OK;
}

static tkx_status check_sparse(const tkx_tensor *t, size_t n_rows, tkx_error **err)
{
    if (t->n_crow != n_rows + 1 || t->n_col != t->n_values || t->crow[0] != 0 ||
        t->crow[n_rows] < 0 || (uint64_t)t->crow[n_rows] != t->n_values)
        return bad(err, "row and column indices do not match the values");
    for (size_t i = 0; i < n_rows; i++) {
        if (t->crow[i + 1] < t->crow[i])
            return bad(err, "row indices descend");
    }
    for (size_t i = 0; i < t->n_col; i++) {
        if (t->col[i] < 0 || t->col[i] >= t->shape[1])
            return bad(err, "a column index is outside the shape");
    }
    return TKX_OK;
}

tkx_status tkx__local_targets_rows(const tkx_tensor *t, size_t n_prompt, size_t **rows,
                                   tkx_error **err)
{
    size_t n_rows = n_prompt ? n_prompt - 1 : 0;
    tkx_status st = check_shape(t, n_rows, err);

    if (st == TKX_OK && t->is_sparse)
        st = check_sparse(t, n_rows, err);
    if (st != TKX_OK)
        return st;
    *rows = tkx__calloc(n_rows + 1, sizeof **rows);
    if (!*rows)
        return tkx__fail_memory(err);
    for (size_t i = 0; i <= n_rows; i++)
        (*rows)[i] = t->is_sparse ? (size_t)t->crow[i] : i * (size_t)t->shape[1];
    return TKX_OK;
}
