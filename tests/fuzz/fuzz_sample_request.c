/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sample_request.c - the body of asample as the mock server reads it, in each
 * dialect, after its JSON reader; and the same bytes as a scenario of faults. */
#include "fuzz/fuzz.h"
#include "mock_server/fault.h"
#include "mock_server/sample_request.h"

static volatile int64_t sink;

static void walk(const sample_request *r)
{
    for (size_t i = 0; i < r->nn.n_prompt; i++)
        sink += r->nn.prompt[i];
    for (size_t i = 0; i < r->n_crow; i++)
        sink += r->crow[i];
    for (size_t i = 0; i < r->n_col; i++)
        sink += r->col[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    for (mock_dialect d = DIALECT_HOSTED; d <= DIALECT_TWINKLE; d++) {
        sample_request request;
        const jv *body;
        tkx__arena arena;

        tkx__arena_init(&arena, 4096, (size_t)64 << 20);
        if (jv_parse(&arena, (const char *)bytes, size, &body, NULL) == TKX_OK &&
            sample_request_read(&arena, body, d, &request, NULL) == TKX_OK)
            walk(&request);
        tkx__arena_clear(&arena);
    }
    fault_set *faults = NULL;
    if (fault_set_parse((const char *)bytes, size, &faults, NULL) == TKX_OK)
        fault_set_unref(faults);
    return 0;
}
