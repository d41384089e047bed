/* SPDX-License-Identifier: Apache-2.0 */
/* model/tokenizer/score.h - a Unigram score, to the last bit what the reference reads. */
#ifndef TKX_MODEL_TOKENIZER_SCORE_H
#define TKX_MODEL_TOKENIZER_SCORE_H

#include "json/reader.h"

/*
 * The reference's reader of numbers does not round to nearest: it divides the digits, as
 * far as 64 bits hold them, by the power of ten.  A score of 17 digits may so be off by
 * its last bit, and that decides between cuts of equal sums, as in a run of one sign.
 *
 * `number` is valid JSON.
 */
double tkx__score_read(tkx__json_text number);

#endif
