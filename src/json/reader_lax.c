/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_lax.c - scalars in the clothes of another type, as servers in other languages
 * write them: numbers as text, flags as numbers or words, numbers as flags.
 *
 * Asked only after the plain form was not found, so it costs nothing elsewhere.
 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "json/reader_in.h"

static tkx__json_text trimmed(tkx__json_text text)
{
    while (text.size && strchr(" \t\r\n", *text.data)) {
        text.data++;
        text.size--;
    }
    while (text.size && strchr(" \t\r\n", text.data[text.size - 1]))
        text.size--;
    return text;
}

static bool is_word(const tkx__json_text *text, const char *word)
{
    return text->size == strlen(word) && strncasecmp(text->data, word, text->size) == 0;
}

static bool word_value(tkx__json_text text, double *value)
{
    double sign = 1;

    if (text.size && (*text.data == '-' || *text.data == '+')) {
        sign = *text.data == '-' ? -1 : 1;
        text.data++;
        text.size--;
    }
    *value = is_word(&text, "nan") ? NAN : sign * INFINITY;
    return is_word(&text, "nan") || is_word(&text, "inf") || is_word(&text, "infinity");
}

static bool text_number(tkx__json_text text, tkx__json_number *out)
{
    tkx__json_reader sub;

    text = trimmed(text);
    memset(out, 0, sizeof *out);
    out->kind = TKX__JSON_F64;
    if (word_value(text, &out->f64))
        return true;
    if (text.size > 1 && *text.data == '+' && tkx__json_is_digit(text.data[1])) {
        text.data++;
        text.size--;
    }
    tkx__json_reader_init(&sub, text.data, text.size, NULL, 0);
    return tkx__json_read_number(&sub, out) && sub.at == sub.end;
}

bool tkx__json_lax_number(tkx__json_reader *r, tkx__json_number *out)
{
    const char *from = r->at;
    tkx__json_text text;

    if (!(r->flags & TKX__JSON_LENIENT) || r->at == r->end)
        return false;
    memset(out, 0, sizeof *out);
    out->kind = TKX__JSON_I64;
    if (tkx__json_take_word(r, "true")) {
        out->i64 = 1;
        out->f64 = 1;
        return true;
    }
    if (tkx__json_take_word(r, "false"))
        return true;
    if (*r->at == '"' && tkx__json_read_text(r, &text) && text_number(text, out))
        return true;
    if (r->status == TKX_OK)
        r->at = from;
    return false;
}

static bool word_flag(tkx__json_text text, bool *value)
{
    static const char *const words[2][6] = {{"false", "f", "no", "n", "off", "0"},
                                            {"true", "t", "yes", "y", "on", "1"}};

    for (int is_true = 0; is_true < 2; is_true++)
        for (int i = 0; i < 6; i++)
            if (is_word(&text, words[is_true][i])) {
                *value = is_true != 0;
                return true;
            }
    return false;
}

bool tkx__json_lax_bool(tkx__json_reader *r, bool *value)
{
    const char *from = r->at;
    tkx__json_number n;
    tkx__json_text text;

    if (!(r->flags & TKX__JSON_LENIENT) || r->at == r->end)
        return false;
    if (*r->at == '"') {
        if (tkx__json_read_text(r, &text) && word_flag(text, value))
            return true;
    } else if ((*r->at == '0' || *r->at == '1') && tkx__json_read_number(r, &n) &&
               (n.f64 == 0 || n.f64 == 1)) {
        *value = n.f64 == 1;
        return true;
    }
    if (r->status == TKX_OK)
        r->at = from;
    return false;
}
