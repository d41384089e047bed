/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph.c - a user's loss: checked when it comes, run node by node for each datum.
 */
#include "mock_server/graph.h"

#include <math.h>
#include <string.h>

#include "mock_server/graph_ops.h"

enum { MAX_RUN_BYTES = 1 << 30 };

static tkx_status bad(tkx_error **err, const char *what, const char *name)
{
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "custom loss: %s%s%.64s", what,
                     name ? ": " : "", name ? name : "");
}

/* --- reading --------------------------------------------------------------------- */

/* [a-z_][a-z0-9_]{0,63} */
static bool is_input_name(const char *name)
{
    size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;

    return n > 0 && n <= 64 && !name[n] && !(name[0] >= '0' && name[0] <= '9');
}

/* custom/[a-z0-9_./-]{1,64}:sum or :mean */
static bool is_metric_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    size_t n;

    if (strncmp(name, "custom/", 7) != 0 || !colon ||
        (strcmp(colon, ":sum") != 0 && strcmp(colon, ":mean") != 0))
        return false;
    n = strspn(name + 7, "abcdefghijklmnopqrstuvwxyz0123456789_./-");
    return n >= 1 && n <= 64 && name + 7 + n == colon;
}

static tkx_status read_inputs(const jv *list, graph *out, tkx_error **err)
{
    if (!list || list->kind != JV_ARRAY || list->n < 1 || list->n > GRAPH_MAX_INPUTS ||
        list->is_packed)
        return bad(err, "inputs: 1 to 16 are wanted", NULL);
    for (const jv *m = list->first; m; m = m->next) {
        graph_input *input = &out->inputs[out->n_inputs++];
        const char *name = jv_get_str(m, "name");

        if (!is_input_name(name))
            return bad(err, "a name of an input", name ? name : "(none)");
        if (!jv_i64(jv_get(m, "rank"), &input->rank) || input->rank < 0 ||
            input->rank > 2)
            return bad(err, "the rank of an input is 0, 1 or 2", name);
        memcpy(input->name, name, strlen(name) + 1);
    }
    if (strcmp(out->inputs[0].name, "logprobs") != 0 || out->inputs[0].rank < 1)
        return bad(err, "the first input is logprobs, of rank 1 or 2", NULL);
    return TKX_OK;
}

static tkx_status check_node(const jv *node, bool is_last, tkx_error **err)
{
    const char *op = jv_get_str(node, "op"), *target = jv_get_str(node, "target");

    if (!op || !target || !jv_get_str(node, "name"))
        return bad(err, "a node has op, name and target", NULL);
    if (is_last != (strcmp(op, "output") == 0))
        return bad(err, "the output is the last node", NULL);
    if (strcmp(op, "call_function") == 0 || strcmp(op, "call_method") == 0)
        return graph_op_find(target)
                   ? TKX_OK
                   : bad(err, "an operation that is not offered", target);
    if (is_last || strcmp(op, "placeholder") == 0)
        return TKX_OK;
    return bad(err, "a kind of node that is not offered", op);
}

/* The output's argument: (loss, {metric: value}). */
static const jv *output_part(tkx__arena *arena, const graph *g, size_t i)
{
    size_t n, n_parts;
    const jv **args = graph_list(arena, jv_get(g->nodes[g->n_nodes - 1], "args"), &n);
    const jv **parts = n == 1 ? graph_list(arena, args[0], &n_parts) : NULL;

    return parts && n_parts == 2 ? parts[i] : NULL;
}

static tkx_status read_metrics(tkx__arena *arena, graph *out, tkx_error **err)
{
    const jv *dict = jv_get(output_part(arena, out, 1), "dict");

    if (!jv_get_str(output_part(arena, out, 0), "ref") || !dict ||
        dict->kind != JV_OBJECT)
        return bad(err, "it returns a loss and a dict of metrics", NULL);
    if (dict->n > GRAPH_MAX_METRICS)
        return bad(err, "at most 32 metrics", NULL);
    for (const jv *m = dict->first; m; m = m->next) {
        if (!is_metric_name(m->key))
            return bad(err, "a metric is custom/<name>:sum or custom/<name>:mean",
                       m->key);
        memcpy(out->metrics[out->n_metrics++], m->key, strlen(m->key) + 1);
    }
    return TKX_OK;
}

tkx_status graph_read(tkx__arena *arena, const jv *body, graph *out, tkx_error **err)
{
    const jv *root = jv_get(body, "graph"), *nodes = jv_get(root, "nodes");
    int64_t format = 0;
    tkx_status st;

    memset(out, 0, sizeof *out);
    st = read_inputs(jv_get(body, "inputs"), out, err);
    if (st != TKX_OK)
        return st;
    if (!jv_i64(jv_get(root, "format"), &format) || format != 1)
        return bad(err, "graph.format 1 is wanted", NULL);
    if (!nodes || nodes->kind != JV_ARRAY || nodes->n < 1 || nodes->n > GRAPH_MAX_NODES ||
        nodes->is_packed)
        return bad(err, "graph.nodes: 1 to 1000 are wanted", NULL);
    out->nodes = tkx__arena_zalloc(arena, nodes->n, sizeof(const jv *));
    if (!out->nodes)
        return tkx__fail_memory(err);
    for (const jv *m = nodes->first; m && st == TKX_OK; m = m->next) {
        out->nodes[out->n_nodes++] = m;
        st = check_node(m, m->next == NULL, err);
    }
    return st == TKX_OK ? read_metrics(arena, out, err) : st;
}

/* --- running --------------------------------------------------------------------- */

typedef struct run {
    tape t;
    const graph *g;
    gv *inputs[GRAPH_MAX_INPUTS];
    gv **values; /* [n_nodes] */
    size_t n_done;
} run;

static gv *find_value(void *ctx, const char *name)
{
    run *r = ctx;

    for (size_t i = r->n_done; i-- > 0;)
        if (strcmp(jv_get_str(r->g->nodes[i], "name"), name) == 0)
            return r->values[i];
    return NULL;
}

static gv *find_input(run *r, const char *name)
{
    for (size_t i = 0; i < r->g->n_inputs; i++)
        if (strcmp(r->g->inputs[i].name, name) == 0)
            return r->inputs[i];
    return tape_fail(&r->t, "no such input");
}

static bool run_node(run *r, const jv *node)
{
    const char *target = jv_get_str(node, "target");
    graph_args args = {.named = jv_get(node, "kwargs"), .lookup = find_value, .ctx = r};
    gv *v;

    r->t.doing = target;
    args.items = graph_list(&r->t.arena, jv_get(node, "args"), &args.n);
    if (strcmp(jv_get_str(node, "op"), "placeholder") == 0)
        v = find_input(r, target);
    else
        v = graph_op_apply(&r->t, graph_op_find(target), &args);
    r->values[r->n_done++] = v;
    return v != NULL;
}

static bool take_inputs(run *r, const graph_tensor *inputs)
{
    r->t.doing = "inputs";
    for (size_t i = 0; i < r->g->n_inputs; i++) {
        gv *v = gv_new(&r->t, inputs[i].dims, inputs[i].n_dims);

        if (!v)
            return false;
        memcpy(v->data, inputs[i].data, v->n * sizeof *v->data);
        r->inputs[i] = v;
    }
    return true;
}

static bool take_number(run *r, const jv *part, gv **out)
{
    const char *name = jv_get_str(part, "ref");

    *out = name ? find_value(r, name) : NULL;
    if (*out && (*out)->n == 1)
        return true;
    tape_fail(&r->t, "the loss and every metric is one number");
    return false;
}

static bool finish(run *r, double *loss, double *gradient, double *metrics)
{
    const jv *dict = jv_get(output_part(&r->t.arena, r->g, 1), "dict");
    const gv *logprobs = r->inputs[0];
    size_t i = 0;
    gv *v;

    r->t.doing = "output";
    for (const jv *m = dict ? dict->first : NULL; m; m = m->next, i++) {
        if (!take_number(r, m, &v))
            return false;
        metrics[i] = v->data[0];
    }
    if (!take_number(r, output_part(&r->t.arena, r->g, 0), &v) || !gv_back(&r->t, v))
        return false;
    *loss = v->data[0];
    for (i = 0; i < logprobs->n; i++)
        gradient[i] = logprobs->grad ? logprobs->grad[i] : 0;
    return true;
}

tkx_status graph_run(const graph *g, const graph_tensor *inputs, double *loss,
                     double *gradient, double *metrics, tkx_error **err)
{
    tkx_error *why = NULL;
    run r = {.t = {.err = &why}, .g = g};
    bool ok;
    tkx_status st;

    tkx__arena_init(&r.t.arena, 65536, MAX_RUN_BYTES);
    r.t.doing = "graph";
    r.values = tape_take(&r.t, g->n_nodes, sizeof(gv *));
    ok = r.values && take_inputs(&r, inputs);
    for (size_t i = 0; ok && i + 1 < g->n_nodes; i++)
        ok = run_node(&r, g->nodes[i]);
    ok = ok && finish(&r, loss, gradient, metrics);
    tkx__arena_clear(&r.t.arena);
    if (ok)
        return TKX_OK;
    st = why ? tkx_error_status(why) : TKX_ERR_NO_MEMORY;
    if (err && why)
        *err = why;
    else if (err)
        tkx__fail_memory(err);
    else
        tkx_error_free(why);
    return st;
}
