/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tape_read.c - a recording as a list of exchanges in the order of their sending.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/tape_in.h"
#include "json/reader.h"

#define MAX_FILE ((size_t)4 << 30)
#define MAX_HEADERS 32

/* --- the file -------------------------------------------------------------------- */

static tkx_status read_all(const char *path, tkx__buf *out, tkx_error **err)
{
    FILE *from = fopen(path, "re");
    char *at;
    size_t n = 1;

    if (!from)
        return tkx__fail_errno(err, errno, "open the recording %s", path);
    while (n > 0 && (at = tkx__buf_reserve(out, 1 << 16))) {
        n = fread(at, 1, 1 << 16, from);
        tkx__buf_grew(out, n);
    }
    bool has_failed = ferror(from) != 0;
    fclose(from);
    if (out->status != TKX_OK)
        return tkx__fail(err, out->status, "the recording %s is too large", path);
    return has_failed
               ? tkx__fail(err, TKX_ERR_IO, "the recording %s cannot be read", path)
               : TKX_OK;
}

/* --- a line ---------------------------------------------------------------------- */

static void read_bytes(tkx__json_reader *r, tkx__arena *arena, bool is_base64,
                       const char **bytes, size_t *size)
{
    tkx__json_text text;

    if (!tkx__json_read_text(r, &text))
        return;
    char *copy = tkx__arena_alloc(arena, text.size + 4, 1);
    if (!copy) {
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "out of memory");
        return;
    }
    *size = text.size;
    if (is_base64) {
        ptrdiff_t n = tkx__base64_decode(text.data, text.size, copy);
        if (n < 0)
            tkx__json_fail(r, TKX_ERR_PARSE, "this is no base64");
        *size = n > 0 ? (size_t)n : 0;
    } else if (text.size) {
        memcpy(copy, text.data, text.size);
    }
    copy[*size] = '\0';
    *bytes = copy;
}

static void read_headers(tkx__json_reader *r, tkx__arena *arena, tkx__taped *x)
{
    tkx__json_text name;

    x->headers = tkx__arena_alloc(arena, MAX_HEADERS, sizeof *x->headers);
    if (!x->headers || !tkx__json_read_object(r))
        return;
    while (tkx__json_read_key(r, &name)) {
        tkx__header *h = &x->headers[x->n_headers];
        char *copy = tkx__arena_strndup(arena, name.data, name.size);

        if (!copy || x->n_headers == MAX_HEADERS) {
            tkx__json_fail(r, TKX_ERR_LIMIT, "more headers than expected");
            return;
        }
        if (!tkx__json_read_string(r, &h->value))
            return;
        h->name = copy;
        x->n_headers++;
    }
}

static tkx_status status_named(const char *name)
{
    for (int i = 1; i < TKX_N_STATUSES; i++)
        if (strcmp(tkx_status_name((tkx_status)i), name) == 0)
            return (tkx_status)i;
    return TKX_ERR_CONNECTION;
}

static void read_member(tkx__json_reader *r, tkx__arena *arena, const tkx__json_text *key,
                        tkx__taped *x)
{
    const char *name = NULL;
    int64_t number = 0;

    if (tkx__json_text_is(key, "n"))
        tkx__json_read_i64(r, &x->n);
    else if (tkx__json_text_is(key, "method"))
        tkx__json_read_string(r, &x->method);
    else if (tkx__json_text_is(key, "url"))
        tkx__json_read_string(r, &x->url);
    else if (tkx__json_text_is(key, "range"))
        tkx__json_read_string(r, &x->range);
    else if (tkx__json_text_is(key, "body"))
        read_bytes(r, arena, false, &x->body, &x->body_size);
    else if (tkx__json_text_is(key, "body_base64"))
        read_bytes(r, arena, true, &x->body, &x->body_size);
    else if (tkx__json_text_is(key, "answer"))
        read_bytes(r, arena, false, &x->answer, &x->answer_size);
    else if (tkx__json_text_is(key, "answer_base64"))
        read_bytes(r, arena, true, &x->answer, &x->answer_size);
    else if (tkx__json_text_is(key, "headers"))
        read_headers(r, arena, x);
    else if (tkx__json_text_is(key, "dropped"))
        tkx__json_read_bool(r, &x->is_dropped);
    else if (tkx__json_text_is(key, "is_retryable"))
        tkx__json_read_bool(r, &x->is_retryable);
    else if (tkx__json_text_is(key, "message"))
        tkx__json_read_string(r, &x->message);
    else if (tkx__json_text_is(key, "elapsed_ms"))
        tkx__json_read_i64(r, &x->elapsed_ms);
    else if (tkx__json_text_is(key, "status") && tkx__json_read_i64(r, &number))
        x->http_status = number > 0 && number < 1000 ? (int)number : 0;
    else if (tkx__json_text_is(key, "error") && tkx__json_read_string(r, &name))
        x->error = status_named(name);
    else
        tkx__json_skip(r);
}

/* What depends on time rather than on what the program does. */
bool tkx__tape_is_background(const char *url)
{
    static const char *const ends[] = {"/session_heartbeat",
                                       "/telemetry",
                                       "/client/dynamic_config",
                                       "/retrieve_futures",
                                       "/cancel_future",
                                       "/auth/token",
                                       "/finish"};
    size_t n = strlen(url);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i]);
        if (n >= k && strcmp(url + n - k, ends[i]) == 0)
            return true;
    }
    return false;
}

static tkx_status read_line(tkx__tape *t, const char *line, size_t size, tkx__taped **out,
                            tkx_error **err)
{
    tkx__json_reader r;
    tkx__json_text key;
    tkx__taped *x = tkx__arena_alloc(&t->arena, 1, sizeof *x);

    if (!x)
        return tkx__fail_memory(err);
    *x = (tkx__taped){.n = -1, .range = "", .body = "", .answer = "", .message = ""};
    tkx__json_reader_init(&r, line, size, &t->arena, 0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key))
        read_member(&r, &t->arena, &key, x);
    tkx_status st = tkx__json_finish(&r, "recorded exchange", err);
    if (st != TKX_OK)
        return st;
    if (x->n < 0 || !x->method || !x->url ||
        (!x->is_dropped && !x->http_status && x->error == TKX_OK))
        return tkx__fail(err, TKX_ERR_PARSE,
                         "an exchange needs n, method, url and status, error or dropped");
    x->is_background = tkx__tape_is_background(x->url);
    x->hash = tkx__tape_hash(x->method, x->url, x->range, x->is_background ? "" : x->body,
                             x->is_background ? 0 : x->body_size);
    *out = x;
    return TKX_OK;
}

/* --- all lines ------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    int64_t x = (*(tkx__taped *const *)a)->n, y = (*(tkx__taped *const *)b)->n;

    return (x > y) - (x < y);
}

/* In order, and in buckets by hash, each of them in order too. */
static tkx_status link_all(tkx__tape *t, tkx__taped **all, size_t n, tkx_error **err)
{
    tkx__taped **tail = &t->first;

    for (t->n_buckets = 16; t->n_buckets < n; t->n_buckets *= 2)
        ;
    t->buckets = tkx__calloc(t->n_buckets, sizeof(void *));
    if (!t->buckets)
        return tkx__fail_memory(err);
    if (n > 0)
        qsort(all, n, sizeof(void *), by_number);
    for (size_t i = 0; i < n; i++) {
        *tail = all[i];
        tail = &all[i]->next;
        if (!all[i]->is_background && !all[i]->is_dropped)
            atomic_fetch_add(&t->n_recorded, 1);
    }
    *tail = NULL;
    for (size_t i = n; i-- > 0;) {
        tkx__taped **bucket = &t->buckets[all[i]->hash & (t->n_buckets - 1)];
        all[i]->next_in_bucket = *bucket;
        *bucket = all[i];
    }
    return TKX_OK;
}

static tkx_status check_head(const char *line, size_t size, tkx__arena *arena)
{
    tkx__json_reader r;
    tkx__json_text key;
    int64_t version = 0;

    tkx__json_reader_init(&r, line, size, arena, 0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key)) {
        if (tkx__json_text_is(&key, "tkx_record"))
            tkx__json_read_i64(&r, &version);
        else
            tkx__json_skip(&r);
    }
    return tkx__json_finish(&r, "head", NULL) == TKX_OK && version == TKX__TAPE_VERSION
               ? TKX_OK
               : TKX_ERR_PARSE;
}

static tkx_status read_lines(tkx__tape *t, tkx__taped ***all, size_t *n, tkx_error **err)
{
    size_t capacity = 0, number = 1;
    tkx_error *cause = NULL;

    for (char *line = t->text, *end; *line; line = end, number++) {
        size_t size = strcspn(line, "\n");
        bool is_cut = line[size] == '\0'; /* the last line of a run that was killed */

        end = line + size + !is_cut;
        if (number == 1 && check_head(line, size, &t->arena) != TKX_OK)
            return tkx__fail(err, TKX_ERR_PARSE, "%s is not a recording of tkx", t->path);
        if (number == 1 || size == 0 || is_cut)
            continue;
        if (*n == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            tkx__taped **more = tkx__realloc(*all, capacity, sizeof(void *));
            if (!more)
                return tkx__fail_memory(err);
            *all = more;
        }
        if (read_line(t, line, size, &(*all)[*n], &cause) != TKX_OK)
            return tkx__fail_cause(err, TKX_ERR_PARSE, NULL, &cause, "%s, line %zu: %s",
                                   t->path, number, tkx_error_message(cause));
        ++*n;
    }
    return number > 1 ? TKX_OK : tkx__fail(err, TKX_ERR_PARSE, "%s is empty", t->path);
}

tkx_status tkx__tape_read(tkx__tape *t, tkx_error **err)
{
    tkx__taped **all = NULL;
    tkx__buf text;
    size_t n = 0;

    tkx__buf_init(&text, MAX_FILE);
    tkx__arena_init(&t->arena, 1 << 16, (size_t)8 << 30);
    tkx_status st = read_all(t->path, &text, err);
    t->text = tkx__buf_take(&text, NULL);
    tkx__buf_clear(&text);
    if (st == TKX_OK && !t->text)
        st = tkx__fail(err, TKX_ERR_PARSE, "%s is empty", t->path);
    if (st == TKX_OK)
        st = read_lines(t, &all, &n, err);
    if (st == TKX_OK)
        st = link_all(t, all, n, err);
    tkx__free(all);
    return st;
}
