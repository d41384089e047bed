/* SPDX-License-Identifier: Apache-2.0 */
/*
 * custom_loss.c - between a pass, which works in threads, and a graph, which knows one
 * datum.
 *
 * Metrics are kept for each datum and added in the order of the datums, so that the sums
 * are the same bits for any number of threads.
 */
#include "mock_server/custom_loss.h"

#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/graph.h"

struct custom_loss {
    graph graph;
    nn_custom_loss nn;
    const nn_datum *datums;
    size_t n_datums;
    double *metrics; /* [n_datums, n_metrics] */
    pthread_mutex_t mutex;
    tkx_error *error; /* of the first datum that failed, by index */
    size_t failed_at;
};

static const nn_named_input *find_input(const nn_datum *d, const char *name)
{
    const nn_named_input *n = d->named;

    while (n && strcmp(n->name, name) != 0)
        n = n->next;
    return n;
}

static graph_tensor logprobs_of(const nn_datum *d, const double *l)
{
    return (graph_tensor){
        .data = l, .dims = {d->n_tokens, d->k}, .n_dims = d->is_matrix ? 2 : 1};
}

/* An input's numbers in double; the arena holds them. */
static bool take_input(tkx__arena *arena, const nn_datum *d, const graph_input *wanted,
                       graph_tensor *out)
{
    const nn_named_input *n = find_input(d, wanted->name);
    bool is_targets = !n && strcmp(wanted->name, "target_tokens") == 0;
    size_t count = n ? n->input.n : d->n_targets;
    double *data =
        n || is_targets ? tkx__arena_alloc(arena, count ? count : 1, sizeof *data) : NULL;

    if (!data)
        return false;
    for (size_t i = 0; i < count; i++)
        data[i] = n ? (double)n->input.data[i] : (double)d->targets[i];
    *out = !n ? logprobs_of(d, data)
              : (graph_tensor){.data = data,
                               .dims = {n->dims[0], n->dims[1]},
                               .n_dims = (size_t)wanted->rank};
    return true;
}

static void note_failure(custom_loss *c, size_t datum, tkx_error *err)
{
    pthread_mutex_lock(&c->mutex);
    if (!c->error || datum < c->failed_at) {
        tkx_error_free(c->error);
        c->error = err;
        c->failed_at = datum;
    } else {
        tkx_error_free(err);
    }
    pthread_mutex_unlock(&c->mutex);
}

static void eval(void *ctx, const nn_datum *d, const double *l, double *loss, double *g)
{
    custom_loss *c = ctx;
    size_t i = (size_t)(d - c->datums);
    graph_tensor inputs[GRAPH_MAX_INPUTS] = {logprobs_of(d, l)};
    tkx_error *err = NULL;
    tkx__arena arena;
    bool ok = true;

    tkx__arena_init(&arena, 65536, (size_t)1 << 30);
    for (size_t k = 1; ok && k < c->graph.n_inputs; k++)
        ok = take_input(&arena, d, &c->graph.inputs[k], &inputs[k]);
    if (!ok)
        tkx__fail_memory(&err);
    if (!ok || graph_run(&c->graph, inputs, loss, g, c->metrics + i * c->graph.n_metrics,
                         &err) != TKX_OK) {
        note_failure(c, i, err);
        *loss = 0;
        memset(g, 0, d->n_targets * sizeof *g);
    }
    tkx__arena_clear(&arena);
}

static tkx_status finish(void *ctx, tkx_error **err)
{
    custom_loss *c = ctx;

    if (!c->error)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "datum %zu: %s", c->failed_at,
                     tkx_error_message(c->error));
}

static tkx_status check_datum(const graph *g, const nn_datum *d, size_t i,
                              tkx_error **err)
{
    int64_t rank = d->is_matrix ? 2 : 1;

    if (g->inputs[0].rank != rank)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu: target_tokens has rank %lld, the custom loss takes "
                         "logprobs of rank %lld",
                         i, (long long)rank, (long long)g->inputs[0].rank);
    for (size_t k = 1; k < g->n_inputs; k++) {
        const graph_input *wanted = &g->inputs[k];
        const nn_named_input *n = find_input(d, wanted->name);

        if (!n && strcmp(wanted->name, "target_tokens") == 0 && wanted->rank == rank)
            continue;
        /* protobuf cannot tell a number from a list of one */
        if (!n || (n->n_dims != (size_t)wanted->rank &&
                   !(wanted->rank == 0 && n->input.n == 1)))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "datum %zu: the custom loss wants '%s' of rank %lld", i,
                             wanted->name, (long long)wanted->rank);
    }
    return TKX_OK;
}

/* The loss's upload, copied out of the records. */
static char *read_body(mock_server *srv, const char *session_id, const char *loss_id,
                       tkx__arena *arena)
{
    char *body = NULL;
    db_rows *rows;

    pthread_mutex_lock(&srv->lock);
    rows = db_query(srv->db, "SELECT body FROM losses WHERE loss_id=? AND session_id=?",
                    "ss", loss_id, session_id);
    if (db_next(rows)) {
        const char *text = db_text(rows, 0);
        body = text ? tkx__arena_strndup(arena, text, strlen(text)) : NULL;
        db_done(rows);
    }
    pthread_mutex_unlock(&srv->lock);
    return body;
}

static tkx_status open_graph(custom_loss *c, tkx__arena *arena, const char *body,
                             train_request *request, tkx_error **err)
{
    const jv *root;
    tkx_status st = jv_parse(arena, body, strlen(body), &root, err);

    if (st == TKX_OK)
        st = graph_read(arena, root, &c->graph, err);
    for (size_t i = 0; st == TKX_OK && i < request->n_datums; i++)
        st = check_datum(&c->graph, &request->datums[i], i, err);
    if (st != TKX_OK)
        return st;
    c->datums = request->datums;
    c->n_datums = request->n_datums;
    c->metrics = tkx__arena_zalloc(arena, request->n_datums * c->graph.n_metrics + 1,
                                   sizeof *c->metrics);
    if (!c->metrics)
        return tkx__fail_memory(err);
    c->nn = (nn_custom_loss){.eval = eval, .finish = finish, .ctx = c};
    request->loss.custom = &c->nn;
    return TKX_OK;
}

tkx_status custom_loss_open(mock_server *srv, const char *session_id, tkx__arena *arena,
                            train_request *request, custom_loss **out, tkx_error **err)
{
    const char *body;
    custom_loss *c;
    tkx_status st;

    *out = NULL;
    if (strcmp(request->loss.name, "custom") != 0 || !request->loss_id)
        return TKX_OK;
    body = read_body(srv, session_id, request->loss_id, arena);
    if (!body)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "loss_id %.64s: the session has no such custom loss",
                         request->loss_id);
    c = tkx__arena_zalloc(arena, 1, sizeof *c);
    if (!c)
        return tkx__fail_memory(err);
    st = open_graph(c, arena, body, request, err);
    if (st != TKX_OK)
        return st;
    pthread_mutex_init(&c->mutex, NULL);
    *out = c;
    return TKX_OK;
}

void custom_loss_report(const custom_loss *c, nn_loss_result *result)
{
    for (size_t m = 0; c && m < c->graph.n_metrics; m++) {
        const char *name = c->graph.metrics[m];
        double sum = 0;

        for (size_t i = 0; i < c->n_datums; i++)
            sum += c->metrics[i * c->graph.n_metrics + m];
        if (strcmp(strrchr(name, ':'), ":mean") == 0 && c->n_datums)
            sum /= (double)c->n_datums;
        if (result->n_metrics < NN_MAX_METRICS)
            result->metrics[result->n_metrics++] = (nn_metric){name, sum};
    }
}

void custom_loss_close(custom_loss *c)
{
    if (!c)
        return;
    tkx_error_free(c->error);
    pthread_mutex_destroy(&c->mutex);
}
