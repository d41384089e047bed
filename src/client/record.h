/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/record.h - from the answer of a call to a record that a future hands out.
 *
 * The client layer wraps each decoder of types/ in the same few lines; they stand here
 * once.  Each macro needs the noun's codec header.
 */
#ifndef TKX_CLIENT_RECORD_H
#define TKX_CLIENT_RECORD_H

#include "api/poll.h"
#include "client/future.h"

/* decode_NOUN(), for exchanges. */
#define TKX__RECORD_DECODER(noun)                                                        \
    static void *decode_##noun(const tkx__payload *payload, void *arg, tkx_error **err)  \
    {                                                                                    \
        tkx_##noun *result = NULL;                                                       \
        (void)arg;                                                                       \
        tkx__##noun##_decode_json(payload->bytes, payload->size, &result, err);          \
        return result;                                                                   \
    }                                                                                    \
    extern const tkx__result_type tkx__result_nothing

/* And free_NOUN(), for operations and results. */
#define TKX__RECORD_CODEC(noun)                                                          \
    TKX__RECORD_DECODER(noun);                                                           \
    static void free_##noun(void *result)                                                \
    {                                                                                    \
        tkx_##noun##_free(result);                                                       \
    }                                                                                    \
    extern const tkx__result_type tkx__result_nothing

/* The public function FN that moves a tkx_NOUN of result type TYPE out of a future. */
#define TKX__RECORD_TAKE(fn, noun, type)                                                 \
    tkx_status fn(tkx_future *future, tkx_##noun **out, tkx_error **err)                 \
    {                                                                                    \
        void *result;                                                                    \
        tkx_status st = tkx__future_take(future, &(type), &result, err);                 \
        if (st == TKX_OK)                                                                \
            *out = result;                                                               \
        return st;                                                                       \
    }                                                                                    \
    extern const tkx__result_type tkx__result_nothing

/* All of it under the record's own name: type_NOUN, tkx_future_take_NOUN(). */
#define TKX__RECORD(noun, text)                                                          \
    TKX__RECORD_CODEC(noun);                                                             \
    static const tkx__result_type type_##noun = {text, free_##noun};                     \
    TKX__RECORD_TAKE(tkx_future_take_##noun, noun, type_##noun)

#endif
