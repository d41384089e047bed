/* SPDX-License-Identifier: Apache-2.0 */
/* fail.c - the trainer's errors: the text is written first, then given its facts. */
#include "mock_server/nn/fail.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

static tkx_status fail(tkx_error **err, tkx_status status, const tkx__error_facts *facts,
                       const char *fmt, va_list args)
{
    va_list again;
    int n;
    char *text;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    text = tkx__malloc((size_t)(n < 0 ? 0 : n) + 1);
    if (!text)
        return tkx__fail_memory(err);
    text[0] = '\0';
    vsnprintf(text, (size_t)(n < 0 ? 0 : n) + 1, fmt, args);
    status = tkx__fail_facts(err, status, facts, "%s", text);
    tkx__free(text);
    return status;
}

tkx_status nn_fail_user(tkx_error **err, tkx_status status, const char *fmt, ...)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
    va_list args;

    facts.category = TKX_ERROR_CATEGORY_USER;
    facts.http_status = 400;
    va_start(args, fmt);
    status = fail(err, status, &facts, fmt, args);
    va_end(args);
    return status;
}

tkx_status nn_fail_server(tkx_error **err, tkx_status status, const char *fmt, ...)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
    va_list args;

    facts.category = TKX_ERROR_CATEGORY_SERVER;
    va_start(args, fmt);
    status = fail(err, status, &facts, fmt, args);
    va_end(args);
    return status;
}
