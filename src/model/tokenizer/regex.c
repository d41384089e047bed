/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.c - rewriting an expression for PCRE2, compiling and matching it.
 *
 * PCRE2's \s has U+180E, which is no white space to the reference; its \w has no marks. ^
 * and $ are line ends, as in Oniguruma's Ruby syntax.  A match may take MATCH_LIMIT
 * steps: an expression from a file must not be able to hang an encoder.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/tokenizer/regex.h"

#include <pcre2.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"

#define MATCH_LIMIT 2000000u
#define MAX_EXPRESSION 65536

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

struct tkx__regex {
    pcre2_code *code;
    pcre2_general_context *memory;
    pcre2_match_context *limits;
};

static void *allocate(PCRE2_SIZE size, void *data)
{
    (void)data;
    return tkx__malloc(size);
}

static void release(void *ptr, void *data)
{
    (void)data;
    tkx__free(ptr);
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
        tkx__buf_puts(out, "[^" WORDS LATIN_NUMBERS "]");
        return in_set ? 0 : 1;
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
        tkx__buf_putc(out, p[0]);
        return 1;
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

/* NULL when done, else what could not be rewritten. */
static const char *rewrite(const char *p, size_t n, tkx__buf *out)
{
    const char *problem = NULL;

    for (size_t at = 0; at < n && !problem;) {
        if (p[at] == '\\') {
            size_t taken = rewrite_escape(p + at + 1, n - at - 1, false, out);

            if (taken == 0)
                problem = "an escape that is not offered there";
            at += 1 + taken;
        } else if (p[at] == '[') {
            at++;
            problem = rewrite_set(p, n, &at, out);
        } else {
            tkx__buf_putc(out, p[at++]);
        }
    }
    return problem;
}

static tkx_status compile(tkx__regex *regex, const tkx__buf *pattern,
                          const char *expression, size_t n, tkx_error **err)
{
    PCRE2_UCHAR text[160] = "";
    int problem = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(regex->memory);

    if (!context)
        return tkx__fail_memory(err);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    regex->code =
        pcre2_compile((PCRE2_SPTR)tkx__buf_text(pattern), pattern->size,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                      &problem, &at, context);
    pcre2_compile_context_free(context);
    if (!regex->code) {
        pcre2_get_error_message(problem, text, sizeof text);
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "the expression '%.*s' cannot be compiled: %s", (int)n,
                         expression, (const char *)text);
    }
    /* Without a just-in-time compiler PCRE2 interprets: slower, the same matches. */
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    return TKX_OK;
}

tkx_status tkx__regex_new(const char *expression, size_t n, tkx__regex **out,
                          tkx_error **err)
{
    tkx__regex *regex = NULL;
    tkx__buf pattern;
    const char *problem;
    tkx_status st;

    tkx__buf_init(&pattern, 64 * (size_t)MAX_EXPRESSION);
    if (n > MAX_EXPRESSION) {
        st = tkx__fail(err, TKX_ERR_LIMIT, "an expression of %zu bytes is longer than %d",
                       n, MAX_EXPRESSION);
        goto done;
    }
    problem = rewrite(expression, n, &pattern);
    if (problem) {
        st = tkx__fail(err, TKX_ERR_UNSUPPORTED, "the expression '%.*s' has %s", (int)n,
                       expression, problem);
        goto done;
    }
    regex = tkx__calloc(1, sizeof *regex);
    if (!regex || pattern.status != TKX_OK) {
        st = tkx__fail_memory(err);
        goto done;
    }
    regex->memory = pcre2_general_context_create(allocate, release, NULL);
    regex->limits = regex->memory ? pcre2_match_context_create(regex->memory) : NULL;
    if (!regex->limits) {
        st = tkx__fail_memory(err);
        goto done;
    }
    pcre2_set_match_limit(regex->limits, MATCH_LIMIT);
    st = compile(regex, &pattern, expression, n, err);
    if (st != TKX_OK)
        goto done;
    *out = regex;
    regex = NULL;
done:
    tkx__regex_free(regex);
    tkx__buf_clear(&pattern);
    return st;
}

void tkx__regex_free(tkx__regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    pcre2_match_context_free(regex->limits);
    pcre2_general_context_free(regex->memory);
    tkx__free(regex);
}

tkx_status tkx__regex_next(const tkx__regex *regex, const uint8_t *text, size_t at,
                           size_t end, size_t *start, size_t *stop, tkx_error **err)
{
    pcre2_match_data *match;
    const PCRE2_SIZE *found;
    int n;

    *start = *stop = end;
    if (at >= end)
        return TKX_OK;
    match = pcre2_match_data_create_from_pattern(regex->code, regex->memory);
    if (!match)
        return tkx__fail_memory(err);
    n = pcre2_match(regex->code, text, end, at, PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK,
                    match, regex->limits);
    if (n >= 0) {
        found = pcre2_get_ovector_pointer(match);
        if (found[0] >= at && found[1] > found[0]) { /* \K can move the start */
            *start = found[0];
            *stop = found[1];
        }
    }
    pcre2_match_data_free(match);
    if (n == PCRE2_ERROR_NOMEMORY)
        return tkx__fail_memory(err);
    if (n < 0 && n != PCRE2_ERROR_NOMATCH)
        return tkx__fail(err, TKX_ERR_LIMIT,
                         "splitting text at byte %zu needs too much backtracking (PCRE2 "
                         "error %d); the tokenizer's expression is too costly for this "
                         "text",
                         at, n);
    return TKX_OK;
}
