/* SPDX-License-Identifier: Apache-2.0 */
/* test_fault.c - which request a rule of a scenario strikes. */
#include "mock_server/fault.h"

#include <string.h>

#include "support/suite.h"

static fault_set *parse(const char *text)
{
    fault_set *set = NULL;
    tkx_error *err = NULL;
    tkx_status st = fault_set_parse(text, strlen(text), &set, &err);
    ck_assert_msg(st == TKX_OK, "%s", tkx_error_message(err));
    return set;
}

/* The kind that the next request meets. */
static fault_kind next(fault_set *set, const char *method, const char *path)
{
    fault_plan plan = fault_set_next(set, method, path, 5);
    fault_kind kind = plan.rule ? plan.rule->kind : FAULT_NONE;
    fault_plan_clear(&plan);
    return kind;
}

START_TEST(requests_are_counted_per_rule)
{
    fault_set *set = parse("{\"rules\":[{\"route\":\"POST /a/{x}\",\"nth\":[1,3],"
                           "\"fault\":\"cut\"},{\"route\":\"*\",\"nth\":\"all\","
                           "\"fault\":\"status\",\"status\":500}]}");
    ck_assert_int_eq(next(set, "POST", "/a/1"), FAULT_CUT);
    ck_assert_int_eq(next(set, "POST", "/a/2"), FAULT_STATUS);
    ck_assert_int_eq(next(set, "GET", "/a/2"), FAULT_STATUS);
    ck_assert_int_eq(next(set, "POST", "/a/9"), FAULT_CUT);
    ck_assert_int_eq(next(set, "POST", "/a/9/b"), FAULT_STATUS);
    fault_set_unref(set);
}
END_TEST

START_TEST(delays_add_up_with_jitter_in_bounds)
{
    fault_set *set =
        parse("{\"rules\":["
              "{\"route\":\"*\",\"fault\":\"delay\",\"ms\":10},"
              "{\"route\":\"*\",\"fault\":\"delay\",\"ms\":5,\"jitter_ms\":3},"
              "{\"route\":\"*\",\"fault\":\"delay\",\"phase\":\"after\","
              "\"ms\":7}]}");
    for (uint64_t random = 0; random < 20; random++) {
        fault_plan plan = fault_set_next(set, "GET", "/", random);
        ck_assert_int_ge(plan.before_ms, 15);
        ck_assert_int_le(plan.before_ms, 18);
        ck_assert_int_eq(plan.after_ms, 7);
        fault_plan_clear(&plan);
    }
    fault_set_unref(set);
}
END_TEST

START_TEST(a_plan_keeps_its_scenario_alive)
{
    fault_set *set =
        parse("{\"rules\":[{\"route\":\"*\",\"fault\":\"status\",\"status\":429,"
              "\"headers\":{\"retry-after\":\"1\"},\"body\":\"x\"}]}");
    fault_plan plan = fault_set_next(set, "GET", "/", 0);
    fault_set_unref(set); /* replaced by another one meanwhile */
    ck_assert_int_eq(plan.rule->status, 429);
    ck_assert_str_eq(plan.rule->headers[0].value, "1");
    ck_assert_str_eq(plan.rule->body, "x");
    fault_plan_clear(&plan);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fault");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, requests_are_counted_per_rule);
    tcase_add_test(tc, delays_add_up_with_jitter_in_bounds);
    tcase_add_test(tc, a_plan_keeps_its_scenario_alive);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
