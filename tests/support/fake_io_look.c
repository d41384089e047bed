/* SPDX-License-Identifier: Apache-2.0 */
/* fake_io_look.c - looking at the fake io, and steering it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "support/fake_io_impl.h"

int64_t fake_io_now(const fake_io *f)
{
    return f->now_ms;
}

int64_t fake_io_next_timer(const fake_io *f)
{
    tkx__timer *timer = fake_earliest(f);

    return timer ? timer->due_ms - f->now_ms : -1;
}

void fake_io_set_uniforms(fake_io *f, const double *values, size_t n)
{
    free(f->uniforms);
    f->uniforms = fake_must(malloc(n * sizeof *values));
    memcpy(f->uniforms, values, n * sizeof *values);
    f->n_uniforms = n;
    f->next_uniform = 0;
}

void fake_io_set_uniform(fake_io *f, double value)
{
    fake_io_set_uniforms(f, &value, 1);
}

void fake_io_set_wall(fake_io *f, int64_t wall_ms)
{
    f->wall_ms = wall_ms;
}

size_t fake_io_n_sent(const fake_io *f)
{
    return f->n_sent;
}

const fake_request *fake_io_sent(const fake_io *f, size_t i)
{
    ck_assert_msg(i < f->n_sent, "request %zu was never sent (%zu were)", i, f->n_sent);
    return &f->sent[i]->seen;
}

size_t fake_io_n_open(const fake_io *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_sent; i++)
        n += f->sent[i]->seen.state == FAKE_OPEN;
    return n;
}

size_t fake_io_find_open(const fake_io *f, size_t from, const char *url_part)
{
    for (size_t i = from; i < f->n_sent; i++)
        if (f->sent[i]->seen.state == FAKE_OPEN && !f->sent[i]->has_answer &&
            (!url_part || strstr(f->sent[i]->seen.url, url_part)))
            return i;
    return FAKE_NONE;
}

size_t fake_io_count(const fake_io *f, const char *url_part)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_sent; i++)
        n += strstr(f->sent[i]->seen.url, url_part) != NULL;
    return n;
}

const char *fake_io_header(const fake_io *f, size_t i, const char *name)
{
    const fake_request *seen = fake_io_sent(f, i);
    size_t n = strlen(name);

    for (size_t k = 0; k < seen->n_headers; k++)
        if (strncasecmp(seen->headers[k], name, n) == 0 && seen->headers[k][n] == ':')
            return seen->headers[k] + n + 1 + strspn(seen->headers[k] + n + 1, " ");
    return NULL;
}

void fake_io_serve(fake_io *f, fake_server_fn *fn, void *arg)
{
    f->server = fn;
    f->server_arg = arg;
}

void fake_io_refuse_sends(fake_io *f, size_t n)
{
    f->refused_sends = n;
}

void fake_io_hold_work(fake_io *f, bool hold)
{
    f->holds_work = hold;
    if (hold)
        return;
    while (f->held) {
        step *s = f->held;

        f->held = s->next;
        fake_push(f, *s);
        free(s);
    }
    f->held_tail = &f->held;
    fake_io_turn(f);
}

size_t fake_io_n_work(const fake_io *f)
{
    size_t n = 0;

    for (const step *s = f->head; s; s = s->next)
        n += s->kind == STEP_WORK;
    for (const step *s = f->held; s; s = s->next)
        n++;
    return n;
}

size_t fake_io_n_timers(const fake_io *f)
{
    size_t n = 0;

    for (const tkx__timer *t = f->timers; t; t = t->next)
        n++;
    return n;
}
