/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_jwt.c - tokens: base64 and claims. */
#include <stdlib.h>
#include <string.h>

#include "api/credential.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

static volatile size_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    int64_t iat, exp;

    if (!text)
        return 0;
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (tkx__jwt_times(text, &iat, &exp, NULL) == TKX_OK && (iat < 0 || exp < 0))
        abort();
    char *payload = tkx__jwt_payload(text);
    sink += payload ? strlen(payload) : 0;
    tkx__free(payload);
    free(text);
    return 0;
}
