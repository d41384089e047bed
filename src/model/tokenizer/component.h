/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/component.h - one object of a tokenizer.json that has a "type": all
 * fields that any of the types has, read before it is known which they belong to.
 */
#ifndef TKX_MODEL_TOKENIZER_COMPONENT_H
#define TKX_MODEL_TOKENIZER_COMPONENT_H

#include <stdbool.h>

#include "json/reader.h"

typedef struct tkx__component {
    tkx__json_text type;
    tkx__json_text pattern;
    bool has_pattern, is_regex;
    tkx__json_text content;
    tkx__json_text prepend;
    tkx__json_text behavior;
    tkx__json_text replacement;
    tkx__json_text prepend_scheme;
    tkx__json_text delimiter;
    tkx__json_text charsmap;
    tkx__json_text list;           /* raw: the members of a Sequence */
    tkx__json_text single;         /* raw: of TemplateProcessing */
    tkx__json_text special_tokens; /* raw */
    tkx__json_text cls, sep;       /* raw: [text, id] */
    bool is_inverted;
    bool adds_prefix_space;
    bool uses_regex;
    bool has_split;
    bool strips_left, strips_right;
    bool individual_digits;
    int64_t start, stop;
} tkx__component;

/* Read one component; what names the place in errors. */
tkx_status tkx__component_read(tkx__json_text raw, const char *what, tkx__arena *arena,
                               tkx__component *out, tkx_error **err);

static inline bool tkx__component_is(const tkx__component *c, const char *type)
{
    return tkx__json_text_is(&c->type, type);
}

/* Called for each component that is no Sequence, in order. */
typedef tkx_status tkx__component_fn(const tkx__component *c, void *user_data,
                                     tkx_error **err);

/* Walk a value: null is nothing, a Sequence its members (nested ones too). */
tkx_status tkx__component_walk(tkx__json_text raw, const char *what, tkx__arena *arena,
                               tkx__component_fn *fn, void *user_data, tkx_error **err);

#endif
