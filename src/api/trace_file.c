/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_file.c - events as text, through a buffer that is flushed when it is full and
 * once a second.
 *
 * Rows are threads of the format: each group (train, sample, ...) has a range of its own,
 * the lowest free number is taken, so that the picture stays as high as what was open at
 * once.
 */
#include "api/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

#define BUFFER_SIZE ((size_t)64 << 10)
#define MAX_EVENT ((size_t)2 << 10)
#define FLUSH_US 1000000
#define N_GROUPS 8
#define ROWS_PER_GROUP 4096 /* a multiple of 64 */

typedef struct group {
    const char *name;
    uint64_t taken[ROWS_PER_GROUP / 64];
    uint64_t named[ROWS_PER_GROUP / 64];
} group;

struct tkx__trace_file {
    int fd;
    int pid;
    bool is_broken; /* a write failed: nothing more is written */
    uint64_t n_bytes, max_bytes;
    uint64_t n_dropped; /* slices */
    int64_t start_us, flushed_us;
    size_t n;
    group *groups[N_GROUPS];
    char buffer[BUFFER_SIZE];
};

/* --- text ------------------------------------------------------------------------ */

static void flush(tkx__trace_file *f)
{
    size_t at = 0;

    while (at < f->n && !f->is_broken) {
        ssize_t n = write(f->fd, f->buffer + at, f->n - at);

        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno != EINTR)
            f->is_broken = true; /* a full disk must not stop the work */
    }
    f->n = 0;
}

static void put(tkx__trace_file *f, int64_t now_us, const char *line, size_t n)
{
    if (f->n + n > BUFFER_SIZE || now_us - f->flushed_us > FLUSH_US) {
        flush(f);
        f->flushed_us = now_us;
    }
    memcpy(f->buffer + f->n, line, n);
    f->n += n;
    f->n_bytes += n;
}

/* One event: kind, row, time, and the rest of the object. */
static void put_event(tkx__trace_file *f, char kind, int row, int64_t now_us,
                      const char *rest, const char *args)
{
    char line[MAX_EVENT];
    int n =
        snprintf(line, sizeof line,
                 "{\"ph\":\"%c\",\"pid\":%d,\"tid\":%d,\"ts\":%" PRId64 "%s%s%s%s},\n",
                 kind, f->pid, row, now_us - f->start_us, rest, args ? ",\"args\":{" : "",
                 args ? args : "", args ? "}" : "");

    if (n > 0 && (size_t)n < sizeof line)
        put(f, now_us, line, (size_t)n);
}

size_t tkx__trace_arg_int(char *args, size_t size, size_t at, const char *key,
                          int64_t value)
{
    int n =
        snprintf(args + at, size - at, "%s\"%s\":%" PRId64, at ? "," : "", key, value);

    if (n > 0 && (size_t)n < size - at)
        return at + (size_t)n;
    args[at] = '\0';
    return at;
}

size_t tkx__trace_arg(char *args, size_t size, size_t at, const char *key,
                      const char *text)
{
    size_t start = at;
    int n = snprintf(args + at, size - at, "%s\"%s\":\"", at ? "," : "", key);

    if (!text || n < 0 || (size_t)n + 8 >= size - at) {
        args[start] = '\0';
        return start;
    }
    at += (size_t)n;
    for (; *text && at + 8 < size; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            args[at++] = '\\';
        /* The file stays plain ASCII whatever a server calls its things. */
        args[at++] = c < ' ' || c > '~' ? '?' : (char)c;
    }
    args[at++] = '"';
    args[at] = '\0';
    return at;
}

/* --- rows ------------------------------------------------------------------------ */

static int find_group(tkx__trace_file *f, const char *name)
{
    for (int i = 0; i < N_GROUPS; i++) {
        if (f->groups[i] && strcmp(f->groups[i]->name, name) == 0)
            return i;
        if (f->groups[i])
            continue;
        f->groups[i] = tkx__calloc(1, sizeof *f->groups[i]);
        if (!f->groups[i])
            return -1;
        f->groups[i]->name = name;
        return i;
    }
    return -1;
}

static void name_row(tkx__trace_file *f, const char *group_name, int row, int index)
{
    char args[96];

    snprintf(args, sizeof args, "\"name\":\"%s %d\"", group_name, index);
    put_event(f, 'M', row, f->start_us, ",\"name\":\"thread_name\"", args);
    snprintf(args, sizeof args, "\"sort_index\":%d", row);
    put_event(f, 'M', row, f->start_us, ",\"name\":\"thread_sort_index\"", args);
}

int tkx__trace_file_take_row(tkx__trace_file *f, const char *name)
{
    int g = f->n_bytes < f->max_bytes && !f->is_broken ? find_group(f, name) : -1;

    for (int word = 0; g >= 0 && word < ROWS_PER_GROUP / 64; word++) {
        group *of = f->groups[g];
        if (of->taken[word] == UINT64_MAX)
            continue;
        int bit = __builtin_ctzll(~of->taken[word]);
        int index = word * 64 + bit;
        int row = (g + 1) * ROWS_PER_GROUP + index;
        of->taken[word] |= UINT64_C(1) << bit;
        if (!(of->named[word] >> bit & 1))
            name_row(f, name, row, index);
        of->named[word] |= UINT64_C(1) << bit;
        return row;
    }
    f->n_dropped++;
    return -1;
}

void tkx__trace_file_give_row(tkx__trace_file *f, int row)
{
    int g = row / ROWS_PER_GROUP - 1;
    int index = row % ROWS_PER_GROUP;

    f->groups[g]->taken[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

/* --- events ---------------------------------------------------------------------- */

bool tkx__trace_file_begin(tkx__trace_file *f, int row, int64_t now_us, const char *name,
                           const char *category, const char *args)
{
    char rest[192];

    if (f->n_bytes >= f->max_bytes || f->is_broken) {
        f->n_dropped++;
        return false;
    }
    snprintf(rest, sizeof rest, ",\"name\":\"%.96s\",\"cat\":\"%s\"", name, category);
    put_event(f, 'B', row, now_us, rest, args);
    return true;
}

void tkx__trace_file_end(tkx__trace_file *f, int row, int64_t now_us, const char *args)
{
    put_event(f, 'E', row, now_us, "", args);
}

void tkx__trace_file_point(tkx__trace_file *f, int row, int64_t now_us, const char *name,
                           const char *args)
{
    char rest[160];

    if (f->n_bytes >= f->max_bytes)
        return;
    snprintf(rest, sizeof rest, ",\"s\":\"t\",\"name\":\"%.96s\"", name);
    put_event(f, 'i', row, now_us, rest, args);
}

void tkx__trace_file_flow(tkx__trace_file *f, int row, int64_t now_us, char step,
                          uint64_t id)
{
    char rest[128];

    if (f->n_bytes >= f->max_bytes)
        return;
    snprintf(rest, sizeof rest,
             ",\"name\":\"promise\",\"cat\":\"flow\",\"id\":%" PRIu64 "%s", id,
             step == 'f' ? ",\"bp\":\"e\"" : "");
    put_event(f, step, row, now_us, rest, NULL);
}

/* --- life ------------------------------------------------------------------------ */

tkx_status tkx__trace_file_open(const char *path, uint64_t max_bytes, int64_t now_us,
                                int64_t wall_ms, tkx__trace_file **out, tkx_error **err)
{
    tkx__trace_file *f = tkx__calloc(1, sizeof *f);
    char args[64];

    if (!f)
        return tkx__fail_memory(err);
    f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        int reason = errno;

        tkx__free(f);
        return tkx__fail_errno(err, reason, "make the trace file %s", path);
    }
    f->pid = (int)getpid();
    f->max_bytes = max_bytes;
    f->start_us = f->flushed_us = now_us;
    put(f, now_us, "[\n", 2);
    put_event(f, 'M', 0, now_us, ",\"name\":\"process_name\"", "\"name\":\"tkx client\"");
    snprintf(args, sizeof args, "\"started_unix_ms\":%" PRId64, wall_ms);
    put_event(f, 'M', 0, now_us, ",\"name\":\"tkx_trace\"", args);
    *out = f;
    return TKX_OK;
}

void tkx__trace_file_close(tkx__trace_file *f, int64_t now_us)
{
    char last[160];

    if (!f)
        return;
    /* The last event has no comma, so it is written by hand. */
    int n = snprintf(last, sizeof last,
                     "{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"ts\":%" PRId64
                     ",\"name\":\"tkx_end\",\"args\":{\"n_dropped\":%" PRIu64 "}}\n]\n",
                     f->pid, now_us - f->start_us, f->n_dropped);
    put(f, now_us, last, (size_t)n);
    flush(f);
    close(f->fd);
    for (int i = 0; i < N_GROUPS; i++)
        tkx__free(f->groups[i]);
    tkx__free(f);
}
