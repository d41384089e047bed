/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json.c - the JSON reader: generic walk, arrays of numbers, and what it writes
 * back. */
#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "json/reader.h"
#include "json/writer.h"

static void walk(tkx__json_reader *r, tkx__json_writer *w, int depth);

static void walk_object(tkx__json_reader *r, tkx__json_writer *w, int depth)
{
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        tkx__json_put_text(w, key.data, key.size);
        walk(r, w, depth + 1);
    }
}

static void walk_scalar(tkx__json_reader *r, tkx__json_writer *w, tkx__json_kind kind)
{
    tkx__json_number number;
    tkx__json_text text;
    bool flag;

    if (kind == TKX__JSON_STRING && tkx__json_read_text(r, &text)) {
        tkx__json_put_text(w, text.data, text.size);
    } else if (kind == TKX__JSON_NUMBER && tkx__json_read_number(r, &number)) {
        tkx__json_put_f64(w, number.f64);
    } else if (kind == TKX__JSON_BOOL) {
        tkx__json_read_bool(r, &flag);
    } else {
        tkx__json_skip(r); /* null, or the failure */
    }
}

static void walk(tkx__json_reader *r, tkx__json_writer *w, int depth)
{
    tkx__json_kind kind = tkx__json_peek(r);

    if (depth > 40)
        tkx__json_skip(r);
    else if (kind == TKX__JSON_OBJECT)
        walk_object(r, w, depth);
    else if (kind == TKX__JSON_ARRAY) {
        tkx__json_read_array(r);
        while (tkx__json_read_element(r))
            walk(r, w, depth + 1);
    } else
        walk_scalar(r, w, kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tkx__json_reader r;
    tkx__json_writer w;
    tkx__arena arena;
    tkx__buf buf;
    tkx_status walked;
    float *floats;
    int64_t *ints;
    size_t n;

    tkx__arena_init(&arena, 1024, 1 << 26);
    tkx__buf_init(&buf, 1 << 26);
    tkx__json_writer_init(&w, &buf, TKX__JSON_NON_FINITE_NULL);
    tkx__json_reader_init(&r, bytes, size, &arena, 0);
    walk(&r, &w, 0);
    walked = tkx__json_finish(&r, "walk", NULL);
    tkx__json_reader_init(&r, bytes, size, &arena, 0);
    tkx__json_skip(&r);
    if (tkx__json_finish(&r, "skip", NULL) != walked)
        abort(); /* both ways must agree on what is JSON */
    if (w.status != TKX_OK)
        abort(); /* what was read must be writable */
    tkx__json_reader_init(&r, bytes, size, &arena, TKX__JSON_LENIENT);
    tkx__json_read_f32s(&r, &floats, &n);
    tkx__json_reader_init(&r, bytes, size, &arena, 0);
    tkx__json_read_i64s(&r, &ints, &n);
    tkx__buf_clear(&buf);
    tkx__arena_clear(&arena);
    return 0;
}
