/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charsmap.c - reading and using a Precompiled normaliser, with the reference's rules: a
 * short grapheme cluster is looked up as a whole, else each of its characters; what is
 * found is the shortest entry that begins it, and replaces all of it.
 */
#include "model/tokenizer/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/tokenizer/utf8.h"

#define MAX_CLUSTER 6 /* longer ones are looked up by character */

/* ---- units of the trie ---- */

static bool has_leaf(uint32_t unit)
{
    return (unit >> 8 & 1) != 0;
}

static size_t value_of(uint32_t unit)
{
    return unit & 0x7FFFFFFFu;
}

static uint32_t label_of(uint32_t unit)
{
    return unit & 0x800000FFu;
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200u) >> 6);
}

tkx_status tkx__charsmap_init(tkx__charsmap *map, const char *base64, size_t n,
                              tkx_error **err)
{
    ptrdiff_t size;
    size_t units_size;

    *map = (tkx__charsmap){.bytes = tkx__malloc(n + 4)};
    if (!map->bytes)
        return tkx__fail_memory(err);
    size = n > 0 ? tkx__base64_decode(base64, n, map->bytes) : 0;
    units_size = size < 4 ? 0
                          : (size_t)map->bytes[0] | (size_t)map->bytes[1] << 8 |
                                (size_t)map->bytes[2] << 16 | (size_t)map->bytes[3] << 24;
    if (size < 8 || units_size % 4 != 0 || units_size == 0 ||
        units_size > (size_t)size - 4 ||
        tkx__utf8_check(map->bytes + 4 + units_size, (size_t)size - 4 - units_size) !=
            (size_t)size - 4 - units_size) {
        tkx__charsmap_clear(map);
        return tkx__fail(err, TKX_ERR_PARSE,
                         "normalizer Precompiled: precompiled_charsmap is no base64 of a "
                         "SentencePiece table");
    }
    map->n_units = units_size / 4;
    map->bytes[size] = '\0';
    map->units = tkx__realloc(NULL, map->n_units, sizeof *map->units);
    if (!map->units) {
        tkx__charsmap_clear(map);
        return tkx__fail_memory(err);
    }
    for (size_t i = 0; i < map->n_units; i++) {
        const uint8_t *p = map->bytes + 4 + 4 * i;

        map->units[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                        (uint32_t)p[3] << 24;
    }
    map->texts = map->bytes + 4 + units_size;
    map->texts_size = (size_t)size - 4 - units_size;
    return TKX_OK;
}

void tkx__charsmap_clear(tkx__charsmap *map)
{
    tkx__free(map->bytes);
    tkx__free(map->units);
    *map = (tkx__charsmap){0};
}

/* What replaces a text; NULL when nothing does. */
static const char *find(const tkx__charsmap *map, const uint8_t *text, size_t n)
{
    size_t at = offset_of(map->units[0]);

    for (size_t i = 0; i < n && text[i] != 0; i++) {
        uint32_t unit;

        at ^= text[i];
        if (at >= map->n_units)
            return NULL;
        unit = map->units[at];
        if (label_of(unit) != text[i])
            return NULL;
        at ^= offset_of(unit);
        if (at >= map->n_units)
            return NULL;
        if (has_leaf(unit)) {
            size_t value = value_of(map->units[at]);

            if (value >= map->texts_size || (map->texts[value] & 0xC0) == 0x80)
                return NULL;
            return (const char *)map->texts + value;
        }
    }
    return NULL;
}

static void put_characters(const tkx__charsmap *map, const uint8_t *text, size_t n,
                           tkx__buf *out)
{
    for (size_t at = 0; at < n;) {
        size_t len = tkx__utf8_len(text[at]);
        const char *found = find(map, text + at, len);

        if (found)
            tkx__buf_puts(out, found);
        else
            tkx__buf_append(out, text + at, len);
        at += len;
    }
}

/* The end of the grapheme cluster that begins at `at`. */
static size_t cluster_end(const uint8_t *text, size_t at, size_t n)
{
    utf8proc_int32_t state = 0;
    size_t len;
    uint32_t cp = tkx__utf8_get(text + at, &len);

    for (at += len; at < n; at += len) {
        uint32_t next = tkx__utf8_get(text + at, &len);

        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)cp, (utf8proc_int32_t)next,
                                             &state))
            break;
        cp = next;
    }
    return at;
}

void tkx__charsmap_apply(const tkx__charsmap *map, const uint8_t *text, size_t n,
                         tkx__buf *out)
{
    for (size_t at = 0; at < n;) {
        size_t stop = cluster_end(text, at, n);
        const char *found =
            stop - at < MAX_CLUSTER ? find(map, text + at, stop - at) : NULL;

        if (found)
            tkx__buf_puts(out, found);
        else
            put_characters(map, text + at, stop - at, out);
        at = stop;
    }
}
