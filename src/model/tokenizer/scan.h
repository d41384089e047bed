/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/scan.h - finding the next match of a splitting expression.
 *
 * A splitter is one of our own scanners (for the well-known expressions), a run of one
 * class of characters, a fixed text, or an expression for PCRE2.  All answer the same
 * question: where, from a place on, the next match begins and ends.  The text ends at
 * `end` for every look-ahead.  Immutable once made.
 */
#ifndef TKX_MODEL_TOKENIZER_SCAN_H
#define TKX_MODEL_TOKENIZER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef struct tkx__splitter tkx__splitter;
typedef struct tkx__regex tkx__regex;

/*
 * The end of the next match in the valid UTF-8 text[at..end), which begins at *start;
 * when there is none, *start = end and end is returned.  Matches are never empty.  The
 * scanners written here cannot fail.
 */
typedef size_t tkx__scan_fn(const tkx__splitter *splitter, const uint8_t *text, size_t at,
                            size_t end, size_t *start);

typedef struct tkx__range {
    uint32_t first, last;
} tkx__range;

/* `lead` class `+`, or up to max characters: `\s?[A-Z]+`, `\p{N}{1,3}`. */
typedef struct tkx__run {
    enum { TKX__LEAD_NONE, TKX__LEAD_BLANK, TKX__LEAD_SPACE } lead;
    bool is_negated;
    bool has_spaces;     /* \s belongs to the class */
    bool is_at_end;      /* `$` follows */
    uint32_t categories; /* bit per general category */
    size_t min, max;     /* characters of a match, lead apart */
    tkx__range *ranges;  /* ascending */
    size_t n_ranges;
    uint8_t ascii[128]; /* the class, for ASCII */
} tkx__run;

struct tkx__splitter {
    tkx__scan_fn *scan; /* NULL: regex */
    tkx__run run;
    tkx__regex *regex;
    uint8_t *text; /* a fixed text */
    size_t text_size;
};

/* A splitter for an expression, by the quickest means that knows it.  PARSE, UNSUPPORTED.
 */
tkx_status tkx__splitter_init(tkx__splitter *splitter, const char *expression, size_t n,
                              tkx_error **err);
/* The same through PCRE2 alone (for tests). */
tkx_status tkx__splitter_init_regex(tkx__splitter *splitter, const char *expression,
                                    size_t n, tkx_error **err);
tkx_status tkx__splitter_init_text(tkx__splitter *splitter, const char *text, size_t n,
                                   tkx_error **err);
void tkx__splitter_clear(tkx__splitter *splitter);

/* As tkx__scan_fn; LIMIT when an expression needs too much backtracking. */
tkx_status tkx__splitter_next(const tkx__splitter *splitter, const uint8_t *text,
                              size_t at, size_t end, size_t *start, size_t *stop,
                              tkx_error **err);

/* NULL when the expression is not one of the well-known ones. */
tkx__scan_fn *tkx__scan_known(const char *expression, size_t n);
/* The well-known expressions one by one; NULL behind the last. */
const char *tkx__scan_known_at(size_t i);

/* Reads a run expression; false when it is none.  NO_MEMORY shows as *is_failed. */
bool tkx__run_parse(tkx__run *run, const char *expression, size_t n, bool *is_failed);
void tkx__run_clear(tkx__run *run);
bool tkx__run_is_same(const tkx__run *a, const tkx__run *b);
size_t tkx__scan_run(const tkx__splitter *splitter, const uint8_t *text, size_t at,
                     size_t end, size_t *start);

/* The well-known expressions (scan_words.c); "gguf": as llama.cpp spells them. */
tkx__scan_fn tkx__scan_gpt2;
tkx__scan_fn tkx__scan_llama3;
tkx__scan_fn tkx__scan_llama3_gguf;
tkx__scan_fn tkx__scan_qwen2;
tkx__scan_fn tkx__scan_qwen2_gguf;
tkx__scan_fn tkx__scan_qwen35;
tkx__scan_fn tkx__scan_qwen35_gguf;
tkx__scan_fn tkx__scan_o200k;
tkx__scan_fn tkx__scan_o200k_gguf;
tkx__scan_fn tkx__scan_tekken;
tkx__scan_fn tkx__scan_tekken_gguf;
tkx__scan_fn tkx__scan_deepseek3;

#endif
