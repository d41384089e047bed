/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_error_body.c - what a server says with a failure: any bytes become a text without
 * the secret, whatever the body echoes. */
#include <stdlib.h>
#include <string.h>

#include "api/http_error.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const tkx__attempt attempt = {.what = "optim_step",
                                         .url = "http://x/api/v1/optim_step",
                                         .secret = "tml-SECRET",
                                         .request_id = "r:1",
                                         .seq_id = 1};
    static const int statuses[] = {400, 401, 402, 403, 404, 409, 410, 422, 429, 500, 503};
    char *body = malloc(size + 1);
    tkx_error *err = NULL;

    if (!body)
        return 0;
    memcpy(body, bytes, size);
    body[size] = '\0';
    tkx__reply reply = {.http_status =
                            statuses[size % (sizeof statuses / sizeof *statuses)],
                        .body = body,
                        .body_size = size};
    if (tkx__fail_http(&err, &attempt, &reply) == TKX_OK ||
        strstr(tkx_error_message(err), attempt.secret))
        abort();
    (void)tkx__body_has_detail(body, size);
    tkx_error_free(err);
    free(body);
    return 0;
}
