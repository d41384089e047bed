/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation_numbers.c - which numbers a failed submit leaves free.
 *
 * The next operation takes them, so they are free only when nothing of them can have
 * reached the service's queue.
 */
#include "api/operation_in.h"

/* The service has refused it for certain, at its only send: nothing was applied and the
   number is still free. */
static bool is_refusal(const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    return http >= 400 && http < 500 && http != 408 && http != 425 && http != 429 &&
           tkx_error_attempts(error) <= 1;
}

bool tkx__part_is_alone(const part *p)
{
    const tkx__operation *op = p->op;

    for (size_t i = 0; i < op->n_parts; i++)
        if (&op->parts[i] != p && op->parts[i].state != PART_IDLE)
            return false;
    return true;
}

bool tkx__part_frees_numbers(part *p, const tkx_error *error)
{
    tkx__operation *op = p->op;
    size_t from = op->spec.is_parallel ? 0 : (size_t)(p - op->parts);
    bool is_unsent = tkx_error_attempts(error) == 0;

    if (op->spec.is_parallel && !tkx__part_is_alone(p))
        return false;
    if (!is_refusal(error) && !is_unsent)
        return false;
    op->n_unused = op->n_parts - from;
    for (size_t i = from; i < op->n_parts; i++)
        tkx__part_tell_end(&op->parts[i], TKX__PART_REFUSED, NULL, error);
    return true;
}
