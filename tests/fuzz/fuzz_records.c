/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_records.c - the tables: every kind of field is in one of these records. */
#include "fuzz/fuzz.h"
#include "types/billing.h"
#include "types/checkpoint.h"
#include "types/model.h"
#include "types/optimizer.h"
#include "types/service.h"
#include "types/session.h"

#define TRY(NAME)                                                                        \
    do {                                                                                 \
        tkx_##NAME *value;                                                               \
        tkx__##NAME##_decode_json(bytes, size, &value, NULL);                            \
        tkx_##NAME##_free(value);                                                        \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    TRY(billing_usage);
    TRY(checkpoint_storage);
    TRY(audit_log);
    TRY(checkpoint_list);
    TRY(training_run_list);
    TRY(external_weights_urls);
    TRY(model_info);
    TRY(optim_step_result);
    TRY(server_capabilities);
    TRY(api_key_info);
    TRY(identity);
    TRY(session_search_result);
    return 0;
}
