/* SPDX-License-Identifier: Apache-2.0 */
/* tok_cases.c - lines, decodings, streamed pieces, and llama.cpp's pairs of files. */
#include "tok_cases.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

char *tok_read_file(const char *path, size_t *size, conf_report *report)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    long n = -1;

    if (f && fseek(f, 0, SEEK_END) == 0)
        n = ftell(f);
    if (n >= 0 && fseek(f, 0, SEEK_SET) == 0)
        text = malloc((size_t)n + 1);
    if (text && fread(text, 1, (size_t)n, f) != (size_t)n) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    if (!text)
        conf_fail(report, path, "cannot be read");
    else
        *size = (size_t)n;
    return text;
}

int tok_next_line(const char *text, size_t size, size_t *at, tkx__json_text *line)
{
    const char *end;

    while (*at < size && text[*at] == '\n')
        (*at)++;
    if (*at >= size)
        return 0;
    end = memchr(text + *at, '\n', size - *at);
    line->data = text + *at;
    line->size = end ? (size_t)(end - line->data) : size - *at;
    *at += line->size;
    return 1;
}

int tok_same_ids(conf_report *report, const char *name, const char *what,
                 const int64_t *expected, size_t n_expected, const int64_t *got,
                 size_t n_got)
{
    size_t i = 0;

    while (i < n_expected && i < n_got && expected[i] == got[i])
        i++;
    if (i == n_expected && i == n_got)
        return 1;
    conf_fail(report, name, "%s: id %zu is %lld, expected %lld (%zu ids, expected %zu)",
              what, i, i < n_got ? (long long)got[i] : -1LL,
              i < n_expected ? (long long)expected[i] : -1LL, n_got, n_expected);
    return 0;
}

/* Text for a report: what cannot be printed in hexadecimal. */
static void put_shown(tkx__buf *to, const char *text, size_t n)
{
    for (size_t i = 0; i < n && i < 120; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= ' ' && c < 0x7F)
            tkx__buf_putc(to, (char)c);
        else
            tkx__buf_printf(to, "\\x%02x", c);
    }
}

int tok_same_text(conf_report *report, const char *name, const char *what,
                  const tkx__json_text *expected, const char *got, size_t n_got)
{
    tkx__buf shown;

    if (expected->size == n_got &&
        (n_got == 0 || memcmp(expected->data, got, n_got) == 0))
        return 1;
    tkx__buf_init(&shown, 4096);
    tkx__buf_puts(&shown, "got '");
    put_shown(&shown, got, n_got);
    tkx__buf_puts(&shown, "', expected '");
    put_shown(&shown, expected->data, expected->size);
    conf_fail(report, name, "%s: %s'", what, tkx__buf_text(&shown));
    tkx__buf_clear(&shown);
    return 0;
}

/* ---- expected.jsonl ---- */

typedef struct line_case {
    int64_t i;
    tkx__json_text text;
    int64_t *ids;
    size_t n_ids;
    tkx__json_text decoded, decoded_skip, pieces;
    int has_decoded, has_skip, has_pieces;
} line_case;

static int read_line(tkx__json_text line, tkx__arena *arena, line_case *c)
{
    tkx__json_reader r;
    tkx__json_text key;

    tkx__json_reader_init(&r, line.data, line.size, arena, 0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key)) {
        if (tkx__json_text_is(&key, "i"))
            tkx__json_read_i64(&r, &c->i);
        else if (tkx__json_text_is(&key, "text"))
            tkx__json_read_text(&r, &c->text);
        else if (tkx__json_text_is(&key, "ids"))
            tkx__json_read_i64s(&r, &c->ids, &c->n_ids);
        else if (tkx__json_text_is(&key, "decoded"))
            c->has_decoded = tkx__json_read_text(&r, &c->decoded);
        else if (tkx__json_text_is(&key, "decoded_skip_special"))
            c->has_skip = tkx__json_read_text(&r, &c->decoded_skip);
        else if (tkx__json_text_is(&key, "pieces")) {
            tkx__json_skip_raw(&r, &c->pieces);
            c->has_pieces = 1;
        } else
            tkx__json_skip(&r);
    }
    return tkx__json_finish(&r, "line", NULL) == TKX_OK;
}

static int check_decode(tkx_tokenizer *tokenizer, const line_case *c, unsigned flags,
                        const tkx__json_text *expected, const char *what,
                        const char *name, conf_report *report)
{
    char *text = NULL;
    size_t n = 0;
    int is_same;

    if (tkx_tokenizer_decode(tokenizer, c->ids, c->n_ids, flags, &text, &n, NULL) !=
        TKX_OK) {
        conf_fail(report, name, "%s: decoding failed", what);
        return 0;
    }
    is_same = tok_same_text(report, name, what, expected, text, n);
    tkx_tokenizer_free_result(text);
    return is_same;
}

/* What each id releases, and that the pieces together are the whole text. */
static int check_pieces(tkx_tokenizer *tokenizer, const line_case *c, tkx__arena *arena,
                        const tkx__json_text *decoded, const char *name,
                        conf_report *report)
{
    tkx__json_reader r;
    tkx__buf all;
    tkx_text_stream *stream = NULL;
    const char *piece;
    size_t n;
    int is_same = 1;

    if (tkx_text_stream_new(tokenizer, 0, &stream, NULL) != TKX_OK)
        abort();
    tkx__buf_init(&all, 1 << 20);
    tkx__json_reader_init(&r, c->pieces.data, c->pieces.size, arena, 0);
    if (c->has_pieces)
        tkx__json_read_array(&r);
    for (size_t i = 0; i < c->n_ids && is_same; i++) {
        tkx__json_text expected = {0};

        if (tkx_text_stream_push(stream, c->ids[i], &piece, &n, NULL) != TKX_OK)
            abort();
        tkx__buf_append(&all, piece, n);
        if (!c->has_pieces)
            continue;
        if (tkx__json_read_element(&r))
            tkx__json_read_text(&r, &expected);
        is_same = tok_same_text(report, name, "piece", &expected, piece, n);
    }
    if (tkx_text_stream_finish(stream, &piece, &n, NULL) != TKX_OK)
        abort();
    tkx__buf_append(&all, piece, n);
    if (is_same)
        is_same = tok_same_text(report, name, "pieces together", decoded,
                                tkx__buf_text(&all), all.size);
    tkx__buf_clear(&all);
    tkx_text_stream_free(stream);
    return is_same;
}

static void run_line(tkx_tokenizer *tokenizer, const line_case *c, tkx__arena *arena,
                     unsigned flags, const char *name, conf_report *report)
{
    const tkx__json_text *decoded = c->has_decoded ? &c->decoded : &c->text;
    int64_t *ids = NULL;
    size_t n = 0;
    tkx_error *err = NULL;
    int is_same;

    if (tkx_tokenizer_encode(tokenizer, c->text.data, c->text.size, flags, &ids, &n,
                             &err) != TKX_OK) {
        conf_fail(report, name, "%s", tkx_error_message(err));
        tkx_error_free(err);
        return;
    }
    is_same = tok_same_ids(report, name, "ids", c->ids, c->n_ids, ids, n);
    tkx_tokenizer_free_result(ids);
    if (is_same && (c->has_decoded || !(flags & TKX_ENCODE_PLAIN_TEXT)))
        is_same = check_decode(tokenizer, c, 0, decoded, "decoded", name, report) &&
                  check_decode(tokenizer, c, TKX_DECODE_SKIP_SPECIAL,
                               c->has_skip ? &c->decoded_skip : decoded,
                               "decoded without special tokens", name, report) &&
                  check_pieces(tokenizer, c, arena, decoded, name, report);
    if (is_same)
        conf_pass(report, name);
}

void tok_run_lines(tkx_tokenizer *tokenizer, const char *texts, const char *lines,
                   unsigned flags, conf_report *report)
{
    size_t n_texts = 0, n_lines = 0, at = 0, text_at = 0;
    char *all_texts = tok_read_file(texts, &n_texts, report);
    char *all_lines = all_texts ? tok_read_file(lines, &n_lines, report) : NULL;
    tkx__json_text line;
    tkx__arena arena;

    while (all_lines && tok_next_line(all_lines, n_lines, &at, &line)) {
        line_case c = {.i = -1}, text = {.i = -1};
        char name[TOK_PATH];

        tkx__arena_init(&arena, 4096, 1 << 24);
        if (!read_line(line, &arena, &c)) {
            conf_fail(report, lines, "a line is no JSON object");
        } else {
            snprintf(name, sizeof name, "%s %lld", lines, (long long)c.i);
            for (int turn = 0; text.i != c.i && turn < 2; turn++) { /* in order, mostly */
                while (text.i != c.i &&
                       tok_next_line(all_texts, n_texts, &text_at, &line))
                    read_line(line, &arena, &text);
                if (text.i != c.i)
                    text_at = 0;
            }
            c.text = text.text;
            if (text.i == c.i)
                run_line(tokenizer, &c, &arena, flags, name, report);
            else
                conf_fail(report, name, "%s has no such line", texts);
        }
        tkx__arena_clear(&arena);
    }
    free(all_texts);
    free(all_lines);
}

void tok_run_decodes(tkx_tokenizer *tokenizer, const char *lines, conf_report *report)
{
    size_t n = 0, at = 0, number = 0;
    char *all = tok_read_file(lines, &n, report);
    tkx__json_text line;
    tkx__arena arena;

    while (all && tok_next_line(all, n, &at, &line)) {
        line_case c = {0};
        char name[TOK_PATH];

        snprintf(name, sizeof name, "%s %zu", lines, number++);
        tkx__arena_init(&arena, 4096, 1 << 24);
        if (!read_line(line, &arena, &c) || !c.has_decoded)
            conf_fail(report, name, "no JSON object with ids and decoded");
        else if (check_decode(tokenizer, &c, 0, &c.decoded, "decoded", name, report))
            conf_pass(report, name);
        tkx__arena_clear(&arena);
    }
    free(all);
}

/* ---- X.inp, X.out ---- */

static const char mark[] = "\n__ggml_vocab_test__\n";

/* The ids of one line of the .out file. */
static size_t read_ids(const char *text, size_t size, int64_t *ids, size_t max)
{
    size_t n = 0, at = 0;

    while (at < size) {
        int64_t id = 0;

        while (at < size && text[at] == ' ')
            at++;
        if (at == size)
            break;
        for (; at < size && text[at] >= '0' && text[at] <= '9'; at++)
            id = id * 10 + (text[at] - '0');
        if (n < max)
            ids[n] = id;
        n++;
        if (at < size && text[at] != ' ')
            break;
    }
    return n;
}

static void run_text(tkx_tokenizer *tokenizer, tkx__json_text text, const char *line,
                     size_t n_line, const char *name, conf_report *report)
{
    int64_t expected[4096], *ids = NULL;
    size_t n_expected = read_ids(line, n_line, expected, 4096), n = 0;
    tkx_error *err = NULL;

    if (tkx_tokenizer_encode(tokenizer, text.data, text.size, TKX_ENCODE_PLAIN_TEXT, &ids,
                             &n, &err) != TKX_OK) {
        conf_fail(report, name, "%s", tkx_error_message(err));
        tkx_error_free(err);
        return;
    }
    if (n_expected > 4096)
        conf_fail(report, name, "more than 4096 ids are expected");
    else if (tok_same_ids(report, name, "ids", expected, n_expected, ids, n))
        conf_pass(report, name);
    tkx_tokenizer_free_result(ids);
}

void tok_run_inp(tkx_tokenizer *tokenizer, const char *base, conf_report *report)
{
    char path[TOK_PATH + 8];
    size_t n_in = 0, n_out = 0, at = 0, out_at = 0;
    char *in, *out = NULL;

    snprintf(path, sizeof path, "%s.inp", base);
    in = tok_read_file(path, &n_in, report);
    snprintf(path, sizeof path, "%s.out", base);
    if (in)
        out = tok_read_file(path, &n_out, report);
    if (out) {
        in[n_in] = '\0';
        for (size_t i = 0; at < n_in; i++) {
            const char *end = strstr(in + at, mark);
            const char *line_end = memchr(out + out_at, '\n', n_out - out_at);
            size_t n_line =
                line_end ? (size_t)(line_end - (out + out_at)) : n_out - out_at;
            size_t n_text = end ? (size_t)(end - (in + at)) : n_in - at;

            if (!end) /* the last text has no mark, or the file ends with one */
                break;
            snprintf(path, sizeof path, "%s %zu", base, i);
            run_text(tokenizer, (tkx__json_text){in + at, n_text}, out + out_at, n_line,
                     path, report);
            at += n_text + strlen(mark);
            out_at += n_line + (line_end != NULL);
        }
    }
    free(in);
    free(out);
}
