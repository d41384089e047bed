/* SPDX-License-Identifier: Apache-2.0 */
/* test_route.c - paths, their captures, and what a dialect lacks. */
#include "mock_server/route.h"

#include <string.h>

#include "support/suite.h"

static bool nothing(call *c)
{
    (void)c;
    return true;
}

static const route table[] = {
    {"GET", "/runs/{}", nothing, 0},
    {"DELETE", "/runs/{}", nothing, ROUTE_HOSTED},
    {"GET", "/runs/{}/ck/{}/{}/ttl", nothing, ROUTE_NEW},
    {"GET", "/mock/journal", nothing, ROUTE_ROOT},
    {0},
};
static char params[ROUTE_MAX_PARAMS][ROUTE_MAX_SEGMENT];

static const route *find(mock_dialect dialect, const char *method, const char *path)
{
    bool has_path;
    return route_find(table, dialect, method, path, false, &has_path, params);
}

START_TEST(segments_are_captured_and_decoded)
{
    ck_assert_ptr_eq(find(DIALECT_HOSTED, "GET", "/runs/a:b%3Ac%2"), &table[0]);
    ck_assert_str_eq(params[0], "a:b:c%2");
    ck_assert_ptr_eq(find(DIALECT_HOSTED, "GET", "/runs/r/ck/k/n/ttl"), &table[2]);
    ck_assert_str_eq(params[2], "n");
    ck_assert_ptr_nonnull(find(DIALECT_HOSTED, "GET", "/runs/r/"));
}
END_TEST

START_TEST(what_does_not_fit_is_not_found)
{
    bool has_path;
    char longest[700];
    ck_assert_ptr_null(find(DIALECT_HOSTED, "GET", "/runs"));
    ck_assert_ptr_null(find(DIALECT_HOSTED, "GET", "/runs//"));
    ck_assert_ptr_null(find(DIALECT_HOSTED, "GET", "/runs/a/b"));
    ck_assert_ptr_null(find(DIALECT_HOSTED, "GET", "/runs/a%00b"));
    ck_assert_ptr_null(find(DIALECT_HOSTED, "GET", "/mock/journal"));
    ck_assert_ptr_null(
        route_find(table, DIALECT_HOSTED, "PUT", "/runs/x", false, &has_path, params));
    ck_assert(has_path);
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "/runs/", 6);
    longest[sizeof longest - 1] = '\0';
    ck_assert_ptr_null(find(DIALECT_HOSTED, "GET", longest));
}
END_TEST

START_TEST(dialects_lack_routes)
{
    ck_assert_ptr_nonnull(find(DIALECT_HOSTED25, "DELETE", "/runs/x"));
    ck_assert_ptr_null(find(DIALECT_SKYRL, "DELETE", "/runs/x"));
    ck_assert_ptr_null(find(DIALECT_HOSTED25, "GET", "/runs/r/ck/k/n/ttl"));
}
END_TEST

START_TEST(any_prefix_may_stand_before_the_api)
{
    ck_assert_str_eq(route_api_path("/api/v1/healthz"), "/healthz");
    ck_assert_str_eq(route_api_path("/services/x/api/v1/runs/y"), "/runs/y");
    ck_assert_ptr_null(route_api_path("/api/v10/healthz"));
    ck_assert_ptr_null(route_api_path("/api/v1"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("route");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, segments_are_captured_and_decoded);
    tcase_add_test(tc, what_does_not_fit_is_not_found);
    tcase_add_test(tc, dialects_lack_routes);
    tcase_add_test(tc, any_prefix_may_stand_before_the_api);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
