/* SPDX-License-Identifier: Apache-2.0 */
/* lora.h - what a request says of the adapter that it wants. */
#ifndef MOCK_LORA_H
#define MOCK_LORA_H

#include "mock_server/call.h"
#include "mock_server/server.h"

/* A lora_config, NULL for none; false when the answer is filled in. */
bool lora_read(call *c, const jv *config, nn_lora_options *out);

#endif
