/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spending.c - reservations become use; both together must fit the budget.
 *
 * Models have a row each, reservations are in a hash table by the address of the future,
 * so that a sample's own struct need not grow for it.  One lock for all: a call takes it
 * twice.
 */
#include "client/spending.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/context.h"
#include "client/prices.h"

#define MAX_MODELS 64
#define UNKNOWN_MODEL "unknown"
#define MAX_CHARGE (INT64_C(1) << 40) /* of a kind in one call: sums never overflow */

typedef struct model_row {
    char *name;
    const tkx__price *price; /* NULL: none */
    tkx__charge used;
} model_row;

typedef struct reservation {
    struct reservation *next; /* in its bucket */
    const tkx_future *future;
    model_row *model;
    tkx__charge charge;
} reservation;

struct tkx__spending {
    pthread_mutex_t lock;
    tkx_spending_options options;
    tkx__prices prices;
    bool has_prices;
    model_row models[MAX_MODELS]; /* the last one takes what has no room */
    size_t n_models;
    tkx__charge reserved;
    double reserved_cost, cost;
    int64_t n_unpriced;
    uint64_t n_refused;
    reservation **buckets; /* [n_buckets], a power of two */
    size_t n_buckets, n_reservations;
};

const char *tkx_token_kind_name(tkx_token_kind kind)
{
    static const char *const names[] = {"prefill", "sample", "train", "forward"};

    return (unsigned)kind < TKX_N_TOKEN_KINDS ? names[kind] : "unknown";
}

/* --- sums ------------------------------------------------------------------------ */

static int64_t total(const tkx__charge *c)
{
    int64_t n = 0;

    for (int i = 0; i < TKX_N_TOKEN_KINDS; i++)
        n += c->n_tokens[i];
    return n;
}

static void add(tkx__charge *to, const tkx__charge *c, int sign)
{
    for (int i = 0; i < TKX_N_TOKEN_KINDS; i++)
        to->n_tokens[i] += sign * c->n_tokens[i];
}

/* n_unpriced: tokens that have no price. */
static double cost_of(const model_row *m, const tkx__charge *c, int64_t *n_unpriced)
{
    double cost = 0;

    *n_unpriced = 0;
    for (int i = 0; i < TKX_N_TOKEN_KINDS; i++) {
        if (m->price && m->price->has[i])
            cost += m->price->per_token[i] * (double)c->n_tokens[i];
        else
            *n_unpriced += c->n_tokens[i];
    }
    return cost;
}

static model_row *row_of(tkx__spending *s, const char *name)
{
    for (size_t i = 0; i < s->n_models; i++)
        if (strcmp(s->models[i].name, name) == 0)
            return &s->models[i];
    if (s->n_models == MAX_MODELS)
        return &s->models[MAX_MODELS - 1];
    model_row *m = &s->models[s->n_models];
    m->name = tkx__strdup(name);
    if (!m->name)
        return NULL;
    m->price = s->has_prices ? tkx__prices_find(&s->prices, name) : NULL;
    s->n_models++;
    return m;
}

/* --- reservations ---------------------------------------------------------------- */

static size_t bucket_of(const tkx__spending *s, const tkx_future *future)
{
    uint64_t h = (uint64_t)(uintptr_t)future * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(h >> 32) & (s->n_buckets - 1);
}

static bool make_room(tkx__spending *s)
{
    size_t n = s->n_buckets ? s->n_buckets * 2 : 64;
    reservation **old = s->buckets;
    size_t n_old = s->n_buckets;

    if (s->n_reservations < s->n_buckets)
        return true;
    reservation **buckets = tkx__calloc(n, sizeof(void *));
    if (!buckets)
        return s->n_buckets > 0; /* it only gets slower */
    s->buckets = buckets;
    s->n_buckets = n;
    for (size_t i = 0; i < n_old; i++)
        while (old[i]) {
            reservation *r = old[i];
            size_t to = bucket_of(s, r->future);
            old[i] = r->next;
            r->next = buckets[to];
            buckets[to] = r;
        }
    tkx__free(old);
    return true;
}

static reservation *take(tkx__spending *s, const tkx_future *future)
{
    if (!s->n_buckets)
        return NULL;
    for (reservation **at = &s->buckets[bucket_of(s, future)]; *at; at = &(*at)->next)
        if ((*at)->future == future) {
            reservation *r = *at;
            *at = r->next;
            s->n_reservations--;
            return r;
        }
    return NULL;
}

/* --- the budget ------------------------------------------------------------------ */

static int64_t used_tokens(const tkx__spending *s)
{
    int64_t n = 0;

    for (size_t i = 0; i < s->n_models; i++)
        n += total(&s->models[i].used);
    return n;
}

static tkx_status check(tkx__spending *s, const model_row *m, const tkx__charge *c,
                        tkx_error **err)
{
    const tkx_spending_options *o = &s->options;
    int64_t unpriced;
    int64_t used = used_tokens(s), reserved = total(&s->reserved), more = total(c);
    double cost = cost_of(m, c, &unpriced);

    if (o->max_tokens > 0 && used + reserved + more > o->max_tokens)
        return tkx__fail(err, TKX_ERR_BUDGET,
                         "budget: this call may use %" PRId64 " tokens; %" PRId64
                         " of %" PRId64 " are used and %" PRId64
                         " promised to calls in flight; nothing was sent",
                         more, used, o->max_tokens, reserved);
    if (o->max_cost > 0 && unpriced > 0)
        return tkx__fail(err, TKX_ERR_BUDGET,
                         "budget: %s has no price for all of this call in %s, so its "
                         "cost cannot be held to %g %s; nothing was sent",
                         m->name, o->prices_path, o->max_cost, s->prices.currency);
    if (o->max_cost > 0 && s->cost + s->reserved_cost + cost > o->max_cost)
        return tkx__fail(err, TKX_ERR_BUDGET,
                         "budget: this call may cost %.6g %s; %.6g of %.6g are spent and "
                         "%.6g promised to calls in flight; nothing was sent",
                         cost, s->prices.currency, s->cost, o->max_cost,
                         s->reserved_cost);
    return TKX_OK;
}

/* A max_tokens like INT64_MAX means "as many as there are". */
static tkx__charge bounded(const tkx__charge *c)
{
    tkx__charge b = *c;

    for (int i = 0; i < TKX_N_TOKEN_KINDS; i++)
        if (b.n_tokens[i] > MAX_CHARGE)
            b.n_tokens[i] = MAX_CHARGE;
    return b;
}

static tkx_status reserve(tkx__spending *s, const tkx_future *future, const char *model,
                          const tkx__charge *c, tkx_error **err)
{
    model_row *m = row_of(s, model ? model : UNKNOWN_MODEL);
    int64_t unpriced;

    if (!m)
        return tkx__fail_memory(err);
    tkx_status st = check(s, m, c, err);
    if (st != TKX_OK) {
        s->n_refused++;
        return st;
    }
    reservation *r = make_room(s) ? tkx__malloc(sizeof *r) : NULL;
    if (!r)
        return tkx__fail_memory(err);
    size_t bucket = bucket_of(s, future);
    *r = (reservation){s->buckets[bucket], future, m, *c};
    s->buckets[bucket] = r;
    s->n_reservations++;
    add(&s->reserved, c, 1);
    s->reserved_cost += cost_of(m, c, &unpriced);
    return TKX_OK;
}

tkx_status tkx__spending_reserve(tkx_context *context, const tkx_future *future,
                                 const char *model, const tkx__charge *charge,
                                 tkx_error **err)
{
    tkx__spending *s = tkx__context_spending(context);

    if (!s)
        return TKX_OK;
    pthread_mutex_lock(&s->lock);
    const tkx__charge c = bounded(charge);
    tkx_status st = reserve(s, future, model, &c, err);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void end(tkx_context *context, const tkx_future *future, bool is_used,
                const tkx__charge *used)
{
    tkx__spending *s = tkx__context_spending(context);
    int64_t unpriced;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    reservation *r = take(s, future);
    if (r) {
        add(&s->reserved, &r->charge, -1);
        s->reserved_cost -= cost_of(r->model, &r->charge, &unpriced);
        if (s->n_reservations == 0)
            s->reserved_cost = 0; /* sums of floats do not come back exactly */
    }
    if (r && is_used) {
        tkx__charge c = r->charge;
        for (int i = 0; used && i < TKX_N_TOKEN_KINDS; i++)
            if (used->n_tokens[i] >= 0)
                c.n_tokens[i] = used->n_tokens[i];
        add(&r->model->used, &c, 1);
        s->cost += cost_of(r->model, &c, &unpriced);
        s->n_unpriced += unpriced;
    }
    pthread_mutex_unlock(&s->lock);
    tkx__free(r);
}

void tkx__spending_use(tkx_context *context, const tkx_future *future,
                       const tkx__charge *used)
{
    end(context, future, true, used);
}

void tkx__spending_drop(tkx_context *context, const tkx_future *future)
{
    end(context, future, false, NULL);
}

/* --- life ------------------------------------------------------------------------ */

tkx_status tkx__spending_new(const tkx_spending_options *options, tkx__spending **out,
                             tkx_error **err)
{
    if (options->max_tokens < 0 || !(options->max_cost >= 0))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_spending_options: a limit is negative");
    if (options->max_cost > 0 && !options->prices_path)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_spending_options: max_cost needs prices_path");
    tkx__spending *s = tkx__calloc(1, sizeof *s);
    if (!s)
        return tkx__fail_memory(err);
    pthread_mutex_init(&s->lock, NULL);
    s->options = *options;
    s->options.prices_path = NULL;
    if (options->prices_path) {
        tkx_status st = tkx__prices_read(options->prices_path, &s->prices, err);
        if (st == TKX_OK &&
            !(s->options.prices_path = tkx__arena_strndup(
                  &s->prices.arena, options->prices_path, strlen(options->prices_path))))
            st = tkx__fail_memory(err);
        s->has_prices = st == TKX_OK;
        if (st != TKX_OK) {
            tkx__spending_free(s);
            return st;
        }
    }
    *out = s;
    return TKX_OK;
}

void tkx__spending_free(tkx__spending *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_buckets; i++)
        while (s->buckets[i]) {
            reservation *r = s->buckets[i];
            s->buckets[i] = r->next;
            tkx__free(r);
        }
    for (size_t i = 0; i < s->n_models; i++)
        tkx__free(s->models[i].name);
    tkx__free(s->buckets);
    tkx__prices_clear(&s->prices);
    pthread_mutex_destroy(&s->lock);
    tkx__free(s);
}

/* --- looking --------------------------------------------------------------------- */

tkx_status tkx_spending_look(const tkx_context *context, tkx_spending_info *info,
                             tkx_error **err)
{
    tkx__spending *s = context ? tkx__context_spending(context) : NULL;
    tkx_spending_info all = TKX_SPENDING_INFO_INIT;

    if (!info || info->struct_size < sizeof info->struct_size)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_spending_look: start from TKX_SPENDING_INFO_INIT");
    if (!s)
        return tkx__fail(err, TKX_ERR_INVALID_STATE,
                         "the context counts no spending: give "
                         "tkx_context_options.spending");
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_models; i++)
        for (int k = 0; k < TKX_N_TOKEN_KINDS; k++)
            all.n_tokens[k] += s->models[i].used.n_tokens[k];
    all.cost = s->cost;
    all.n_unpriced = s->n_unpriced;
    all.reserved_tokens = total(&s->reserved);
    all.reserved_cost = s->reserved_cost;
    all.n_refused = s->n_refused;
    memcpy(all.currency, s->prices.currency, sizeof all.currency);
    pthread_mutex_unlock(&s->lock);
    all.struct_size = info->struct_size; /* a shorter struct gets what it knows */
    memcpy(info, &all, all.struct_size < sizeof all ? all.struct_size : sizeof all);
    return TKX_OK;
}

/* A label's value: quotes and backslashes are escaped. */
static void put_label(tkx__buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            tkx__buf_putc(out, '\\');
        tkx__buf_putc(out, *text == '\n' ? ' ' : *text);
    }
}

void tkx__spending_write_text(tkx__spending *s, tkx__buf *out)
{
    int64_t unpriced;

    pthread_mutex_lock(&s->lock);
    tkx__buf_puts(out, "# HELP tkx_tokens_total Tokens used, by model and kind.\n"
                       "# TYPE tkx_tokens_total counter\n");
    for (size_t i = 0; i < s->n_models; i++)
        for (int k = 0; k < TKX_N_TOKEN_KINDS; k++) {
            tkx__buf_puts(out, "tkx_tokens_total{model=\"");
            put_label(out, s->models[i].name);
            tkx__buf_printf(out, "\",kind=\"%s\"} %" PRId64 "\n",
                            tkx_token_kind_name((tkx_token_kind)k),
                            s->models[i].used.n_tokens[k]);
        }
    if (s->has_prices) {
        tkx__buf_puts(out, "# HELP tkx_cost_total Cost of them by the user's prices.\n"
                           "# TYPE tkx_cost_total counter\n");
        for (size_t i = 0; i < s->n_models; i++) {
            tkx__buf_puts(out, "tkx_cost_total{model=\"");
            put_label(out, s->models[i].name);
            tkx__buf_puts(out, "\",currency=\"");
            put_label(out, s->prices.currency);
            tkx__buf_printf(out, "\"} %.9g\n",
                            cost_of(&s->models[i], &s->models[i].used, &unpriced));
        }
    }
    tkx__buf_printf(out,
                    "# HELP tkx_budget_refused_total Calls that the budget stopped.\n"
                    "# TYPE tkx_budget_refused_total counter\n"
                    "tkx_budget_refused_total %" PRIu64 "\n",
                    s->n_refused);
    pthread_mutex_unlock(&s->lock);
}
