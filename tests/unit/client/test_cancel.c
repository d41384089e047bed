/* SPDX-License-Identifier: Apache-2.0 */
/* test_cancel.c - cancels of samples: so many at once, and none holds up another. */
#include "scripted.h"
#include "support/suite.h"

enum { N = 5 };

static scripted s;
static const int32_t tokens[] = {1, 2};

START_TEST(a_slow_cancel_holds_up_nobody)
{
    const tkx_chunk chunk = tkx_chunk_text(tokens, 2);
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *futures[N];

    s = (scripted){.dynamic = "{\"sample_cancel_enabled\":true,"
                              "\"sample_cancel_max_batch_size\":2}"};
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "_future"; /* polls and cancels */
    request.prompt = (tkx_model_input){&chunk, 1};
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(tkx_sampling_sample(p, &request, 0, &futures[i], NULL), TKX_OK);
    fake_io_turn(s.io);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(tkx_future_cancel(futures[i]), TKX_CANCEL_SENT);
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "cancel_future"), 2);
    for (size_t i = 1; i < N - 1; i++) { /* the first one never ends */
        fake_io_answer(s.io, scripted_nth(&s, "cancel_future", i), 200, NULL, "{}");
        ck_assert_uint_eq(fake_io_count(s.io, "cancel_future"), 2 + i);
    }
    for (int i = 0; i < N; i++) {
        scripted_expect(&s, futures[i], TKX_ERR_CANCELLED);
        tkx_future_unref(futures[i]);
    }
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cancel");
    TCase *tc = tcase_create("cancel");

    tcase_add_test(tc, a_slow_cancel_holds_up_nobody);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
