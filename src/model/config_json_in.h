/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/config_json_in.h - reading keys of config.json, shared by config_json*.c.
 *
 * A reader keeps its first failure; every call after it does nothing.  A key that is null
 * counts as absent.
 */
#ifndef TKX_MODEL_CONFIG_JSON_IN_H
#define TKX_MODEL_CONFIG_JSON_IN_H

#include "model/config.h"
#include "model/json_text.h"

typedef struct tkx__config_reader {
    const cJSON *json;
    const char *what; /* names the file in errors */
    tkx_error **err;
    tkx_status status; /* the first failure */
} tkx__config_reader;

const cJSON *tkx__config_get(const cJSON *object, const char *key);
void tkx__config_need_size(tkx__config_reader *r, const char *key, size_t *out);
void tkx__config_size_or(tkx__config_reader *r, const char *key, size_t *out,
                         size_t otherwise);
void tkx__config_number_or(tkx__config_reader *r, const cJSON *object, const char *key,
                           double *out, double otherwise);
bool tkx__config_flag(tkx__config_reader *r, const cJSON *object, const char *key,
                      bool otherwise);
/* Fails with the key, its value (or NULL) and what can be done about it (or NULL). */
void tkx__config_unsupported(tkx__config_reader *r, const char *key, const char *value,
                             const char *advice);

/* ---- config_json_attention.c ---- */

void tkx__config_read_rope(tkx__config_reader *r, tkx__model_config *c);
/* Which layers see a window only. */
void tkx__config_read_window(tkx__config_reader *r, tkx__model_config *c);

#endif
