/* SPDX-License-Identifier: Apache-2.0 */
/* json/reader_in.h - what the parts of the reader share. */
#ifndef TKX_JSON_READER_IN_H
#define TKX_JSON_READER_IN_H

#include "json/reader.h"

static inline void tkx__json_blanks(tkx__json_reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static inline bool tkx__json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes word if it stands here. */
bool tkx__json_take_word(tkx__json_reader *r, const char *word);

#endif
