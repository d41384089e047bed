/* SPDX-License-Identifier: Apache-2.0 */
/* Users' losses: values, derivatives against differences, and what is refused. */
#include "mock_server/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/suite.h"

enum { N = 6, N_METRICS = GRAPH_MAX_METRICS };

static tkx__arena arena;
static graph g;
static const double l[N] = {-0.3, -1.7, -0.9, -2.4, -0.05, -3.1};
static const double x[N] = {0.5, -1.25, 2, 0.75, -0.5, 1};

static void set_up(void)
{
    tkx__arena_init(&arena, 65536, (size_t)64 << 20);
}

static void tear_down(void)
{
    tkx__arena_clear(&arena);
}

static tkx_status read_text(const char *text, tkx_error **err)
{
    const jv *root;
    tkx_status st = jv_parse(&arena, text, strlen(text), &root, err);
    return st == TKX_OK ? graph_read(&arena, root, &g, err) : st;
}

/* A loss of the inputs logprobs and x whose nodes are given; "l" and "x" name them. */
static tkx_status read_nodes(const char *nodes, const char *loss, tkx_error **err)
{
    static char text[8192];
    snprintf(
        text, sizeof text,
        "{\"inputs\":[{\"name\":\"logprobs\",\"rank\":1},{\"name\":\"x\",\"rank\":1}"
        "],\"graph\":{\"format\":1,\"nodes\":["
        "{\"op\":\"placeholder\",\"name\":\"l\",\"target\":\"logprobs\"},"
        "{\"op\":\"placeholder\",\"name\":\"x\",\"target\":\"x\"},%s"
        "{\"op\":\"output\",\"name\":\"o\",\"target\":\"output\",\"args\":[{\"tuple\":"
        "[{\"ref\":\"%s\"},{\"dict\":{\"custom/m:mean\":{\"ref\":\"%s\"}}}]}]}]}}",
        nodes, loss, loss);
    return read_text(text, err);
}

static double run_at(const double *logprobs, double *gradient)
{
    graph_tensor inputs[2] = {{logprobs, {N}, 1}, {x, {N}, 1}};
    double loss = NAN, metrics[N_METRICS];
    tkx_error *err = NULL;
    ck_assert_msg(graph_run(&g, inputs, &loss, gradient, metrics, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    ck_assert_double_eq(metrics[0], loss);
    return loss;
}

static void check_derivatives(const char *nodes, const char *loss)
{
    static const double step = 1e-6;
    double gradient[N], ignored[N];
    tkx_error *err = NULL;
    ck_assert_msg(read_nodes(nodes, loss, &err) == TKX_OK, "%s", tkx_error_message(err));
    run_at(l, gradient);
    for (size_t i = 0; i < N; i++) {
        double up[N], down[N], slope;
        memcpy(up, l, sizeof l);
        memcpy(down, l, sizeof l);
        up[i] += step;
        down[i] -= step;
        slope = (run_at(up, ignored) - run_at(down, ignored)) / (2 * step);
        ck_assert_msg(fabs(slope - gradient[i]) < 1e-6 * (1 + fabs(slope)),
                      "%s: [%zu] %.9g, by differences %.9g", nodes, i, gradient[i],
                      slope);
    }
}

/* A node: name, target, arguments. */
#define F(name, target, args)                                                            \
    "{\"op\":\"call_function\",\"name\":\"" name "\",\"target\":\"" target               \
    "\",\"args\":[" args "]},"
#define FK(name, target, args, kwargs)                                                   \
    "{\"op\":\"call_method\",\"name\":\"" name "\",\"target\":\"" target                 \
    "\",\"args\":[" args "],\"kwargs\":{" kwargs "}},"
#define R(name) "{\"ref\":\"" name "\"}"
#define SUM(of) F("s", "torch.sum", R(of))

static const char *const losses[] = {
    F("a", "torch.exp", R("l")) F("b", "operator.mul", R("a") "," R("x")) SUM("b"),
    F("a", "operator.sub", R("l") "," R("x")) F("b", "torch.sigmoid", R("a"))
        F("c", "torch.tanh", R("b")) SUM("c"),
    F("a", "operator.pow", R("l") ",3") F("b", "operator.truediv", R("a") "," R("x"))
        SUM("b"),
    FK("a", "clamp", R("l"), "\"min\":-2.0,\"max\":{\"float\":\"inf\"}")
        F("b", "torch.minimum", R("a") "," R("x")) F("c", "torch.maximum", R("b") ",-1.0")
            F("d", "torch.square", R("c")) SUM("d"),
    F("m", "operator.gt", R("x") ",0.6") F("z", "torch.zeros_like", R("l"))
        F("w", "torch.where", R("m") "," R("l") "," R("z"))
            FK("f", "masked_fill", R("w") "," R("m") ",0.5", "")
                F("b", "torch.nn.functional.softplus", R("w"))
                    F("c", "operator.mul", R("b") "," R("f")) SUM("c"),
    FK("a", "reshape", R("l") ",2,-1", "") FK("b", "logsumexp", R("a"), "\"dim\":1")
        FK("c", "unsqueeze", R("b") ",-1", "") F("d", "operator.mul", R("a") "," R("c"))
            FK("e", "mean", R("d"), "\"dim\":0,\"keepdim\":true") SUM("e"),
    F("a", "torch.nn.functional.log_softmax", R("l") ",0")
        F("b", "operator.getitem",
          R("a") ",{\"tuple\":[{\"ellipsis\":true},{\"slice\":[1,null,2]}]}")
            F("c", "operator.getitem", R("b") ",-1") F("d", "operator.neg", R("c"))
                F("e", "operator.add", R("d") "," R("b")) SUM("e"),
    FK("a", "cumsum", R("l") ",0", "") F("b", "operator.mul", R("a") "," R("x"))
        FK("m", "amax", R("b"), "") F("k", "builtins.getattr", R("l") ",\"shape\"")
            F("n", "operator.getitem", R("k") ",0")
                F("q", "operator.truediv", R("m") "," R("n"))
                    F("r", "torch.logsigmoid", R("b"))
                        F("t", "operator.add", R("q") "," R("r")) SUM("t"),
    FK("a", "detach", R("l"), "") F("b", "operator.sub", R("l") "," R("a"))
        F("c", "torch.expm1", R("b")) F("d", "operator.mul", R("l") "," R("l"))
            F("e", "operator.add", R("c") "," R("d")) SUM("d"),
};

START_TEST(derivatives_agree_with_differences)
{
    check_derivatives(losses[_i], "s");
}
END_TEST

/* What no derivative comes from counts as constant. */
START_TEST(a_loss_without_logprobs_has_no_derivative)
{
    double gradient[N];
    ck_assert_int_eq(read_nodes(SUM("x"), "s", NULL), TKX_OK);
    ck_assert_double_eq_tol(run_at(l, gradient), 2.5, 1e-12);
    for (size_t i = 0; i < N; i++)
        ck_assert_double_eq(gradient[i], 0);
}
END_TEST

START_TEST(uploads_of_the_official_sdk_are_read)
{
    static const char *const names[] = {"ce", "pg"};
    char path[512], text[8192];
    size_t n;
    FILE *file;
    snprintf(path, sizeof path, "%s/fixtures/requests/create-custom-loss-%s.json",
             TKX_TEST_DATA, names[_i]);
    file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    ck_assert_int_eq(read_text(text, NULL), TKX_OK);
    ck_assert_uint_eq(g.n_metrics, 1);
}
END_TEST

static const struct {
    const char *nodes, *loss, *says;
} refused[] = {
    {F("s", "os.system", "\"true\""), "s", "os.system"},
    {"{\"op\":\"call_module\",\"name\":\"s\",\"target\":\"m\"},", "s", "call_module"},
    {"{\"op\":\"call_function\",\"name\":\"s\"},", "s", "target"},
    {"7,", "s", "target"},
};

START_TEST(what_is_not_offered_is_refused_at_once)
{
    tkx_error *err = NULL;
    ck_assert_int_eq(read_nodes(refused[_i].nodes, refused[_i].loss, &err),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_msg(strstr(tkx_error_message(err), refused[_i].says) != NULL, "%s",
                  tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

static const char *const failing[] = {
    F("s", "torch.exp", R("nowhere")),
    F("s", "operator.add", R("s") ",1"),
    F("a", "operator.getitem", R("l") ",6") SUM("a"),
    F("a", "operator.getitem", R("l") ",{\"slice\":[0,1]}") SUM("a"),
    F("a", "operator.getitem", R("l") ",{\"tuple\":[0,0]}") SUM("a"),
    FK("a", "reshape", R("l") ",4,4", "") SUM("a"),
    FK("a", "reshape", R("l") ",0,-1", "") SUM("a"),
    FK("a", "unsqueeze", R("l") ",5", "") SUM("a"),
    FK("a", "sum", R("l"), "\"dim\":3") SUM("a"),
    F("s", "torch.exp", R("l")),
    F("s", "torch.exp", ""),
    F("a", "operator.getitem", R("l") ",{\"slice\":[null,null,0]}") SUM("a"),
};

START_TEST(what_cannot_be_run_is_an_error)
{
    graph_tensor inputs[2] = {{l, {N}, 1}, {x, {N}, 1}};
    double loss, gradient[N], metrics[N_METRICS];
    tkx_error *err = NULL;
    ck_assert_int_eq(read_nodes(failing[_i], "s", NULL), TKX_OK);
    ck_assert_int_ne(graph_run(&g, inputs, &loss, gradient, metrics, &err), TKX_OK);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "custom loss"));
    tkx_error_free(err);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, derivatives_agree_with_differences, 0,
                        sizeof losses / sizeof *losses);
    tcase_add_test(tc, a_loss_without_logprobs_has_no_derivative);
    tcase_add_loop_test(tc, uploads_of_the_official_sdk_are_read, 0, 2);
    tcase_add_loop_test(tc, what_is_not_offered_is_refused_at_once, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_loop_test(tc, what_cannot_be_run_is_an_error, 0,
                        sizeof failing / sizeof *failing);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
