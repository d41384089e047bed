/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizers.c - tkx-conformance tokenizers DIR: every tokenizer below DIR against
 * recorded ids and texts.
 *
 * What a folder holds tells its kind: tokenizer.json with expected.jsonl (and
 * decode.jsonl; the texts in ../lines.jsonl), X.gguf with X.inp and X.out,
 * real-X.expected.jsonl (X.gguf in
 * --vocab-dir, texts in lines.jsonl beside it), chat/expected.jsonl.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tkx/tokenizer.h>

#include "tok_cases.h"

#define MAX_DEPTH 8

static int is_file(const char *dir, const char *name)
{
    char path[2 * TOK_PATH];
    struct stat sb;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &sb) == 0 && S_ISREG(sb.st_mode);
}

static int is_dir(const char *dir, const char *name)
{
    char path[2 * TOK_PATH];
    struct stat sb;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

static tkx_tokenizer *open_or_fail(const char *path, const char *name,
                                   conf_report *report)
{
    tkx_tokenizer *tokenizer = NULL;
    tkx_error *err = NULL;

    if (tkx_tokenizer_open(path, &tokenizer, &err) == TKX_OK)
        return tokenizer;
    conf_fail(report, name, "%s", tkx_error_message(err));
    tkx_error_free(err);
    return NULL;
}

static void run_json_folder(const char *dir, conf_report *report)
{
    char path[TOK_PATH], texts[TOK_PATH], lines[TOK_PATH];
    tkx_tokenizer *tokenizer;

    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    tokenizer = open_or_fail(path, path, report);
    if (!tokenizer)
        return;
    snprintf(texts, sizeof texts, "%s/../lines.jsonl", dir);
    snprintf(lines, sizeof lines, "%s/expected.jsonl", dir);
    tok_run_lines(tokenizer, texts, lines, 0, report);
    if (is_file(dir, "decode.jsonl")) {
        snprintf(lines, sizeof lines, "%s/decode.jsonl", dir);
        tok_run_decodes(tokenizer, lines, report);
    }
    tkx_tokenizer_unref(tokenizer);
}

/* real-X.expected.jsonl: the lines under a real vocabulary. */
static void run_real(const char *dir, const char *file, const conf_options *options,
                     conf_report *report)
{
    static const char begin[] = "real-", end[] = ".expected.jsonl";
    int n = (int)(strlen(file) - strlen(begin) - strlen(end));
    char path[TOK_PATH], texts[TOK_PATH], lines[TOK_PATH];
    tkx_tokenizer *tokenizer;

    if (!options->vocab_dir) {
        conf_skip(report, file, "needs --vocab-dir with %.*s.gguf", n,
                  file + strlen(begin));
        return;
    }
    snprintf(path, sizeof path, "%s/%.*s.gguf", options->vocab_dir, n,
             file + strlen(begin));
    tokenizer = open_or_fail(path, file, report);
    if (!tokenizer)
        return;
    snprintf(texts, sizeof texts, "%s/lines.jsonl", dir);
    snprintf(lines, sizeof lines, "%s/%s", dir, file);
    tok_run_lines(tokenizer, texts, lines, TKX_ENCODE_PLAIN_TEXT, report);
    tkx_tokenizer_unref(tokenizer);
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

/* X.gguf with X.inp and X.out */
static void run_gguf(const char *dir, const char *file, conf_report *report)
{
    int n = (int)(strlen(file) - strlen(".gguf"));
    char name[TOK_PATH], path[TOK_PATH], out[TOK_PATH];
    tkx_tokenizer *tokenizer;

    snprintf(name, sizeof name, "%.*s.inp", n, file);
    snprintf(out, sizeof out, "%.*s.out", n, file);
    if (!is_file(dir, name) || !is_file(dir, out))
        return;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    tokenizer = open_or_fail(path, path, report);
    if (!tokenizer)
        return;
    snprintf(path, sizeof path, "%s/%.*s", dir, n, file);
    tok_run_inp(tokenizer, path, report);
    tkx_tokenizer_unref(tokenizer);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int walk(const char *dir, int depth, const conf_options *options,
                conf_report *report)
{
    struct dirent **entries;
    const char *base = strrchr(dir, '/');
    int n = scandir(dir, &entries, NULL, by_name);

    if (n < 0)
        return -1;
    if (is_file(dir, "tokenizer.json") && is_file(dir, "expected.jsonl"))
        run_json_folder(dir, report);
    else if (strcmp(base ? base + 1 : dir, "chat") == 0 && is_file(dir, "expected.jsonl"))
        tok_run_chats(dir, report);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        char path[TOK_PATH];

        if (ends_with(name, ".gguf"))
            run_gguf(dir, name, report);
        else if (strncmp(name, "real-", 5) == 0 && ends_with(name, ".expected.jsonl"))
            run_real(dir, name, options, report);
        else if (name[0] != '.' && depth < MAX_DEPTH && is_dir(dir, name)) {
            snprintf(path, sizeof path, "%s/%s", dir, name);
            walk(path, depth + 1, options, report);
        }
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int conf_tokenizers(const char *dir, const conf_options *options, conf_report *report)
{
    char clean[TOK_PATH / 2];
    size_t n;

    snprintf(clean, sizeof clean, "%s", dir);
    for (n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--)
        clean[n - 1] = '\0';
    return walk(clean, 0, options, report);
}
