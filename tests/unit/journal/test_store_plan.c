/* SPDX-License-Identifier: Apache-2.0 */
/* test_store_plan.c - which bodies are kept, and what another model has to do again. */
#include "store_fixture.h"

static int64_t saved(int64_t seq_id, const char *where)
{
    int64_t call = add("save_weights", seq_id, "save");

    end(call, TKX__STORE_APPLIED, where);
    return call;
}

static tkx__store_plan plan(int64_t before, bool is_rewind)
{
    tkx__store_plan p;
    tkx_error *err = NULL;

    ck_assert_msg(tkx__store_plan_model(kept, before, is_rewind, &arena, &p, &err) ==
                      TKX_OK,
                  "%s", tkx_error_message(err));
    return p;
}

/* The ops planned for the current model, in order: "ps". */
static const char *planned(void)
{
    static char text[64];
    tkx__store_part *parts;
    size_t n;

    ck_assert_int_eq(tkx__store_made_model(kept, "T:train:0", 1, NULL), TKX_OK);
    n = list(&parts);
    for (size_t i = 0; i < n; i++) {
        text[i] = parts[i].op[0] == 'f' && strcmp(parts[i].op, "forward") != 0
                      ? 'p'
                      : parts[i].op[0];
        ck_assert_int_eq(parts[i].seq_id, (int64_t)i + 1);
        ck_assert(parts[i].is_foreign);
        ck_assert_int_eq(parts[i].state, TKX__STORE_OPEN);
    }
    text[n] = '\0';
    return text;
}

START_TEST(bodies_before_a_state_go)
{
    int64_t a, b, c, d, e;

    begin_run();
    a = applied("forward_backward", 1);
    b = applied("optim_step", 2);
    c = applied("forward_backward", 3); /* its gradient is in no state */
    d = saved(4, "tinker://S/weights/one");
    e = applied("optim_step", 5);
    ck_assert(!has_body(a) && !has_body(b) && !has_body(d));
    ck_assert(has_body(c) && has_body(e));
    applied("forward_backward", 6);
    saved(7, "tinker://S/weights/two");
    ck_assert(!has_body(c) && !has_body(e));
}
END_TEST

START_TEST(bodies_behind_older_states_are_kept_when_asked)
{
    int64_t a, b;

    tkx__store_close(kept);
    ck_assert_int_eq(open_store(2, NULL), TKX_OK);
    begin_run();
    a = applied("optim_step", 1);
    saved(2, "tinker://S/weights/one");
    b = applied("optim_step", 3);
    ck_assert(has_body(a));
    saved(4, "tinker://S/weights/two");
    ck_assert(!has_body(a) && has_body(b));
}
END_TEST

/* A state is confirmed only when the service has said so. */
START_TEST(an_open_save_is_no_state)
{
    int64_t a;

    begin_run();
    a = applied("optim_step", 1);
    add("save_weights", 2, "save");
    ck_assert(has_body(a));
    ck_assert_ptr_null(plan(0, false).from_path);
    ck_assert_str_eq(planned(), "os"); /* the save too: nobody has seen its outcome */
}
END_TEST

START_TEST(what_followed_the_state_is_done_again)
{
    tkx__store_plan p;
    int64_t forward;

    begin_run();
    applied("forward_backward", 1);
    applied("optim_step", 2);
    applied("forward_backward", 3);
    saved(4, "tinker://S/weights/one");
    applied("optim_step", 5);
    applied("forward", 6); /* seen, and it changed nothing */
    forward = add("forward", 7, "unseen");
    (void)forward;
    end(add("forward_backward", 8, "failed"), TKX__STORE_FAILED, NULL);
    applied("forward_backward", 9);
    add("optim_step", 10, "open");
    add("save_weights_and_get_sampling_client", 11, "gone with its session");
    p = plan(0, false);
    ck_assert_str_eq(p.from_path, "tinker://S/weights/one");
    ck_assert_int_eq(p.n_replayed, 5);
    ck_assert_str_eq(planned(), "pofpo");
}
END_TEST

START_TEST(without_a_state_all_is_done_again)
{
    tkx__store_plan p;

    begin_run();
    applied("forward_backward", 1);
    applied("optim_step", 2);
    p = plan(0, false);
    ck_assert_ptr_null(p.from_path);
    ck_assert_str_eq(planned(), "po");
}
END_TEST

START_TEST(a_rewind_drops_what_followed)
{
    tkx__store_totals totals;

    begin_run();
    applied("optim_step", 1);
    applied("forward_backward", 2);
    saved(3, "tinker://S/weights/one");
    applied("optim_step", 4);
    applied("forward_backward", 5);
    plan(0, true);
    ck_assert_str_eq(planned(), "p");
    ck_assert_int_eq(tkx__store_totals_get(kept, &arena, &totals, NULL), TKX_OK);
    ck_assert_int_eq(totals.n_calls, 3);
    ck_assert_int_eq(totals.n_steps, 1);
    ck_assert_int_eq(totals.n_pending_passes, 1);
    ck_assert_str_eq(totals.state_path, "tinker://S/weights/one");
}
END_TEST

/* A plan of a plan loses nothing, whether the first was begun or not. */
START_TEST(a_planned_model_can_be_lost_too)
{
    tkx__store_totals totals;

    begin_run();
    applied("optim_step", 1);
    saved(2, "tinker://S/weights/one");
    applied("forward_backward", 3);
    applied("optim_step", 4);
    plan(0, false);
    plan(0, false);
    ck_assert_str_eq(planned(), "po");
    plan(0, false);
    ck_assert_str_eq(planned(), "po");
    ck_assert_int_eq(tkx__store_totals_get(kept, &arena, &totals, NULL), TKX_OK);
    ck_assert_int_eq(totals.n_steps, 2);
    ck_assert_int_eq(totals.n_calls, 4);
}
END_TEST

START_TEST(an_older_state_serves_when_its_bodies_are_there)
{
    tkx__store_plan p;

    tkx__store_close(kept);
    ck_assert_int_eq(open_store(2, NULL), TKX_OK);
    begin_run();
    applied("optim_step", 1);
    saved(2, "tinker://S/weights/one");
    applied("forward_backward", 3);
    applied("optim_step", 4);
    saved(5, "tinker://S/weights/two");
    p = plan(0, false);
    ck_assert_str_eq(p.from_path, "tinker://S/weights/two");
    p = plan(-1, false);
    ck_assert_str_eq(p.from_path, "tinker://S/weights/one");
    ck_assert_str_eq(planned(), "po");
}
END_TEST

START_TEST(nothing_to_go_on_from_is_an_error)
{
    tkx__store_plan p;

    begin_run();
    applied("optim_step", 1);
    saved(2, "tinker://S/weights/one");
    plan(0, false);
    ck_assert_int_eq(tkx__store_plan_model(kept, -1, false, &arena, &p, NULL),
                     TKX_ERR_NOT_FOUND);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store_plan");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, bodies_before_a_state_go);
    tcase_add_test(tc, bodies_behind_older_states_are_kept_when_asked);
    tcase_add_test(tc, an_open_save_is_no_state);
    tcase_add_test(tc, what_followed_the_state_is_done_again);
    tcase_add_test(tc, without_a_state_all_is_done_again);
    tcase_add_test(tc, a_rewind_drops_what_followed);
    tcase_add_test(tc, a_planned_model_can_be_lost_too);
    tcase_add_test(tc, an_older_state_serves_when_its_bodies_are_there);
    tcase_add_test(tc, nothing_to_go_on_from_is_an_error);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
