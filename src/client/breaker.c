/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.c - the breakers of a context and what its limiter has learnt, as its user sees
 * them.
 */
#include "api/breaker.h"

#include <string.h>

#include "api/limiter.h"
#include "base/error.h"
#include "client/context.h"

/* Endpoints are lanes under their public names. */
_Static_assert((int)TKX_ENDPOINT_SESSION == (int)TKX__LANE_SESSION &&
                   (int)TKX_ENDPOINT_TRAIN == (int)TKX__LANE_TRAIN &&
                   (int)TKX_ENDPOINT_SAMPLE == (int)TKX__LANE_SAMPLE &&
                   (int)TKX_ENDPOINT_RETRIEVE == (int)TKX__LANE_RETRIEVE &&
                   (int)TKX_ENDPOINT_REST == (int)TKX__LANE_REST,
               "endpoints and lanes");

static tkx_breaker_info look(const tkx_context *context, tkx_endpoint endpoint)
{
    const tkx__io *io = tkx__context_io(context);
    tkx_breaker_info info = TKX_BREAKER_INFO_INIT;

    tkx__breaker_look(tkx__context_breakers(context), (tkx__lane)endpoint,
                      io->ops->now_ms(io->ctx), &info);
    return info;
}

tkx_status tkx_breaker_look(const tkx_context *context, tkx_endpoint endpoint,
                            tkx_breaker_info *info, tkx_error **err)
{
    if (!context || (unsigned)endpoint >= TKX_N_ENDPOINTS)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_breaker_look: there is no endpoint %d", (int)endpoint);
    if (!info || info->struct_size < sizeof info->struct_size)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_breaker_look: start from TKX_BREAKER_INFO_INIT");
    tkx_breaker_info all = look(context, endpoint);
    all.struct_size = info->struct_size; /* a shorter struct gets what it knows */
    memcpy(info, &all, all.struct_size < sizeof all ? all.struct_size : sizeof all);
    return TKX_OK;
}

int tkx_breaker_is_open(const tkx_context *context, tkx_endpoint endpoint)
{
    return context && (unsigned)endpoint < TKX_N_ENDPOINTS &&
           look(context, endpoint).state == TKX_BREAKER_OPEN;
}

tkx_status tkx_limiter_look(const tkx_context *context, tkx_limiter_info *info,
                            tkx_error **err)
{
    tkx__limiter *l = context ? tkx__context_limiter(context) : NULL;
    tkx_limiter_info all = TKX_LIMITER_INFO_INIT;

    if (!l || !info || info->struct_size < sizeof info->struct_size)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_limiter_look: start from TKX_LIMITER_INFO_INIT");
    all.max_in_flight = tkx__limiter_limit(l);
    all.n_in_flight = atomic_load_explicit(&l->n_in_flight, memory_order_relaxed);
    all.n_push_backs = atomic_load_explicit(&l->n_push_backs, memory_order_relaxed);
    all.n_cuts = atomic_load_explicit(&l->n_cuts, memory_order_relaxed);
    all.struct_size = info->struct_size; /* a shorter struct gets what it knows */
    memcpy(info, &all, all.struct_size < sizeof all ? all.struct_size : sizeof all);
    return TKX_OK;
}
