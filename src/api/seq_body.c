/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seq_body.c - cut the text at the place of its number.
 */
#include "api/seq_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define MARK "\"seq_id\":9223372036854775807"
#define KEY_SIZE (sizeof "\"seq_id\":" - 1)
#define MARK_SIZE (sizeof MARK - 1)
#define NUMBER_ROOM 24

tkx_status tkx__seq_body_init(tkx__seq_body *body, tkx__buf *encoded, tkx_error **err)
{
    size_t size = 0;
    char *text = tkx__buf_take(encoded, &size);

    *body = (tkx__seq_body){0};
    tkx__buf_clear(encoded);
    if (!text)
        return tkx__fail_memory(err);
    char *mark = strstr(text, MARK);
    if (!mark) { /* a request without a number: sent as it is */
        body->text = text;
        body->head_size = size;
        return TKX_OK;
    }
    body->text = text;
    body->head_size = (size_t)(mark - text) + KEY_SIZE;
    body->tail_size = size - (size_t)(mark - text) - MARK_SIZE;
    memmove(text + body->head_size, mark + MARK_SIZE, body->tail_size);
    return TKX_OK;
}

void tkx__seq_body_clear(tkx__seq_body *body)
{
    tkx__free(body->text);
    tkx__free(body->complete);
    *body = (tkx__seq_body){0};
}

tkx_status tkx__seq_body_encode(tkx__seq_body *body, const char *route, int64_t seq_id,
                                tkx__encoded *out, tkx_error **err)
{
    char number[NUMBER_ROOM] = "";
    size_t n = 0;

    if (body->tail_size)
        n = (size_t)snprintf(number, sizeof number, "%" PRId64, seq_id);
    tkx__free(body->complete);
    body->complete = tkx__malloc(body->head_size + n + body->tail_size + 1);
    if (!body->complete)
        return tkx__fail_memory(err);
    memcpy(body->complete, body->text, body->head_size);
    memcpy(body->complete + body->head_size, number, n);
    memcpy(body->complete + body->head_size + n, body->text + body->head_size,
           body->tail_size);
    *out = (tkx__encoded){
        .body = {.bytes = body->complete,
                 .size_bytes = body->head_size + n + body->tail_size},
        .route = route,
    };
    return TKX_OK;
}
