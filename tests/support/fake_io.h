/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_io.h - the world of net/io.h on a virtual clock, with a transport that a test
 * answers.
 *
 * Nothing waits and nothing happens by itself: fake_io_turn() runs what is due now
 * (posts, workers, timers of delay 0, replies) until nothing is left, fake_io_advance()
 * moves the clock from timer to timer.  Replies, posts and timers never run inside the
 * call that asked for them.  A request whose timeout_ms passes unanswered fails with
 * TIMEOUT.
 *
 *     fake_io *f = fake_io_new();
 *     machine = machine_new(fake_io_table(f), ...);
 *     ck_assert_str_eq(fake_io_sent(f, 0)->url, "http://x/api/v1/y");
 *     fake_io_answer(f, 0, 503, "retry-after: 2", "");
 *     fake_io_advance(f, 1999);
 *     ck_assert_uint_eq(fake_io_n_sent(f), 1);
 *     fake_io_advance(f, 1);
 *     fake_io_answer(f, 1, 200, NULL, "{}");
 *     fake_io_free(f);   fails the test when timers, requests or work are left behind
 *
 * One thread, but for post(), and send() never fails unless told to.
 */
#ifndef TESTS_SUPPORT_FAKE_IO_H
#define TESTS_SUPPORT_FAKE_IO_H

#include "net/io.h"

typedef struct fake_io fake_io;

typedef enum fake_request_state {
    FAKE_OPEN = 0, /* waits for the test */
    FAKE_ANSWERED,
    FAKE_CANCELLED
} fake_request_state;

/* A request as it was sent; copies, valid until fake_io_free(). */
typedef struct fake_request {
    fake_request_state state;
    tkx__lane lane;
    const char *method;
    const char *url;
    char **headers; /* "name: value", names in lower case, common ones first */
    size_t n_headers;
    char *body; /* NUL-terminated; "" when there is none */
    size_t body_size;
    int64_t timeout_ms;
    int64_t connect_timeout_ms;
    size_t max_reply_bytes;
    bool no_redirects;
    bool fresh_connection;
    int64_t sent_at_ms; /* virtual time, 0 at fake_io_new() */
    int64_t ended_at_ms;
} fake_request;

fake_io *fake_io_new(void);
/* Also checks (ck_assert) that no timer, open request, post or work is left. */
void fake_io_free(fake_io *fake);
/* The same without the check. */
void fake_io_drop(fake_io *fake);
const tkx__io *fake_io_table(fake_io *fake);

/* ---- time ----------------------------------------------------------------------- */

int64_t fake_io_now(const fake_io *fake); /* ms since fake_io_new() */
/* Run all that is due now.  Stops the test after 1,000,000 steps: a hot loop. */
void fake_io_turn(fake_io *fake);
/* Move the clock by ms, running timers and timeouts in the order of their deadlines. */
void fake_io_advance(fake_io *fake, int64_t ms);
/* Milliseconds to the earliest armed timer; -1: none is armed. */
int64_t fake_io_next_timer(const fake_io *fake);
/* What uniform() gives from now on; 1 - 1e-9 at first, so that jitter is at its
   maximum. */
void fake_io_set_uniform(fake_io *fake, double value);
/* Or a sequence, repeated for ever; copied. */
void fake_io_set_uniforms(fake_io *fake, const double *values, size_t n);
/* What wall_ms() gives at virtual time 0; 1,700,000,000,000 at first. */
void fake_io_set_wall(fake_io *fake, int64_t wall_ms);

/* ---- requests, numbered from 0 in the order of sending -------------------------- */

size_t fake_io_n_sent(const fake_io *fake);
const fake_request *fake_io_sent(const fake_io *fake,
                                 size_t i); /* fails the test if absent */
size_t fake_io_n_open(const fake_io *fake);
/* The first open request from number i on whose URL ends with (or contains) the text;
   NULL text: any.  FAKE_NONE when there is none. */
#define FAKE_NONE ((size_t)-1)
size_t fake_io_find_open(const fake_io *fake, size_t from, const char *url_part);
/* How many were sent, open or not, whose URL contains the text. */
size_t fake_io_count(const fake_io *fake, const char *url_part);
/* The value of a header (any case), or NULL. */
const char *fake_io_header(const fake_io *fake, size_t i, const char *name);

/*
 * Answer request i, then run a turn.  headers are lines "Name: value" separated by \n, or
 * NULL; content-length is added unless given or unless the text "-content-length" is a
 * line.
 */
void fake_io_answer(fake_io *fake, size_t i, int status, const char *headers,
                    const char *body);
void fake_io_answer_bytes(fake_io *fake, size_t i, int status, const char *headers,
                          const void *body, size_t size);
/* No answer: CONNECTION and TIMEOUT could do better next time, LIMIT or any other not. */
void fake_io_fail(fake_io *fake, size_t i, tkx_status status, const char *message);

/*
 * A scripted server: called in the turn after each send, in order; it may call
 * fake_io_answer() and its kin, or leave the request open.
 */
typedef void fake_server_fn(fake_io *fake, size_t i, void *arg);
void fake_io_serve(fake_io *fake, fake_server_fn *fn, void *arg);

/* ---- trouble -------------------------------------------------------------------- */

void fake_io_refuse_sends(fake_io *fake, size_t n); /* the next n sends return NULL */
void fake_io_hold_work(fake_io *fake, bool hold);   /* work waits until released */
size_t fake_io_n_work(const fake_io *fake);         /* waiting or held */
size_t fake_io_n_timers(const fake_io *fake);       /* made and not freed */

#endif
