/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/json_text.h - JSON texts of a model folder as trees, with bounds.
 *
 * For headers and configurations only; what a service sends goes through src/json.
 */
#ifndef TKX_MODEL_JSON_TEXT_H
#define TKX_MODEL_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include <tkx/error.h>

/* The text's one value, an object.  PARSE names the byte.  Free with cJSON_Delete(). */
tkx_status tkx__json_text_parse(const void *bytes, size_t n, const char *what,
                                cJSON **out, tkx_error **err);
/* The same from a file of at most max_size bytes. */
tkx_status tkx__json_text_read(const char *path, size_t max_size, cJSON **out,
                               tkx_error **err);

/* A whole number of 0 .. 2^53; false for anything else, NULL included. */
bool tkx__json_text_size(const cJSON *item, size_t *out);

#endif
