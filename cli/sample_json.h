/* SPDX-License-Identifier: Apache-2.0 */
/* sample_json.h - a sample response as the service writes it, and who answered. */
#ifndef CLI_SAMPLE_JSON_H
#define CLI_SAMPLE_JSON_H

#include <cjson/cJSON.h>

#include <tkx/sampler.h>
#include <tkx/tokenizer.h>

/* With the text of each sequence when there is a tokenizer.  NULL after saying why. */
cJSON *cli_sample_json(const tkx_sample_response *response, tkx_tokenizer *tokenizer);

/* "backend", "weight_type", "logprob_mode", "reason" and what else is known; adapter may
   be NULL. */
void cli_label_json(cJSON *object, const tkx_sample_label *label, const char *adapter);

#endif
