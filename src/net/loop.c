/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - the turns of the loop.
 *
 * libevent tells of three things: the inbox's descriptor, the alarm (a timerfd for the
 * earliest deadline of ours and of libcurl), and sockets.  Each ends in a turn, which
 * runs posts, timeouts, replies and timers until nothing is due, then registers what
 * changed. With a thread of our own one turn follows each pass of libevent; in a lent
 * base it follows each callback.
 */
#include "net/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "net/transfer.h"

#define MAX_PASSES 16 /* of a turn, before sockets get their chance again */

/* Its address tells threads apart; unlike pthread_t it can be stored atomically. */
static _Thread_local char thread_mark;

/* ---- clocks, chance ---- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t tkx__loop_now(const tkx__loop *loop)
{
    (void)loop;
    return clock_ms(CLOCK_MONOTONIC);
}

static int64_t op_now(void *ctx)
{
    return tkx__loop_now(ctx);
}

static int64_t op_now_us(void *ctx)
{
    struct timespec now;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t op_wall(void *ctx)
{
    (void)ctx;
    return clock_ms(CLOCK_REALTIME);
}

static double op_uniform(void *ctx)
{
    tkx__loop *loop = ctx;

    loop->random ^= loop->random << 13; /* xorshift64: jitter needs no more */
    loop->random ^= loop->random >> 7;
    loop->random ^= loop->random << 17;
    return (double)(loop->random >> 11) * 0x1p-53;
}

/* ---- turns ---- */

static int64_t next_due(const tkx__loop *loop)
{
    int64_t due = loop->big ? 0 : tkx__timers_next(&loop->timers);

    for (int i = 0; i < TKX__N_LANES; i++)
        if (loop->lanes[i].multi && tkx__lane_due(&loop->lanes[i]) < due)
            due = tkx__lane_due(&loop->lanes[i]);
    return due;
}

/* Only an earlier deadline moves the alarm: ringing early costs less than setting it. */
static void set_alarm(tkx__loop *loop, int64_t due)
{
    struct itimerspec at = {.it_interval = {0, 0}};

    if (due >= loop->alarm_ms)
        return;
    loop->alarm_ms = due;
    if (due < 1)
        due = 1; /* 0 would disarm it */
    at.it_value.tv_sec = (time_t)(due / 1000);
    at.it_value.tv_nsec = (long)(due % 1000) * 1000000;
    if (timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) != 0)
        loop->alarm_ms = INT64_MAX;
}

static size_t run_pass(tkx__loop *loop)
{
    /* Results before what follows from them, so that it finds their connections free. */
    static const tkx__lane order[TKX__N_LANES] = {TKX__LANE_SESSION, TKX__LANE_RETRIEVE,
                                                  TKX__LANE_SAMPLE,  TKX__LANE_TRAIN,
                                                  TKX__LANE_REST,    TKX__LANE_TELEMETRY};
    size_t n = tkx__inbox_run(&loop->inbox);
    int64_t now = tkx__loop_now(loop);

    n += tkx__timers_run(&loop->timers, now);
    for (int i = 0; i < TKX__N_LANES; i++) {
        tkx__lane_state *lane = &loop->lanes[order[i]];

        if (lane->multi) {
            tkx__lane_run_timeouts(lane, now);
            n += tkx__transfers_deliver(loop, lane);
        }
    }
    return n;
}

static void turn(tkx__loop *loop)
{
    int n_passes = 0;

    tkx__transfers_begin_big(loop);
    while (run_pass(loop) > 0 && ++n_passes < MAX_PASSES)
        ;
    tkx__socks_flush(loop);
    set_alarm(loop,
              n_passes < MAX_PASSES ? next_due(loop) : 0); /* cut short: ring at once */
}

static void claim_thread(tkx__loop *loop)
{
    atomic_store_explicit(&loop->thread_mark, &thread_mark, memory_order_relaxed);
}

void tkx__loop_enter(tkx__loop *loop)
{
    if (loop->is_lent && loop->depth == 0)
        claim_thread(loop);
    loop->depth++;
}

void tkx__loop_leave(tkx__loop *loop)
{
    if (loop->is_lent && loop->depth == 1)
        turn(loop);
    loop->depth--;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    tkx__loop *loop = arg;

    (void)fd;
    (void)what;
    tkx__loop_enter(loop);
    tkx__inbox_acknowledge(&loop->inbox);
    tkx__loop_leave(loop);
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    tkx__loop *loop = arg;
    uint64_t count;

    (void)what;
    tkx__loop_enter(loop);
    if (read(fd, &count, sizeof count) == sizeof count)
        loop->alarm_ms = INT64_MAX;
    tkx__loop_leave(loop);
}

/* ---- the table ---- */

static bool op_in_loop(void *ctx)
{
    tkx__loop *loop = ctx;

    return atomic_load_explicit(&loop->thread_mark, memory_order_relaxed) == &thread_mark;
}

static tkx__timer *op_timer_new(void *ctx, tkx__task_fn *fn, void *arg)
{
    tkx__loop *loop = ctx;

    return tkx__timers_new(&loop->timers, fn, arg);
}

static void op_timer_arm(void *ctx, tkx__timer *timer, int64_t delay_ms)
{
    tkx__loop *loop = ctx;
    int64_t due = tkx__loop_now(loop) + (delay_ms > 0 ? delay_ms : 0);

    tkx__timers_arm(&loop->timers, timer, delay_ms > 0 ? due + 1 : due); /* never early */
}

static void op_timer_disarm(void *ctx, tkx__timer *timer)
{
    tkx__loop *loop = ctx;

    tkx__timers_disarm(&loop->timers, timer);
}

static void op_timer_free(void *ctx, tkx__timer *timer)
{
    tkx__loop *loop = ctx;

    tkx__timers_free(&loop->timers, timer);
}

bool tkx__loop_post_node(tkx__loop *loop, tkx__post_node *node)
{
    bool will_look = op_in_loop(loop) && loop->depth > 0;

    return tkx__inbox_push(&loop->inbox, node, !will_look);
}

static bool op_post(void *ctx, tkx__task_fn *fn, void *arg)
{
    tkx__post_node *node = tkx__malloc(sizeof *node);

    if (!node)
        return false;
    *node = (tkx__post_node){.fn = fn, .arg = arg, .is_heap = true};
    if (tkx__loop_post_node(ctx, node))
        return true;
    tkx__free(node);
    return false;
}

static bool op_post_node(void *ctx, tkx__post_node *node)
{
    return tkx__loop_post_node(ctx, node);
}

static bool op_work(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg)
{
    tkx__loop *loop = ctx;

    return tkx__workers_submit(loop->workers, work, done, arg);
}

static bool op_run_user(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg)
{
    tkx__loop *loop = ctx;

    return tkx__workers_submit(loop->user_code, work, done, arg);
}

const tkx__io *tkx__loop_io(const tkx__loop *loop)
{
    return &loop->io;
}

bool tkx__loop_has_thread(const tkx__loop *loop)
{
    return !loop->is_lent;
}

tkx__loop_stats tkx__loop_get_stats(const tkx__loop *loop)
{
    return loop->stats;
}

/* ---- making ---- */

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_ALL); /* for the life of the process */
}

static tkx_status copy_config(tkx__loop *loop, const tkx__loop_config *from,
                              tkx_error **err)
{
    tkx__loop_config *c = &loop->config;
    const char **fields[] = {&c->ca_file, &c->proxy, &c->no_proxy};
    size_t size = 1;
    char *at;
    const char *cert_file = getenv("SSL_CERT_FILE");

    *c = *from;
    if (!c->ca_file && cert_file && *cert_file)
        c->ca_file = cert_file;
    for (size_t i = 0; i < 3; i++)
        size += *fields[i] ? strlen(*fields[i]) + 1 : 0;
    loop->strings = at = tkx__malloc(size);
    if (!at)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < 3; i++)
        if (*fields[i]) {
            size_t n = strlen(*fields[i]) + 1;

            *fields[i] = memcpy(at, *fields[i], n);
            at += n;
        }
    if (c->max_reply_bytes == 0)
        c->max_reply_bytes = (size_t)1 << 30;
    if (c->connect_timeout_ms <= 0)
        c->connect_timeout_ms = 5000;
    return TKX_OK;
}

static tkx_status make_base(tkx__loop *loop, tkx_error **err)
{
    loop->base = loop->config.base ? loop->config.base : event_base_new();
    loop->is_lent = loop->config.base != NULL;
    if (!loop->base)
        return tkx__fail(err, TKX_ERR_IO, "libevent gave no event base: %s",
                         strerror(errno));
    loop->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->alarm_fd < 0)
        return tkx__fail_errno(err, errno, "timerfd for the loop");
    event_assign(&loop->wake_event, loop->base, loop->inbox.fd, EV_READ | EV_PERSIST,
                 on_wake, loop);
    event_assign(&loop->alarm_event, loop->base, loop->alarm_fd, EV_READ | EV_PERSIST,
                 on_alarm, loop);
    event_assign(&loop->timers_ran_event, loop->base, -1, 0, tkx__socks_timers_ran, loop);
    if (event_add(&loop->wake_event, NULL) != 0 ||
        event_add(&loop->alarm_event, NULL) != 0)
        return tkx__fail_memory(err);
    return TKX_OK;
}

static tkx_status make(tkx__loop *loop, const tkx__loop_config *config, tkx_error **err)
{
    int n_workers = config->n_workers < 0 ? 0 : config->n_workers ? config->n_workers : 2;
    tkx_status status = tkx__inbox_init(&loop->inbox, err);

    if (status == TKX_OK)
        status = copy_config(loop, config, err);
    if (status != TKX_OK)
        return status;
    loop->workers = tkx__workers_new(n_workers, false, &loop->inbox);
    loop->user_code = tkx__workers_new(1, true, &loop->inbox);
    if (!loop->workers || !loop->user_code)
        return tkx__fail_memory(err);
    if (getrandom(&loop->random, sizeof loop->random, GRND_NONBLOCK) < 0)
        loop->random = (uint64_t)clock_ms(CLOCK_REALTIME);
    loop->random |= 1;
    return make_base(loop, err);
}

tkx_status tkx__loop_new(const tkx__loop_config *config, tkx__loop **out, tkx_error **err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const tkx__io_ops ops = {
        .now_ms = op_now,
        .now_us = op_now_us,
        .wall_ms = op_wall,
        .uniform = op_uniform,
        .in_loop = op_in_loop,
        .timer_new = op_timer_new,
        .timer_arm = op_timer_arm,
        .timer_disarm = op_timer_disarm,
        .timer_free = op_timer_free,
        .send = tkx__transfer_send,
        .cancel = tkx__transfer_cancel,
        .post = op_post,
        .post_node = op_post_node,
        .work = op_work,
        .run_user = op_run_user,
    };
    tkx__loop *loop = tkx__calloc(1, sizeof *loop);
    tkx_status status;

    *out = NULL;
    if (!loop)
        return tkx__fail_memory(err);
    pthread_once(&once, init_curl);
    loop->io = (tkx__io){&ops, loop};
    loop->log = config->log;
    loop->alarm_fd = -1;
    loop->alarm_ms = INT64_MAX;
    claim_thread(loop); /* its maker may use it until it starts */
    status = make(loop, config, err);
    if (status == TKX_OK)
        *out = loop;
    else
        tkx__loop_free(loop);
    return status;
}

/* ---- running ---- */

static void *run_thread(void *arg)
{
    tkx__loop *loop = arg;

    claim_thread(loop);
    loop->depth = 1; /* all callbacks are ours, a turn always follows */
    while (!atomic_load(&loop->must_stop)) {
        turn(loop);
        event_base_loop(loop->base, EVLOOP_ONCE);
    }
    loop->depth = 0;
    return NULL;
}

tkx_status tkx__loop_start(tkx__loop *loop, tkx_error **err)
{
    sigset_t all, old;
    int rc;

    if (loop->is_lent) {
        tkx__loop_enter(loop); /* timers armed by the maker */
        tkx__loop_leave(loop);
        return TKX_OK;
    }
    atomic_store_explicit(&loop->thread_mark, NULL, memory_order_relaxed);
    sigfillset(&all); /* a program's signal handlers run on its own threads */
    pthread_sigmask(SIG_BLOCK, &all, &old);
    rc = pthread_create(&loop->thread, NULL, run_thread, loop);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return tkx__fail_errno(err, rc, "start the loop thread");
    loop->has_started = true;
    return TKX_OK;
}

bool tkx__loop_may_wait(const tkx__loop *loop)
{
    bool is_here = op_in_loop((void *)loop);

    return loop->is_lent ? is_here && loop->depth == 0 : !is_here;
}

bool tkx__loop_run_until(tkx__loop *loop, bool (*is_over)(void *arg), void *arg)
{
    while (!is_over(arg)) {
        tkx__loop_enter(loop); /* what was asked for outside of a turn */
        tkx__loop_leave(loop);
        if (!is_over(arg) && event_base_loop(loop->base, EVLOOP_ONCE) < 0)
            return false;
    }
    return true;
}

/* ---- ending ---- */

static void nothing(void *arg)
{
    (void)arg;
}

static void stop_thread(tkx__loop *loop)
{
    tkx__post_node stop = {.fn = nothing};

    if (!loop->has_started)
        return;
    atomic_store(&loop->must_stop, true);
    tkx__inbox_push(&loop->inbox, &stop, true);
    pthread_join(loop->thread, NULL);
    claim_thread(loop);           /* what still runs, runs here */
    tkx__inbox_run(&loop->inbox); /* stop may still be in it, and is on our stack */
}

void tkx__loop_end(tkx__loop *loop)
{
    if (loop->has_ended)
        return;
    stop_thread(loop);
    claim_thread(loop);
    loop->depth++;
    if (loop->workers)
        tkx__workers_end(loop->workers);
    if (loop->user_code)
        tkx__workers_end(loop->user_code);
    do {
        tkx__inbox_run(&loop->inbox);
    } while (!tkx__inbox_try_close(&loop->inbox));
    loop->has_ended = true;
    tkx__transfers_clear(loop);
    for (int i = 0; i < TKX__N_LANES; i++)
        tkx__lane_close(&loop->lanes[i]);
    tkx__socks_clear(loop);
    if (event_initialized(&loop->wake_event))
        event_del(&loop->wake_event);
    if (event_initialized(&loop->alarm_event))
        event_del(&loop->alarm_event);
    if (event_initialized(&loop->timers_ran_event))
        event_del(&loop->timers_ran_event);
    if (loop->base && !loop->is_lent)
        event_base_free(loop->base);
    loop->base = NULL;
    if (loop->alarm_fd >= 0)
        close(loop->alarm_fd);
    loop->alarm_fd = -1;
    loop->depth--;
    atomic_store_explicit(&loop->thread_mark, NULL, memory_order_relaxed);
}

void tkx__loop_free(tkx__loop *loop)
{
    if (!loop)
        return;
    tkx__loop_end(loop);
    tkx__workers_free(loop->workers);
    tkx__workers_free(loop->user_code);
    tkx__inbox_clear(&loop->inbox);
    tkx__timers_clear(&loop->timers);
    tkx__free(loop->strings);
    tkx__free(loop);
}
