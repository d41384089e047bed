/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex_rewrite.c - what means something else to PCRE2 than to the reference.
 *
 * PCRE2's \s has U+180E, which is no white space there; its \w, and so its \b, knows no
 * marks.
 */
#include "model/tokenizer/regex_rewrite.h"

#include <stdbool.h>
#include <string.h>

#define SPACES                                                                           \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"   \
    "\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACES                                                                        \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}"         \
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}"       \
    "\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define WORDS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
/* The fractions and raised digits of Latin-1 are words there, outside of sets. */
#define LATIN_NUMBERS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define OUTSIDE "[^" WORDS LATIN_NUMBERS "]"
#define BESIDE "[" WORDS LATIN_NUMBERS "]"

#define MAX_GROUPS 250 /* nested; PCRE2's own limit is the same */

/* One that is copied, with the name in braces that it may have. */
static size_t escape_size(const char *p, size_t n)
{
    const char *end =
        n > 1 && p[1] == '{' && strchr("pPxo", p[0]) ? memchr(p, '}', n) : NULL;

    return end ? (size_t)(end - p) + 1 : 1;
}

/* One escape at p (behind the backslash); returns bytes taken, 0 when it is refused. */
static size_t rewrite_escape(const char *p, size_t n, bool in_set, tkx__buf *out)
{
    const char *open = in_set ? "" : "[", *close = in_set ? "" : "]";

    if (n == 0)
        return 0;
    switch (p[0]) {
    case 's':
        tkx__buf_printf(out, "%s" SPACES "%s", open, close);
        return 1;
    case 'S':
        tkx__buf_printf(out, "%s" NO_SPACES "%s", open, close);
        return 1;
    case 'w':
        tkx__buf_printf(out, "%s" WORDS "%s", open, in_set ? "" : LATIN_NUMBERS "]");
        return 1;
    case 'W':
        tkx__buf_puts(out, OUTSIDE);
        return in_set ? 0 : 1;
    case 'b': /* in a set: a backspace */
        tkx__buf_puts(out, in_set ? "\\x{8}"
                                  : "(?:(?<=" BESIDE ")(?!" BESIDE ")|(?<!" BESIDE
                                    ")(?=" BESIDE "))");
        return 1;
    case 'B':
        tkx__buf_puts(out,
                      "(?:(?<=" BESIDE ")(?=" BESIDE ")|(?<!" BESIDE ")(?!" BESIDE "))");
        return in_set ? 0 : 1;
    case 'v': /* one character there, a class here */
        tkx__buf_puts(out, "\\x{b}");
        return 1;
    case 'Q':
    case 'E': /* letters there, quotation here */
        return 0;
    case 'h': /* a hexadecimal digit there, a blank here */
        tkx__buf_printf(out, "%s0-9A-Fa-f%s", open, close);
        return 1;
    case 'H':
        tkx__buf_puts(out, "[^0-9A-Fa-f]");
        return in_set ? 0 : 1;
    case 'u':
        if (n < 5)
            return 0;
        tkx__buf_printf(out, "\\x{%.4s}", p + 1);
        return 5;
    default:
        tkx__buf_putc(out, '\\');
        tkx__buf_append(out, p, escape_size(p, n));
        return escape_size(p, n);
    }
}

/* [:name:] at p; bytes taken, 0 when it is refused. */
static size_t rewrite_posix(const char *p, size_t n, tkx__buf *out)
{
    static const struct {
        const char *name, *members;
    } classes[] = {
        {"[:alpha:]", "\\p{Alphabetic}"},
        {"[:alnum:]", "\\p{Alphabetic}\\p{Nd}"},
        {"[:digit:]", "\\p{Nd}"},
        {"[:punct:]", "\\p{P}\\p{S}"},
        {"[:space:]", SPACES},
        {"[:word:]", WORDS},
        {"[:upper:]", "\\p{Uppercase}"},
        {"[:lower:]", "\\p{Lowercase}"},
    };

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t size = strlen(classes[i].name);

        if (n < size || memcmp(p, classes[i].name, size) != 0)
            continue;
        tkx__buf_puts(out, classes[i].members);
        return size;
    }
    return 0;
}

/*
 * A set up to and with its bracket, from behind the opening one.  A set inside it, which
 * PCRE2 does not have, only adds its members.  Returns NULL and moves *at, or says what
 * could not be rewritten.
 */
static const char *rewrite_set(const char *p, size_t n, size_t *at, tkx__buf *out)
{
    size_t depth = 1, first = *at;

    tkx__buf_putc(out, '[');
    if (*at < n && p[*at] == '^') {
        tkx__buf_putc(out, p[(*at)++]);
        first = *at;
    }
    while (depth > 0 && *at < n) {
        size_t taken = 1;

        if (p[*at] == '\\') {
            taken = rewrite_escape(p + *at + 1, n - *at - 1, true, out);
            if (taken == 0)
                return "an escape that is not offered there";
            taken++;
        } else if (p[*at] == '[' && *at + 1 < n && p[*at + 1] == ':') {
            taken = rewrite_posix(p + *at, n - *at, out);
            if (taken == 0)
                return "a class that is not offered";
        } else if (p[*at] == '[') {
            if (*at + 1 < n && p[*at + 1] == '^')
                return "a negated set inside a set";
            depth++;
            first = *at + 1;
        } else if (p[*at] == '&' && *at + 1 < n && p[*at + 1] == '&') {
            return "an intersection of sets";
        } else if (p[*at] == ']' && *at != first) {
            depth--;
        } else {
            if (p[*at] == ']')
                tkx__buf_putc(out, '\\');
            tkx__buf_putc(out, p[*at]);
        }
        *at += taken;
    }
    tkx__buf_putc(out, ']');
    return depth > 0 ? "a set without an end" : NULL;
}

/* ---- repetition ---- */

/* The length of {n}, {n,}, {n,m} or {,m} at p; 0: a brace. */
static size_t interval_size(const char *p, size_t n)
{
    size_t at = 1, first;

    while (at < n && p[at] >= '0' && p[at] <= '9')
        at++;
    first = at - 1;
    if (at < n && p[at] == ',')
        at++;
    while (at < n && p[at] >= '0' && p[at] <= '9')
        at++;
    return at < n && p[at] == '}' && at > 1 + (first == 0) ? at + 1 : 0;
}

/* Put at an earlier place. */
static void insert(tkx__buf *out, size_t at, const char *text, size_t n)
{
    tkx__buf_append(out, text, n);
    if (out->status != TKX_OK)
        return;
    memmove(out->data + at + n, out->data + at, out->size - n - at);
    memcpy(out->data + at, text, n);
}

/* x{1,3}+ repeats what is repeated, and does not mean that nothing is given back. */
static void rewrite_interval(const char *p, size_t n, size_t size, size_t atom,
                             tkx__buf *out)
{
    bool is_repeated = size < n && p[size] == '+';

    if (is_repeated)
        insert(out, atom, "(?:", 3);
    tkx__buf_puts(out, p[1] == ',' ? "{0" : "{");
    tkx__buf_append(out, p + 1, size - 1);
    if (is_repeated)
        tkx__buf_putc(out, ')');
}

/* (?m) lets a dot be a line's end there, which is s here.  Bytes taken of the options. */
static size_t rewrite_options(const char *p, size_t n, tkx__buf *out)
{
    size_t size = 2;

    if (n < 2 || p[1] != '?')
        return 1;
    while (size < n && p[size] != '\0' && strchr("imx-", p[size]))
        size++;
    if (size == 2 || size == n || (p[size] != ':' && p[size] != ')'))
        return 1;
    for (size_t i = 1; i < size; i++)
        tkx__buf_putc(out, p[i] == 'm' ? 's' : p[i]);
    return size;
}

/* ---- the whole ---- */

typedef struct rewriting {
    tkx__buf *out;
    size_t atom; /* where in `out` begins what would be repeated */
    size_t groups[MAX_GROUPS];
    size_t n_groups;
} rewriting;

/* What is neither an escape nor a set; the bytes taken. */
static size_t rewrite_plain(rewriting *r, const char *p, size_t n)
{
    size_t interval = p[0] == '{' ? interval_size(p, n) : 0;

    if (interval > 0) {
        rewrite_interval(p, n, interval, r->atom, r->out);
        return interval;
    }
    if (p[0] == '(')
        r->groups[r->n_groups++] = r->out->size;
    else if (p[0] != ')')
        r->atom = r->out->size;
    else if (r->n_groups > 0)
        r->atom = r->groups[--r->n_groups];
    tkx__buf_putc(r->out, p[0]);
    return p[0] == '(' ? rewrite_options(p, n, r->out) : 1;
}

const char *tkx__regex_rewrite(const char *p, size_t n, tkx__buf *out)
{
    rewriting r = {.out = out};
    const char *problem = NULL;

    for (size_t at = 0; at < n && !problem;) {
        if (p[at] == '\\') {
            size_t taken;

            r.atom = out->size;
            taken = rewrite_escape(p + at + 1, n - at - 1, false, out);
            if (taken == 0)
                problem = "an escape that is not offered there";
            at += 1 + taken;
        } else if (p[at] == '[') {
            r.atom = out->size;
            at++;
            problem = rewrite_set(p, n, &at, out);
        } else if (p[at] == '(' && r.n_groups == MAX_GROUPS) {
            problem = "groups nested too deep";
        } else {
            at += rewrite_plain(&r, p + at, n - at);
        }
    }
    return problem;
}
