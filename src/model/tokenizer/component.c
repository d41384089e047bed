/* SPDX-License-Identifier: Apache-2.0 */
/* component.c - reading components; fields that no type of ours has are skipped. */
#include "model/tokenizer/component.h"

#include <string.h>

#include "base/error.h"

#define MAX_NESTING 8

/* {"String": "x"} or {"Regex": "x"}, or (Precompiled and old files) something else. */
static void read_pattern(tkx__json_reader *r, tkx__component *c)
{
    tkx__json_text key;

    if (tkx__json_peek(r) != TKX__JSON_OBJECT) {
        tkx__json_skip(r);
        return;
    }
    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        c->is_regex = tkx__json_text_is(&key, "Regex");
        if (c->is_regex || tkx__json_text_is(&key, "String"))
            c->has_pattern = tkx__json_read_text(r, &c->pattern);
        else
            tkx__json_skip(r);
    }
}

typedef struct field {
    const char *name;
    enum { TEXT, FLAG, INTEGER, RAW } kind;
    size_t offset;
} field;

#define AT(member) offsetof(tkx__component, member)

static const field fields[] = {
    {"type", TEXT, AT(type)},
    {"content", TEXT, AT(content)},
    {"prepend", TEXT, AT(prepend)},
    {"behavior", TEXT, AT(behavior)},
    {"replacement", TEXT, AT(replacement)},
    {"prepend_scheme", TEXT, AT(prepend_scheme)},
    {"delimiter", TEXT, AT(delimiter)},
    {"precompiled_charsmap", TEXT, AT(charsmap)},
    {"invert", FLAG, AT(is_inverted)},
    {"add_prefix_space", FLAG, AT(adds_prefix_space)},
    {"use_regex", FLAG, AT(uses_regex)},
    {"split", FLAG, AT(has_split)},
    {"strip_left", FLAG, AT(strips_left)},
    {"strip_right", FLAG, AT(strips_right)},
    {"individual_digits", FLAG, AT(individual_digits)},
    {"start", INTEGER, AT(start)},
    {"stop", INTEGER, AT(stop)},
    {"normalizers", RAW, AT(list)},
    {"pretokenizers", RAW, AT(list)},
    {"decoders", RAW, AT(list)},
    {"processors", RAW, AT(list)},
    {"single", RAW, AT(single)},
    {"special_tokens", RAW, AT(special_tokens)},
    {"cls", RAW, AT(cls)},
    {"sep", RAW, AT(sep)},
};

static void read_field(tkx__json_reader *r, const tkx__json_text *key, tkx__component *c)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        void *to = (char *)c + fields[i].offset;

        if (!tkx__json_text_is(key, fields[i].name))
            continue;
        if (tkx__json_take_null(r))
            return;
        switch (fields[i].kind) {
        case TEXT:
            tkx__json_read_text(r, to);
            return;
        case FLAG:
            tkx__json_read_bool(r, to);
            return;
        case INTEGER:
            tkx__json_read_i64(r, to);
            return;
        case RAW:
            tkx__json_skip_raw(r, to);
            return;
        }
    }
    if (tkx__json_text_is(key, "pattern"))
        read_pattern(r, c);
    else
        tkx__json_skip(r);
}

tkx_status tkx__component_read(tkx__json_text raw, const char *what, tkx__arena *arena,
                               tkx__component *out, tkx_error **err)
{
    tkx__json_reader r;
    tkx__json_text key;

    /* What a file of an older version means by leaving a field out. */
    *out = (tkx__component){
        .adds_prefix_space = true, .uses_regex = true, .has_split = true};
    tkx__json_reader_init(&r, raw.data, raw.size, arena, 0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key))
        read_field(&r, &key, out);
    return tkx__json_finish(&r, what, err);
}

static tkx_status walk(tkx__json_text raw, const char *what, tkx__arena *arena, int depth,
                       tkx__component_fn *fn, void *user_data, tkx_error **err)
{
    tkx__component c;
    tkx__json_reader r;
    tkx_status st = tkx__component_read(raw, what, arena, &c, err);

    if (st != TKX_OK || !tkx__component_is(&c, "Sequence"))
        return st == TKX_OK ? fn(&c, user_data, err) : st;
    if (depth == MAX_NESTING)
        return tkx__fail(err, TKX_ERR_LIMIT, "%s: sequences more than %d deep", what,
                         MAX_NESTING);
    tkx__json_reader_init(&r, c.list.data, c.list.size, arena, 0);
    tkx__json_read_array(&r);
    while (st == TKX_OK && tkx__json_read_element(&r)) {
        tkx__json_text member = {0};

        tkx__json_skip_raw(&r, &member);
        if (member.size > 0)
            st = walk(member, what, arena, depth + 1, fn, user_data, err);
    }
    return st == TKX_OK ? tkx__json_finish(&r, what, err) : st;
}

tkx_status tkx__component_walk(tkx__json_text raw, const char *what, tkx__arena *arena,
                               tkx__component_fn *fn, void *user_data, tkx_error **err)
{
    if (raw.size == 0 || (raw.size == 4 && memcmp(raw.data, "null", 4) == 0))
        return TKX_OK;
    return walk(raw, what, arena, 0, fn, user_data, err);
}
