/* SPDX-License-Identifier: Apache-2.0 */
/* Posts, timers, workers and endings of a loop with its own thread. */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/http_server.h"
#include "support/suite.h"

#define N_THREADS 8
#define N_POSTS 2000

static tkx__loop *loop;
static const tkx__io *io;

/* What the loop thread counts, and others wait for. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t counted = PTHREAD_COND_INITIALIZER;
static int n_counted;

static void count(void)
{
    pthread_mutex_lock(&lock);
    n_counted++;
    pthread_cond_broadcast(&counted);
    pthread_mutex_unlock(&lock);
}

static void wait_for(int n)
{
    pthread_mutex_lock(&lock);
    while (n_counted < n)
        pthread_cond_wait(&counted, &lock);
    ck_assert_int_eq(n_counted, n);
    pthread_mutex_unlock(&lock);
}

static void open_world(void)
{
    const tkx__loop_config config = {.n_workers = 3};

    n_counted = 0;
    ck_assert_int_eq(tkx__loop_new(&config, &loop, NULL), TKX_OK);
    ck_assert_int_eq(tkx__loop_start(loop, NULL), TKX_OK);
    io = tkx__loop_io(loop);
}

static void close_world(void)
{
    tkx__loop_free(loop);
}

typedef struct sender {
    int next; /* the post expected from this thread */
    int posts[N_POSTS];
} sender;

static void on_post(void *arg)
{
    int *number = arg;
    sender *from =
        (sender *)(void *)((char *)(number - *number) - offsetof(sender, posts));

    ck_assert(io->ops->in_loop(io->ctx));
    ck_assert_int_eq(*number, from->next);
    from->next++;
    count();
}

static void *post_many(void *arg)
{
    sender *s = arg;

    ck_assert(!io->ops->in_loop(io->ctx));
    for (int i = 0; i < N_POSTS; i++) {
        s->posts[i] = i;
        ck_assert(io->ops->post(io->ctx, on_post, &s->posts[i]));
    }
    return NULL;
}

START_TEST(posts_of_eight_threads_keep_each_ones_order)
{
    sender *senders = calloc(N_THREADS, sizeof *senders);
    pthread_t threads[N_THREADS];

    for (int i = 0; i < N_THREADS; i++)
        pthread_create(&threads[i], NULL, post_many, &senders[i]);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    wait_for(N_THREADS * N_POSTS);
    free(senders);
}
END_TEST

typedef struct job {
    atomic_int worked;
    int done;
    bool on_loop;
} job;

static void do_work(void *arg)
{
    job *j = arg;

    j->on_loop = io->ops->in_loop(io->ctx);
    atomic_fetch_add(&j->worked, 1);
}

static void on_done(void *arg)
{
    job *j = arg;

    ck_assert(io->ops->in_loop(io->ctx));
    ck_assert_int_eq(atomic_load(&j->worked), 1);
    j->done++;
    count();
}

START_TEST(work_runs_elsewhere_and_ends_on_the_loop)
{
    enum { N = 300 };
    static job jobs[N];

    for (int i = 0; i < N; i++)
        ck_assert(io->ops->work(io->ctx, do_work, on_done, &jobs[i]));
    wait_for(N);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(jobs[i].done, 1);
        ck_assert(!jobs[i].on_loop);
    }
}
END_TEST

/* Taken work is done, with done(), before the end; later work and posts are refused. */
START_TEST(ending_finishes_what_was_taken)
{
    enum { N = 50 };
    static job jobs[N + 1];

    for (int i = 0; i < N; i++)
        ck_assert(io->ops->work(io->ctx, do_work, on_done, &jobs[i]));
    tkx__loop_end(loop);
    wait_for(N);
    ck_assert(!io->ops->work(io->ctx, do_work, on_done, &jobs[N]));
    ck_assert(!io->ops->post(io->ctx, on_done, &jobs[N]));
    tkx__loop_end(loop);
}
END_TEST

typedef struct ticker {
    tkx__timer *timer;
    int64_t armed_ms;
    int n_left;
} ticker;

static void on_tick(void *arg)
{
    ticker *t = arg;

    ck_assert_int_ge(io->ops->now_ms(io->ctx) - t->armed_ms, 3);
    if (--t->n_left == 0) {
        io->ops->timer_free(io->ctx, t->timer);
        count();
        return;
    }
    t->armed_ms = io->ops->now_ms(io->ctx);
    io->ops->timer_arm(io->ctx, t->timer, 3);
}

static void start_ticker(void *arg)
{
    ticker *t = arg;

    t->timer = io->ops->timer_new(io->ctx, on_tick, t);
    t->armed_ms = io->ops->now_ms(io->ctx);
    io->ops->timer_arm(io->ctx, t->timer, 3);
}

START_TEST(timers_ring_and_never_early)
{
    ticker t[3] = {{.n_left = 5}, {.n_left = 5}, {.n_left = 5}};

    for (int i = 0; i < 3; i++)
        ck_assert(io->ops->post(io->ctx, start_ticker, &t[i]));
    wait_for(3);
}
END_TEST

static http_server *server;
static int n_replies;

static void on_reply(tkx__reply *reply, void *arg)
{
    (void)reply;
    (void)arg;
    n_replies++;
}

static void send_silent(void *arg)
{
    tkx__request request = {.lane = TKX__LANE_RETRIEVE, .method = "GET"};

    request.url = arg;
    for (int i = 0; i < 30; i++)
        ck_assert_ptr_nonnull(io->ops->send(io->ctx, &request, on_reply, NULL));
    count();
}

START_TEST(ending_drops_open_transfers_without_a_word)
{
    server = http_server_start();
    ck_assert(
        io->ops->post(io->ctx, send_silent, (void *)http_server_url(server, "/silent")));
    wait_for(1);
    tkx__loop_end(loop);
    ck_assert_int_eq(n_replies, 0);
    http_server_stop(server);
}
END_TEST

START_TEST(chance_is_within_bounds)
{
    double sum = 0;

    tkx__loop_end(loop);
    for (int i = 0; i < 10000; i++) {
        double u = io->ops->uniform(io->ctx);

        ck_assert(u >= 0 && u < 1);
        sum += u;
    }
    ck_assert(sum > 4700 && sum < 5300);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tc = tcase_create("loop");

    tcase_add_checked_fixture(tc, open_world, close_world);
    tcase_add_test(tc, posts_of_eight_threads_keep_each_ones_order);
    tcase_add_test(tc, work_runs_elsewhere_and_ends_on_the_loop);
    tcase_add_test(tc, ending_finishes_what_was_taken);
    tcase_add_test(tc, timers_ring_and_never_early);
    tcase_add_test(tc, ending_drops_open_transfers_without_a_word);
    tcase_add_test(tc, chance_is_within_bounds);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
