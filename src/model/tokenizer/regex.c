/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.c - compiling an expression for PCRE2 and matching it.
 *
 * ^ and $ are line ends, as in Oniguruma's Ruby syntax.  A match may take MATCH_LIMIT
 * steps: an expression from a file must not be able to hang an encoder.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/tokenizer/regex.h"

#include <pcre2.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/regex_rewrite.h"

#define MATCH_LIMIT 2000000u
#define MAX_EXPRESSION 65536

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
    problem = tkx__regex_rewrite(expression, n, &pattern);
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
