/* SPDX-License-Identifier: Apache-2.0 */
/* test_op.c - the order in which operations of a model run. */
#include "mock_server/op.h"

#include <stdio.h>

#include "support/suite.h"

static op *make(int64_t seq)
{
    char id[32];
    snprintf(id, sizeof id, "m:%lld", (long long)seq);
    op *o =
        op_new(&(op_spec){.request_id = id, .seq_id = seq, .body = "{}", .body_size = 2});
    ck_assert_ptr_nonnull(o);
    return o;
}

static int64_t take(lane *l)
{
    op *o = lane_take(l);
    int64_t seq = o->seq_id;
    op_free(o);
    return seq;
}

START_TEST(numbers_run_in_order_whatever_comes_first)
{
    lane *l = lane_new("m", 1);
    lane_put(l, make(3));
    lane_put(l, make(2));
    ck_assert_ptr_null(lane_peek(l)); /* 1 is missing */
    lane_put(l, make(1));
    for (int64_t want = 1; want <= 3; want++) {
        ck_assert_ptr_nonnull(lane_peek(l));
        ck_assert_int_eq(take(l), want);
    }
    ck_assert_ptr_null(lane_peek(l));
    ck_assert_int_eq(l->next_seq, 4);
    lane_free(l);
}
END_TEST

START_TEST(a_running_lane_gives_nothing_out)
{
    lane *l = lane_new("m", 1);
    lane_put(l, make(1));
    l->is_running = true;
    ck_assert_ptr_null(lane_peek(l));
    l->is_running = false;
    ck_assert_ptr_nonnull(lane_peek(l));
    lane_free(l);
}
END_TEST

/* An operation without a number waits for nobody and moves no number on. */
START_TEST(an_operation_without_a_number_goes_first)
{
    lane *l = lane_new("m", 1);
    lane_put(l, make(2));
    lane_put(l, make(-1));
    ck_assert_int_eq(lane_peek(l)->seq_id, -1);
    ck_assert_int_eq(take(l), -1);
    ck_assert_int_eq(l->next_seq, 1);
    ck_assert_ptr_null(lane_peek(l));
    lane_free(l);
}
END_TEST

START_TEST(some_servers_take_operations_as_they_come)
{
    lane *l = lane_new("m", 1);
    l->is_any_order = true;
    lane_put(l, make(3));
    lane_put(l, make(1));
    ck_assert_int_eq(take(l), 3);
    ck_assert_int_eq(take(l), 1);
    lane_free(l);
}
END_TEST

START_TEST(the_table_finds_what_is_in_it)
{
    static op_table table;
    op *all[100];
    for (int i = 0; i < 100; i++) {
        all[i] = make(i);
        op_table_put(&table, all[i]);
    }
    ck_assert_uint_eq(table.n, 100);
    ck_assert_ptr_eq(op_table_get(&table, "m:57"), all[57]);
    op_table_remove(&table, all[57]);
    op_table_remove(&table, all[57]); /* not there: nothing happens */
    ck_assert_ptr_null(op_table_get(&table, "m:57"));
    ck_assert_uint_eq(table.n, 99);
    for (int i = 0; i < 100; i++)
        op_free(all[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("op");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, numbers_run_in_order_whatever_comes_first);
    tcase_add_test(tc, a_running_lane_gives_nothing_out);
    tcase_add_test(tc, an_operation_without_a_number_goes_first);
    tcase_add_test(tc, some_servers_take_operations_as_they_come);
    tcase_add_test(tc, the_table_finds_what_is_in_it);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
