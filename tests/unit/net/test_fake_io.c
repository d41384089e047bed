/* SPDX-License-Identifier: Apache-2.0 */
/* What the other tests rely on: order of timers, no nesting, timeouts, taken bodies. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/fake_io.h"
#include "support/suite.h"

typedef struct seen {
    char order[32];
    int status;
    tkx_status error;
    char *body;
    char type[32];
} seen;

static void note(seen *s, char c)
{
    size_t n = strlen(s->order);

    s->order[n] = c;
    s->order[n + 1] = '\0';
}

static seen world;

static void on_a(void *arg)
{
    note(arg, 'a');
}

static void on_b(void *arg)
{
    note(arg, 'b');
}

static void on_reply(tkx__reply *reply, void *arg)
{
    seen *s = arg;
    const char *type = tkx__reply_header(reply, "content-type");

    note(s, 'r');
    s->status = reply->http_status;
    s->error = tkx_error_status(reply->error);
    s->body = reply->body;
    reply->body = NULL;
    if (type)
        snprintf(s->type, sizeof s->type, "%s", type);
}

static ssize_t read_abc(void *ctx, uint64_t offset, char *to, size_t n)
{
    (void)ctx;
    (void)n;
    *to = (char)('a' + (int)offset);
    return 1;
}

START_TEST(timers_run_in_order_of_deadline)
{
    fake_io *f = fake_io_new();
    const tkx__io *io = fake_io_table(f);
    tkx__timer *a = io->ops->timer_new(io->ctx, on_a, &world);
    tkx__timer *b = io->ops->timer_new(io->ctx, on_b, &world);

    io->ops->timer_arm(io->ctx, a, 200);
    io->ops->timer_arm(io->ctx, b, 100);
    ck_assert_int_eq(fake_io_next_timer(f), 100);
    fake_io_advance(f, 199);
    ck_assert_str_eq(world.order, "b");
    fake_io_advance(f, 1);
    ck_assert_str_eq(world.order, "ba");
    ck_assert_int_eq(io->ops->now_ms(io->ctx), 200);
    io->ops->timer_arm(io->ctx, a, 5);
    io->ops->timer_disarm(io->ctx, a);
    fake_io_advance(f, 100);
    ck_assert_str_eq(world.order, "ba");
    io->ops->timer_free(io->ctx, a);
    io->ops->timer_free(io->ctx, b);
    fake_io_free(f);
}
END_TEST

START_TEST(tasks_never_run_inside_the_call)
{
    fake_io *f = fake_io_new();
    const tkx__io *io = fake_io_table(f);

    ck_assert(io->ops->work(io->ctx, on_a, on_b, &world));
    ck_assert(io->ops->post(io->ctx, on_a, &world));
    ck_assert_str_eq(world.order, "");
    fake_io_turn(f);
    ck_assert_str_eq(world.order, "aab"); /* work, post, done */
    fake_io_free(f);
}
END_TEST

START_TEST(requests_are_recorded_and_answered)
{
    fake_io *f = fake_io_new();
    const tkx__io *io = fake_io_table(f);
    const tkx__header shared = {"X-One", "1"};
    const tkx__header own = {"X-Two", "2"};
    const tkx__body body = {.size_bytes = 3, .read = read_abc};
    tkx__request request = {.lane = TKX__LANE_TRAIN,
                            .method = "POST",
                            .url = "http://h/p",
                            .headers = &own,
                            .n_headers = 1,
                            .body = &body};

    request.common = tkx__header_set_new(&shared, 1);
    ck_assert_ptr_nonnull(io->ops->send(io->ctx, &request, on_reply, &world));
    ck_assert_str_eq(fake_io_sent(f, 0)->body, "abc");
    ck_assert_str_eq(fake_io_header(f, 0, "x-ONE"), "1");
    ck_assert_str_eq(fake_io_header(f, 0, "x-two"), "2");
    ck_assert_ptr_null(fake_io_header(f, 0, "x-t"));
    ck_assert_uint_eq(fake_io_find_open(f, 0, "/p"), 0);
    fake_io_answer(f, 0, 201, "Content-Type: text/plain", "hello");
    ck_assert_int_eq(world.status, 201);
    ck_assert_str_eq(world.body, "hello");
    ck_assert_str_eq(world.type, "text/plain");
    tkx__free(world.body);
    tkx__header_set_unref(request.common);
    fake_io_free(f);
}
END_TEST

START_TEST(silence_ends_in_a_timeout_and_cancel_in_nothing)
{
    fake_io *f = fake_io_new();
    const tkx__io *io = fake_io_table(f);
    tkx__request request = {.method = "GET", .url = "http://h/p", .timeout_ms = 50};

    io->ops->send(io->ctx, &request, on_reply, &world);
    io->ops->cancel(io->ctx, io->ops->send(io->ctx, &request, on_reply, &world));
    fake_io_advance(f, 1000);
    ck_assert_str_eq(world.order, "r");
    ck_assert_int_eq(world.error, TKX_ERR_TIMEOUT);
    ck_assert_int_eq((int)fake_io_sent(f, 0)->ended_at_ms, 50);
    ck_assert_int_eq(fake_io_sent(f, 1)->state, FAKE_CANCELLED);
    fake_io_refuse_sends(f, 1);
    ck_assert_ptr_null(io->ops->send(io->ctx, &request, on_reply, &world));
    fake_io_free(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fake_io");
    TCase *tc = tcase_create("fake_io");

    tcase_add_test(tc, timers_run_in_order_of_deadline);
    tcase_add_test(tc, tasks_never_run_inside_the_call);
    tcase_add_test(tc, requests_are_recorded_and_answered);
    tcase_add_test(tc, silence_ends_in_a_timeout_and_cancel_in_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
