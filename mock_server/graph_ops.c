/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_ops.c - a table of operations by name, as torch names them.
 *
 * Types and devices of tensors mean nothing here: everything is a double, truth is 1.
 */
#include "mock_server/graph_args.h"

#include <math.h>
#include <string.h>

/* --- element by element ---------------------------------------------------------- */

#define UNARY(name, value, slope)                                                        \
    static void name(double x, double *y, double *s)                                     \
    {                                                                                    \
        *y = (value);                                                                    \
        *s = (slope);                                                                    \
    }

UNARY(do_neg, -x, -1)
UNARY(do_same, x, 1)
UNARY(do_detach, x, 0)
UNARY(do_abs, fabs(x), x > 0 ? 1 : x < 0 ? -1 : 0)
UNARY(do_exp, exp(x), *y)
UNARY(do_expm1, expm1(x), *y + 1)
UNARY(do_log, log(x), 1 / x)
UNARY(do_log1p, log1p(x), 1 / (1 + x))
UNARY(do_sqrt, sqrt(x), 0.5 / *y)
UNARY(do_rsqrt, 1 / sqrt(x), -0.5 * *y / x)
UNARY(do_square, x *x, 2 * x)
UNARY(do_reciprocal, 1 / x, -*y **y)
UNARY(do_sigmoid, 1 / (1 + exp(-x)), *y *(1 - *y))
UNARY(do_tanh, tanh(x), 1 - *y * *y)
UNARY(do_relu, x > 0 ? x : 0, x > 0)
UNARY(do_softplus, x > 30 ? x : log1p(exp(x)), 1 / (1 + exp(-x)))
UNARY(do_logsigmoid, x < -30 ? x : -log1p(exp(-x)), 1 / (1 + exp(x)))
UNARY(do_sign, (x > 0) - (x < 0), 0)
UNARY(do_floor, floor(x), 0)
UNARY(do_ceil, ceil(x), 0)
UNARY(do_trunc, trunc(x), 0)
UNARY(do_truth, x != 0, 0)
UNARY(do_not, x == 0, 0)

static void do_zero(double x, double *y, double *s)
{
    (void)x;
    *y = *s = 0;
}

#define BINARY(name, value, slope_a, slope_b)                                            \
    static void name(double a, double b, double *y, double *da, double *db)              \
    {                                                                                    \
        *y = (value);                                                                    \
        *da = (slope_a);                                                                 \
        *db = (slope_b);                                                                 \
    }

BINARY(do_add, a + b, 1, 1)
BINARY(do_sub, a - b, 1, -1)
BINARY(do_rsub, b - a, -1, 1)
BINARY(do_mul, a *b, b, a)
BINARY(do_div, a / b, 1 / b, -a / (b * b))
BINARY(do_pow, pow(a, b), b == 0 ? 0 : b * pow(a, b - 1), a > 0 ? *y * log(a) : 0)
BINARY(do_minimum, a<b ? a : b, a<b ? 1 : a> b ? 0 : 0.5, a> b ? 1 : a < b ? 0 : 0.5)
BINARY(do_maximum, a > b ? a : b, a > b ? 1 : a < b ? 0 : 0.5, a<b ? 1 : a> b ? 0 : 0.5)
BINARY(do_gt, a > b, 0, 0)
BINARY(do_ge, a >= b, 0, 0)
BINARY(do_lt, a < b, 0, 0)
BINARY(do_le, a <= b, 0, 0)
BINARY(do_eq, !(a < b) && !(a > b), 0, 0)
BINARY(do_ne, a<b || a> b, 0, 0)
BINARY(do_and, a != 0 && b != 0, 0, 0)
BINARY(do_or, a != 0 || b != 0, 0, 0)
BINARY(do_keep_low, b > a ? b : a, b > a ? 0 : 1, b > a) /* clamp: equal is inside */
BINARY(do_keep_high, b < a ? b : a, b < a ? 0 : 1, b < a)
BINARY(do_first_where, b != 0 ? a : 0, b != 0, 0)
BINARY(do_first_unless, b != 0 ? 0 : a, b == 0, 0)

/* --- operations of a kind of their own ------------------------------------------- */

static gv *reduce(tape *t, const graph_args *args, gv *x, gv_fold fold)
{
    int64_t dims[GRAPH_MAX_DIMS];
    size_t n;
    const jv *dim = graph_argument(args, 1, "dim");
    graph_args one = *args;

    if (dim && dim->kind == JV_OBJECT && jv_get(dim, "dtype"))
        dim = NULL; /* x.sum(dtype) */
    one.n = dim && args->n > 2 ? 2 : args->n;
    if (!dim)
        n = 0;
    else if (!graph_integers(t, &one, 1, "dim", dims, &n))
        return NULL;
    return gv_reduce(t, x, dims, n, graph_flag(args, 2, "keepdim"), fold);
}

static gv *log_softmax(tape *t, const graph_args *args, gv *x)
{
    int64_t dim = -1;
    const jv *given = graph_argument(args, 1, "dim");
    gv *sum;

    if (given && !graph_integer(t, args, given, &dim))
        return NULL;
    sum = gv_reduce(t, x, &dim, 1, true, FOLD_LOGSUMEXP);
    return sum ? gv_map2(t, x, sum, do_sub) : NULL;
}

static gv *clamp(tape *t, const graph_args *args, gv *x)
{
    const jv *low = graph_argument(args, 1, "min"),
             *high = graph_argument(args, 2, "max");
    gv *bound;

    if (low) {
        bound = graph_tensor_of(t, args, low);
        x = bound ? gv_map2(t, x, bound, do_keep_low) : NULL;
    }
    if (x && high) {
        bound = graph_tensor_of(t, args, high);
        x = bound ? gv_map2(t, x, bound, do_keep_high) : NULL;
    }
    return x;
}

/* where(c, a, b): a derivative flows only through the chosen one. */
static gv *where(tape *t, gv *condition, gv *a, gv *b)
{
    gv *first = gv_map2(t, a, condition, do_first_where);
    gv *second = first ? gv_map2(t, b, condition, do_first_unless) : NULL;

    return second ? gv_map2(t, first, second, do_add) : NULL;
}

/* --- the table ------------------------------------------------------------------- */

typedef enum op_class {
    OP_MAP,
    OP_MAP2,
    OP_FOLD,
    OP_CLAMP,
    OP_CLAMP_MIN,
    OP_CLAMP_MAX,
    OP_WHERE,
    OP_FILL,
    OP_FULL,
    OP_ONES,
    OP_SOFTMAX,
    OP_LOG_SOFTMAX,
    OP_CUMSUM,
    OP_ITEM,
    OP_RESHAPE,
    OP_FLATTEN,
    OP_SQUEEZE,
    OP_UNSQUEEZE,
    OP_SIZE,
    OP_NUMEL,
    OP_ATTRIBUTE
} op_class;

struct graph_op {
    const char *name;
    op_class what;
    gv_unary *unary;
    gv_binary *binary; /* FOLD: with a second tensor (minimum of two) */
    gv_fold fold;
};

#define MAP(name, fn)                                                                    \
    {                                                                                    \
        name, OP_MAP, fn, NULL, FOLD_SUM                                                 \
    }
#define MAP2(name, fn)                                                                   \
    {                                                                                    \
        name, OP_MAP2, NULL, fn, FOLD_SUM                                                \
    }
#define FOLD(name, fold, binary)                                                         \
    {                                                                                    \
        name, OP_FOLD, NULL, binary, fold                                                \
    }
#define OWN(name, what)                                                                  \
    {                                                                                    \
        name, what, NULL, NULL, FOLD_SUM                                                 \
    }

static const graph_op ops[] = {
    MAP("neg", do_neg),
    MAP("negative", do_neg),
    MAP("pos", do_same),
    MAP("abs", do_abs),
    MAP("fabs", do_abs),
    MAP("exp", do_exp),
    MAP("expm1", do_expm1),
    MAP("log", do_log),
    MAP("log1p", do_log1p),
    MAP("sqrt", do_sqrt),
    MAP("rsqrt", do_rsqrt),
    MAP("square", do_square),
    MAP("reciprocal", do_reciprocal),
    MAP("sigmoid", do_sigmoid),
    MAP("tanh", do_tanh),
    MAP("relu", do_relu),
    MAP("softplus", do_softplus),
    MAP("logsigmoid", do_logsigmoid),
    MAP("sign", do_sign),
    MAP("floor", do_floor),
    MAP("ceil", do_ceil),
    MAP("long", do_trunc),
    MAP("int", do_trunc),
    MAP("bool", do_truth),
    MAP("logical_not", do_not),
    MAP("bitwise_not", do_not),
    MAP("invert", do_not),
    MAP("detach", do_detach),
    MAP("float", do_same),
    MAP("double", do_same),
    MAP("to", do_same),
    MAP("clone", do_same),
    MAP("contiguous", do_same),
    MAP("zeros_like", do_zero),
    MAP2("add", do_add),
    MAP2("sub", do_sub),
    MAP2("subtract", do_sub),
    MAP2("rsub", do_rsub),
    MAP2("mul", do_mul),
    MAP2("multiply", do_mul),
    MAP2("div", do_div),
    MAP2("divide", do_div),
    MAP2("truediv", do_div),
    MAP2("true_divide", do_div),
    MAP2("pow", do_pow),
    MAP2("minimum", do_minimum),
    MAP2("maximum", do_maximum),
    MAP2("gt", do_gt),
    MAP2("ge", do_ge),
    MAP2("lt", do_lt),
    MAP2("le", do_le),
    MAP2("eq", do_eq),
    MAP2("ne", do_ne),
    MAP2("and_", do_and),
    MAP2("logical_and", do_and),
    MAP2("bitwise_and", do_and),
    MAP2("or_", do_or),
    MAP2("logical_or", do_or),
    MAP2("bitwise_or", do_or),
    FOLD("sum", FOLD_SUM, NULL),
    FOLD("mean", FOLD_MEAN, NULL),
    FOLD("amax", FOLD_MAX, NULL),
    FOLD("amin", FOLD_MIN, NULL),
    FOLD("max", FOLD_MAX, do_maximum),
    FOLD("min", FOLD_MIN, do_minimum),
    FOLD("logsumexp", FOLD_LOGSUMEXP, NULL),
    OWN("clamp", OP_CLAMP),
    OWN("clip", OP_CLAMP),
    OWN("clamp_min", OP_CLAMP_MIN),
    OWN("clamp_max", OP_CLAMP_MAX),
    OWN("where", OP_WHERE),
    OWN("masked_fill", OP_FILL),
    OWN("full_like", OP_FULL),
    OWN("ones_like", OP_ONES),
    OWN("softmax", OP_SOFTMAX),
    OWN("log_softmax", OP_LOG_SOFTMAX),
    OWN("cumsum", OP_CUMSUM),
    OWN("getitem", OP_ITEM),
    OWN("reshape", OP_RESHAPE),
    OWN("view", OP_RESHAPE),
    OWN("flatten", OP_FLATTEN),
    OWN("squeeze", OP_SQUEEZE),
    OWN("unsqueeze", OP_UNSQUEEZE),
    OWN("size", OP_SIZE),
    OWN("numel", OP_NUMEL),
    OWN("getattr", OP_ATTRIBUTE),
};

const graph_op *graph_op_find(const char *target)
{
    const char *name = strrchr(target, '.');

    name = name ? name + 1 : target;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}

static gv *second(tape *t, const graph_args *args, const char *name)
{
    return graph_tensor_of(t, args, graph_argument(args, 1, name));
}

/* A constant in the shape of x. */
static gv *full(tape *t, gv *x, gv *value)
{
    gv *zero = value ? gv_map(t, x, do_zero) : NULL;

    return zero ? gv_map2(t, zero, value, do_add) : NULL;
}

static gv *apply_shaped(tape *t, const graph_op *op, const graph_args *args, gv *x)
{
    int64_t dim = 0;
    size_t n = x->n;
    const char *name;

    switch (op->what) {
    case OP_CUMSUM:
        return graph_integer(t, args, graph_argument(args, 1, "dim"), &dim)
                   ? gv_cumsum(t, x, dim)
                   : NULL;
    case OP_ITEM:
        return graph_getitem(t, args, x);
    case OP_RESHAPE:
        return graph_reshape(t, args, x);
    case OP_FLATTEN:
        return gv_pick(t, x, &n, 1, NULL);
    case OP_SQUEEZE:
    case OP_UNSQUEEZE:
        return graph_squeeze(t, args, x, op->what == OP_UNSQUEEZE);
    case OP_SIZE:
        return graph_size(t, args, x);
    case OP_NUMEL:
        return gv_number(t, (double)n);
    default: /* OP_ATTRIBUTE */
        name =
            args->n > 1 && args->items[1]->kind == JV_STRING ? args->items[1]->text : "";
        return strcmp(name, "shape") == 0 ? graph_size(t, &(graph_args){0}, x)
                                          : tape_fail(t, "shape is the only attribute");
    }
}

static gv *apply_valued(tape *t, const graph_op *op, const graph_args *args, gv *x)
{
    gv *y, *z;

    switch (op->what) {
    case OP_MAP2:
        y = second(t, args, "other");
        return y ? gv_map2(t, x, y, op->binary) : NULL;
    case OP_CLAMP:
        return clamp(t, args, x);
    case OP_CLAMP_MIN:
    case OP_CLAMP_MAX:
        y = second(t, args, op->what == OP_CLAMP_MIN ? "min" : "max");
        return y ? gv_map2(t, x, y, op->what == OP_CLAMP_MIN ? do_keep_low : do_keep_high)
                 : NULL;
    case OP_WHERE:
    case OP_FILL:
        y = second(t, args, op->what == OP_WHERE ? "input" : "mask");
        z = y ? graph_tensor_of(
                    t, args,
                    graph_argument(args, 2, op->what == OP_WHERE ? "other" : "value"))
              : NULL;
        return !z ? NULL : op->what == OP_WHERE ? where(t, x, y, z) : where(t, y, z, x);
    case OP_FULL:
        return full(t, x, second(t, args, "fill_value"));
    case OP_ONES:
        return full(t, x, gv_number(t, 1));
    case OP_LOG_SOFTMAX:
        return log_softmax(t, args, x);
    case OP_SOFTMAX:
        y = log_softmax(t, args, x);
        return y ? gv_map(t, y, do_exp) : NULL;
    default:
        return apply_shaped(t, op, args, x);
    }
}

gv *graph_op_apply(tape *t, const graph_op *op, const graph_args *args)
{
    gv *x = graph_tensor_of(
        t, args, graph_argument(args, 0, op->what == OP_WHERE ? "condition" : "input"));
    const jv *other = graph_argument(args, 1, "other");

    if (!x)
        return NULL;
    if (op->what == OP_MAP)
        return gv_map(t, x, op->unary);
    if (op->what == OP_FOLD && op->binary && other && jv_get_str(other, "ref")) {
        gv *y = graph_tensor_of(t, args, other);

        return y ? gv_map2(t, x, y, op->binary) : NULL;
    }
    if (op->what == OP_FOLD && op->binary && graph_argument(args, 1, "dim"))
        return tape_fail(t, "write amax or amin to fold a dimension");
    if (op->what == OP_FOLD)
        return reduce(t, args, x, op->fold);
    return apply_valued(t, op, args, x);
}
