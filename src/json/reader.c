/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c - structure: containers, keys, commas, skipping, and the final check.
 *
 * Invariants: begin <= at <= end; depth counts open containers; is_first speaks of the
 * innermost one.  A value is taken only where structure allows one, because the caller
 * asks for it after read_key or read_element said true.
 */
#include "json/reader.h"

#include <string.h>

#include "base/error.h"
#include "json/reader_in.h"

void tkx__json_reader_init(tkx__json_reader *r, const void *bytes, size_t size,
                           tkx__arena *arena, unsigned flags)
{
    memset(r, 0, sizeof *r);
    r->begin = bytes ? bytes : "";
    r->at = r->begin;
    r->end = r->begin + (bytes ? size : 0);
    r->arena = arena;
    r->flags = flags;
}

void tkx__json_fail(tkx__json_reader *r, tkx_status status, const char *problem)
{
    if (r->status != TKX_OK)
        return;
    r->status = status;
    r->problem = problem;
}

bool tkx__json_take_word(tkx__json_reader *r, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

tkx__json_kind tkx__json_peek(tkx__json_reader *r)
{
    if (r->status != TKX_OK)
        return TKX__JSON_NONE;
    tkx__json_blanks(r);
    if (r->at == r->end)
        return TKX__JSON_NONE;
    switch (*r->at) {
    case '{':
        return TKX__JSON_OBJECT;
    case '[':
        return TKX__JSON_ARRAY;
    case '"':
        return TKX__JSON_STRING;
    case 't':
    case 'f':
        return TKX__JSON_BOOL;
    case 'n':
        return TKX__JSON_NULL;
    case 'N':
    case 'I':
        return r->flags & TKX__JSON_LENIENT ? TKX__JSON_NUMBER : TKX__JSON_NONE;
    default:
        return *r->at == '-' || tkx__json_is_digit(*r->at) ? TKX__JSON_NUMBER
                                                           : TKX__JSON_NONE;
    }
}

static bool open_container(tkx__json_reader *r, char bracket, const char *problem)
{
    uint64_t bit;

    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    if (r->at == r->end || *r->at != bracket) {
        tkx__json_fail(r, TKX_ERR_PARSE, r->at == r->end ? "text ends early" : problem);
        return false;
    }
    if (r->depth == TKX__JSON_MAX_DEPTH) {
        tkx__json_fail(r, TKX_ERR_LIMIT, "nested too deep");
        return false;
    }
    bit = UINT64_C(1) << (r->depth % 64);
    if (bracket == '{')
        r->is_object[r->depth / 64] |= bit;
    else
        r->is_object[r->depth / 64] &= ~bit;
    r->depth++;
    r->at++;
    r->is_first = true;
    return true;
}

bool tkx__json_read_object(tkx__json_reader *r)
{
    return open_container(r, '{', "expected an object");
}

bool tkx__json_read_array(tkx__json_reader *r)
{
    return open_container(r, '[', "expected an array");
}

/* True when a further member follows; false when the container was closed, or failed. */
static bool advance(tkx__json_reader *r, char bracket)
{
    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    if (r->at == r->end) {
        tkx__json_fail(r, TKX_ERR_PARSE, "text ends early");
        return false;
    }
    if (*r->at == bracket) {
        r->at++;
        r->depth--;
        r->is_first = false; /* the parent now has this member */
        return false;
    }
    if (!r->is_first) {
        if (*r->at != ',') {
            tkx__json_fail(r, TKX_ERR_PARSE, "expected a comma or the end of the list");
            return false;
        }
        r->at++;
        tkx__json_blanks(r);
    }
    r->is_first = false;
    return true;
}

bool tkx__json_read_key(tkx__json_reader *r, tkx__json_text *key)
{
    memset(key, 0, sizeof *key);
    if (!advance(r, '}'))
        return false;
    if (r->at == r->end || *r->at != '"') {
        tkx__json_fail(r, TKX_ERR_PARSE, "expected a key");
        return false;
    }
    if (!tkx__json_read_text(r, key))
        return false;
    r->key = *key;
    tkx__json_blanks(r);
    if (r->at == r->end || *r->at != ':') {
        tkx__json_fail(r, TKX_ERR_PARSE, "expected a colon");
        return false;
    }
    r->at++;
    return true;
}

bool tkx__json_read_element(tkx__json_reader *r)
{
    return advance(r, ']');
}

bool tkx__json_read_bool(tkx__json_reader *r, bool *value)
{
    *value = false;
    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    if (tkx__json_take_word(r, "true"))
        return *value = true;
    if (tkx__json_take_word(r, "false"))
        return true;
    if (tkx__json_lax_bool(r, value))
        return true;
    tkx__json_fail(r, TKX_ERR_PARSE, "expected true or false");
    return false;
}

bool tkx__json_take_null(tkx__json_reader *r)
{
    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    return tkx__json_take_word(r, "null");
}

static void skip_scalar(tkx__json_reader *r)
{
    tkx__json_text text;
    tkx__json_number number;
    bool flag;

    switch (tkx__json_peek(r)) {
    case TKX__JSON_STRING:
        tkx__json_read_text(r, &text);
        break;
    case TKX__JSON_NUMBER:
        tkx__json_read_number(r, &number);
        break;
    case TKX__JSON_BOOL:
        tkx__json_read_bool(r, &flag);
        break;
    default:
        if (!tkx__json_take_null(r))
            tkx__json_fail(r, TKX_ERR_PARSE,
                           r->at == r->end ? "text ends early" : "expected a value");
    }
}

/* Opens containers and steps through them without recursion. */
void tkx__json_skip(tkx__json_reader *r)
{
    int floor = r->depth;
    tkx__json_text key;

    do {
        tkx__json_kind kind = tkx__json_peek(r);

        if (kind == TKX__JSON_OBJECT)
            tkx__json_read_object(r);
        else if (kind == TKX__JSON_ARRAY)
            tkx__json_read_array(r);
        else
            skip_scalar(r);
        /* Close what ends here; stop at the next member of an open one. */
        while (r->status == TKX_OK && r->depth > floor) {
            int top = r->depth - 1;
            bool is_object = r->is_object[top / 64] >> (top % 64) & 1;

            if (is_object ? tkx__json_read_key(r, &key) : tkx__json_read_element(r))
                break;
        }
    } while (r->status == TKX_OK && r->depth > floor);
}

void tkx__json_skip_raw(tkx__json_reader *r, tkx__json_text *raw)
{
    const char *from;

    memset(raw, 0, sizeof *raw);
    if (r->status != TKX_OK)
        return;
    tkx__json_blanks(r);
    from = r->at;
    tkx__json_skip(r);
    if (r->status == TKX_OK)
        *raw = (tkx__json_text){from, (size_t)(r->at - from)};
}

bool tkx__json_text_is(const tkx__json_text *text, const char *word)
{
    size_t n = strlen(word);

    return text->size == n && memcmp(text->data, word, n) == 0;
}

tkx_status tkx__json_status(const tkx__json_reader *r, const char *what, tkx_error **err)
{
    int n_key = (int)(r->key.size < 60 ? r->key.size : 60);
    size_t offset = (size_t)(r->at - r->begin);

    if (r->status == TKX_OK)
        return TKX_OK;
    if (r->status == TKX_ERR_NO_MEMORY)
        return tkx__fail_memory(err);
    if (n_key)
        return tkx__fail(err, r->status, "%s: %s at byte %zu (key \"%.*s\")", what,
                         r->problem, offset, n_key, r->key.data);
    return tkx__fail(err, r->status, "%s: %s at byte %zu", what, r->problem, offset);
}

tkx_status tkx__json_finish(tkx__json_reader *r, const char *what, tkx_error **err)
{
    if (r->status == TKX_OK) {
        tkx__json_blanks(r);
        if (r->at != r->end || r->depth != 0)
            tkx__json_fail(r, TKX_ERR_PARSE, "text goes on after the value");
    }
    return tkx__json_status(r, what, err);
}
