/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_run.c - expressions that are one class of characters, repeated: `\p{N}{1,3}`,
 * `\s?[A-Za-z...]+`, ` ?[^(\s|.,)]+`, `[0-9][0-9][0-9]`, `\s+$`.
 *
 * What is read:  ( `\s?` | ` ?` )? class ( `+` | `{m,n}` | `{n}` | the same class again
 * )*
 * `$`?, where a class is a property, `\s`, or a bracket list of characters, ranges,
 * properties and `\s`.  Anything else is left to PCRE2.  A lead is optional for the
 * match, and never taken without the class behind it.
 */
#include <string.h>

#include "base/mem.h"
#include "model/tokenizer/scan.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

typedef struct reader {
    const uint8_t *p;
    size_t n;
    size_t at;
    tkx__run *run;
    bool is_failed; /* memory */
} reader;

static bool looks_at(const reader *r, const char *text)
{
    size_t n = strlen(text);

    return r->n - r->at >= n && memcmp(r->p + r->at, text, n) == 0;
}

static bool skip(reader *r, const char *text)
{
    if (!looks_at(r, text))
        return false;
    r->at += strlen(text);
    return true;
}

static bool add_range(reader *r, uint32_t first, uint32_t last)
{
    tkx__range *ranges;

    if (first > last)
        return false;
    ranges = tkx__realloc(r->run->ranges, r->run->n_ranges + 1, sizeof *ranges);
    if (!ranges) {
        r->is_failed = true;
        return false;
    }
    r->run->ranges = ranges;
    ranges[r->run->n_ranges++] = (tkx__range){first, last};
    return true;
}

/* \p{Name} or \pX; false when it is neither, or a name that is no general category. */
static bool read_property(reader *r)
{
    size_t from, n = 1;
    uint32_t set;

    if (!skip(r, "\\p"))
        return false;
    from = r->at;
    if (skip(r, "{")) {
        from = r->at;
        while (r->at < r->n && r->p[r->at] != '}')
            r->at++;
        n = r->at - from;
    }
    if (r->at >= r->n)
        return false;
    r->at++;
    set = tkx__unicode_property((const char *)r->p + from, n);
    r->run->categories |= set;
    return set != 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH, \x{H...}, \uHHHH after the backslash and its letter. */
static bool read_hex(reader *r, size_t n_digits, uint32_t *cp)
{
    bool is_braced = skip(r, "{");
    size_t n = 0;

    *cp = 0;
    while (r->at < r->n && hex_digit(r->p[r->at]) >= 0 &&
           n < (is_braced ? 6 : n_digits)) {
        *cp = *cp << 4 | (uint32_t)hex_digit(r->p[r->at++]);
        n++;
    }
    return is_braced ? n > 0 && skip(r, "}") : n == n_digits;
}

/* One character of a bracket list, escaped or not. */
static bool read_character(reader *r, uint32_t *cp)
{
    static const char names[] = "nrtfv0", values[] = "\n\r\t\f\v";
    const char *name;
    size_t len;
    uint8_t c;

    if (r->at >= r->n)
        return false;
    if (r->p[r->at] != '\\') {
        *cp = tkx__utf8_get(r->p + r->at, &len);
        r->at += len;
        return true;
    }
    if (++r->at >= r->n)
        return false;
    c = r->p[r->at++];
    if (c == 'x' || c == 'u')
        return read_hex(r, c == 'x' ? 2 : 4, cp);
    name = c ? strchr(names, c) : NULL;
    *cp = name ? (uint8_t)values[name - names] : c;
    /* A letter or digit that is none of ours is a class or a reference: not for us. */
    return name || (c < 0x80 && !(tkx__ascii_flags[c] & (TKX__UNI_L | TKX__UNI_N)));
}

/* The inside of a bracket list, up to and with the closing bracket; a list inside it adds
   its members. */
static bool read_list(reader *r)
{
    bool is_first = true;
    size_t depth = 1;

    r->run->is_negated = skip(r, "^");
    while (depth > 0) {
        uint32_t first, last;

        if (!is_first && skip(r, "]")) {
            depth--;
            continue;
        }
        is_first = false;
        if (r->at >= r->n || looks_at(r, "[:") || looks_at(r, "[^") || looks_at(r, "&&"))
            return false;
        if (skip(r, "[")) {
            is_first = true;
            depth++;
            continue;
        }
        if (skip(r, "\\s")) {
            r->run->has_spaces = true;
            continue;
        }
        if (looks_at(r, "\\p")) {
            if (!read_property(r))
                return false;
            continue;
        }
        if (!read_character(r, &first))
            return false;
        last = first;
        if (looks_at(r, "-") && r->at + 1 < r->n && r->p[r->at + 1] != ']') {
            r->at++;
            if (!read_character(r, &last))
                return false;
        }
        if (!add_range(r, first, last))
            return false;
    }
    return true;
}

static bool read_class(reader *r)
{
    if (skip(r, "\\s")) {
        r->run->has_spaces = true;
        return true;
    }
    if (skip(r, "["))
        return read_list(r);
    return read_property(r);
}

static bool read_number(reader *r, size_t *value)
{
    size_t from = r->at;

    *value = 0;
    while (r->at < r->n && r->p[r->at] >= '0' && r->p[r->at] <= '9' && r->at - from < 4)
        *value = *value * 10 + (size_t)(r->p[r->at++] - '0');
    return r->at > from;
}

/* `+`, `{n}`, `{m,n}`, nothing, or the class spelt again and again. */
static bool read_count(reader *r, size_t class_at, size_t class_size)
{
    tkx__run *run = r->run;

    run->min = run->max = 1;
    if (skip(r, "+")) {
        run->max = SIZE_MAX;
        return true;
    }
    if (skip(r, "{")) {
        if (!read_number(r, &run->min))
            return false;
        run->max = run->min;
        if (skip(r, ",") && !read_number(r, &run->max))
            return false;
        return skip(r, "}") && run->min > 0 && run->max >= run->min && run->min <= 16;
    }
    while (r->n - r->at >= class_size &&
           memcmp(r->p + r->at, r->p + class_at, class_size) == 0) {
        r->at += class_size;
        run->max = ++run->min;
    }
    return run->min <= 16;
}

static bool is_in_class(const tkx__run *run, uint32_t cp)
{
    tkx__category category = tkx__unicode_category(cp);
    bool is_in = (run->categories >> category & 1) != 0;

    if (!is_in && run->has_spaces)
        is_in = (tkx__unicode_flags(cp) & TKX__UNI_SPACE) != 0;
    if (!is_in) {
        size_t low = 0, high = run->n_ranges;

        while (low < high) {
            size_t middle = low + (high - low) / 2;

            if (run->ranges[middle].last < cp)
                low = middle + 1;
            else
                high = middle;
        }
        is_in = low < run->n_ranges && run->ranges[low].first <= cp;
    }
    return is_in != run->is_negated;
}

/* Ascending, none touching another: insertion sort, as files list them in order. */
static void sort_ranges(tkx__run *run)
{
    size_t kept = 0;

    for (size_t i = 1; i < run->n_ranges; i++) {
        tkx__range range = run->ranges[i];
        size_t j = i;

        for (; j > 0 && run->ranges[j - 1].first > range.first; j--)
            run->ranges[j] = run->ranges[j - 1];
        run->ranges[j] = range;
    }
    for (size_t i = 0; i < run->n_ranges; i++) {
        tkx__range *last = kept ? &run->ranges[kept - 1] : NULL;

        if (last && run->ranges[i].first <= last->last) {
            if (run->ranges[i].last > last->last)
                last->last = run->ranges[i].last;
        } else {
            run->ranges[kept++] = run->ranges[i];
        }
    }
    run->n_ranges = kept;
}

static bool read_run(reader *r)
{
    tkx__run *run = r->run;
    size_t class_at;

    if (skip(r, "\\s?"))
        run->lead = TKX__LEAD_SPACE;
    else if (skip(r, " ?"))
        run->lead = TKX__LEAD_BLANK;
    class_at = r->at;
    if (!read_class(r) || !read_count(r, class_at, r->at - class_at))
        return false;
    run->is_at_end = skip(r, "$");
    if (r->at != r->n)
        return false;
    /* `X{1,3}$` and `\s?X+$` may match after giving back; only the plain `X+$` is simple.
     */
    return !run->is_at_end || (run->lead == TKX__LEAD_NONE && run->max == SIZE_MAX);
}

bool tkx__run_parse(tkx__run *run, const char *expression, size_t n, bool *is_failed)
{
    reader r = {.p = (const uint8_t *)expression, .n = n, .run = run};

    *run = (tkx__run){.lead = TKX__LEAD_NONE};
    *is_failed = false;
    if (n > 1 << 14 || !read_run(&r)) { /* the sort is quadratic */
        *is_failed = r.is_failed;
        tkx__run_clear(run);
        return false;
    }
    sort_ranges(run);
    for (uint32_t c = 0; c < 128; c++)
        run->ascii[c] = is_in_class(run, c);
    return true;
}

void tkx__run_clear(tkx__run *run)
{
    tkx__free(run->ranges);
    run->ranges = NULL;
    run->n_ranges = 0;
}

bool tkx__run_is_same(const tkx__run *a, const tkx__run *b)
{
    return a->lead == b->lead && a->is_negated == b->is_negated &&
           a->has_spaces == b->has_spaces && a->is_at_end == b->is_at_end &&
           a->categories == b->categories && a->min == b->min && a->max == b->max &&
           a->n_ranges == b->n_ranges &&
           (a->n_ranges == 0 ||
            memcmp(a->ranges, b->ranges, a->n_ranges * sizeof *a->ranges) == 0);
}

static bool is_member(const tkx__run *run, const uint8_t *text, size_t at, size_t *len)
{
    uint32_t cp;

    if (text[at] < 0x80) {
        *len = 1;
        return run->ascii[text[at]];
    }
    cp = tkx__utf8_get(text + at, len);
    return is_in_class(run, cp);
}

/* End of up to max members from at, or at when there are fewer than min. */
static size_t members(const tkx__run *run, const uint8_t *text, size_t at, size_t end)
{
    size_t from = at, n = 0, len;

    while (n < run->max && at < end && is_member(run, text, at, &len)) {
        at += len;
        n++;
    }
    return n < run->min ? from : at;
}

static bool is_lead(const tkx__run *run, const uint8_t *text, size_t at, size_t *len)
{
    if (run->lead == TKX__LEAD_BLANK) {
        *len = 1;
        return text[at] == ' ';
    }
    return (tkx__unicode_flags_at(text + at, len) & TKX__UNI_SPACE) != 0;
}

/* `X+$`: $ is the end of a line; what the run gives back to reach one.  at: no match. */
static size_t back_to_line_end(const uint8_t *text, size_t at, size_t stop, size_t end)
{
    while (stop > at && stop != end && text[stop] != '\n')
        stop--;
    return stop;
}

size_t tkx__scan_run(const tkx__splitter *splitter, const uint8_t *text, size_t at,
                     size_t end, size_t *start)
{
    const tkx__run *run = &splitter->run;

    while (at < end) {
        size_t len, stop = at, run_end;

        if (run->lead != TKX__LEAD_NONE && is_lead(run, text, at, &len)) {
            stop = members(run, text, at + len, end);
            stop = stop > at + len ? stop : at;
        }
        if (stop == at)
            stop = members(run, text, at, end);
        run_end = stop;
        if (run->is_at_end)
            stop = back_to_line_end(text, at, stop, end);
        if (stop > at) {
            *start = at;
            return stop;
        }
        at = run_end > at ? run_end : at + tkx__utf8_len(text[at]);
    }
    *start = end;
    return end;
}
