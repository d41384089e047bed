/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_config.c - config.json, with the same bytes as generation_config.json too. */
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"
#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static tkx__model_config config;
    const char *text = (const char *)bytes;
    tkx_error *err = NULL;

    if (tkx__config_from_json(text, size, text, size, "input", &config, &err) == TKX_OK) {
        float *inv_freq = malloc(config.head_dim / 2 * sizeof *inv_freq);

        if (inv_freq)
            tkx__rope_inv_freq(&config, inv_freq);
        free(inv_freq);
        if (config.n_heads % config.n_kv_heads != 0 ||
            config.n_end_ids > TKX__MAX_END_IDS)
            abort();
    }
    tkx_error_free(err);
    return 0;
}
