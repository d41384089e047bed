/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/local_stop.h - watching the text of samples for stop strings.
 *
 * Only generated text is searched; a sample ends with the token in which a stop string
 * becomes complete, also where that token goes on with a character's first bytes.
 */
#ifndef TKX_CLIENT_LOCAL_STOP_H
#define TKX_CLIENT_LOCAL_STOP_H

#include <stdbool.h>

#include <tkx/tokenizer.h>
#include <tkx/types/sampling_params.h>

typedef struct tkx__stop_watch tkx__stop_watch;

/* Strings are copied; the tokenizer is counted.  INVALID_ARGUMENT for an empty string. */
tkx_status tkx__stop_watch_new(tkx_tokenizer *tokenizer, const char *const *strings,
                               size_t n, size_t n_samples, tkx__stop_watch **out,
                               tkx_error **err);
void tkx__stop_watch_free(tkx__stop_watch *watch);

/* One more token of a sample; true when a stop string is now complete. */
bool tkx__stop_watch_push(tkx__stop_watch *watch, size_t sample, int64_t id);

#endif
