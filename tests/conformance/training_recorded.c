/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_recorded.c - a real model's recorded logits and greedy text (a lone ref.json).
 *
 * The GGUF that it names lies beside it or in the folder TKX_MODELS; without it the case
 * is skipped.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "mock_server/nn/sample.h"
#include "training_ref.h"

enum { MAX_IDS = 4096, TOP = 10 };

static const double limit = 2e-3; /* absolute, of a float32 path */

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static size_t read_ids(const cJSON *array, int64_t *ids)
{
    const cJSON *item;
    size_t n = 0;

    cJSON_ArrayForEach(item, array)
    {
        if (n == MAX_IDS)
            return 0;
        ids[n++] = (int64_t)item->valuedouble;
    }
    return n;
}

static void check_near(train_world *w, const char *what, size_t i, double have,
                       double want)
{
    if (!(fabs(have - want) <= limit))
        train_differs(w, "%s[%zu] is %.7g, expected %.7g", what, i, have, want);
}

static void check_prompt(train_world *w, const cJSON *c, const nn_sample_result *r)
{
    const cJSON *row, *cell;
    size_t i = 0;

    cJSON_ArrayForEach(cell, get(c, "prompt_logprobs"))
    {
        if (cJSON_IsNumber(cell) && i < r->n_prompt)
            check_near(w, "prompt logprob", i, (double)r->prompt_logprobs[i],
                       cell->valuedouble);
        i++;
    }
    i = 0;
    cJSON_ArrayForEach(row, get(c, "topk_prompt_logprobs"))
    {
        size_t k = 0;

        cJSON_ArrayForEach(cell, row)
        {
            size_t at = i * r->prompt_topk.k + k++;

            if (i < r->n_prompt && k <= r->prompt_topk.k)
                check_near(w, "top-k prompt logprob", at,
                           (double)r->prompt_topk.logprobs[at],
                           cJSON_GetArrayItem(cell, 1)->valuedouble);
        }
        i++;
    }
}

static void check_greedy(train_world *w, const cJSON *c, const nn_sequence *s)
{
    double lse = get(c, "last_logsumexp")->valuedouble;
    const cJSON *item;
    size_t i = 0;

    cJSON_ArrayForEach(item, get(c, "last_logits_top10"))
    {
        if (i < s->topk.k) {
            if (s->topk.tokens[i] != cJSON_GetArrayItem(item, 0)->valueint)
                train_differs(w, "top logit %zu is of another token", i);
            check_near(w, "last logit", i, (double)s->topk.logprobs[i],
                       cJSON_GetArrayItem(item, 1)->valuedouble - lse);
        }
        i++;
    }
    i = 0;
    cJSON_ArrayForEach(item, get(c, "greedy"))
    {
        if (i >= s->n_tokens || s->tokens[i] != item->valueint) {
            train_differs(w, "greedy token %zu is %d, expected %d", i,
                          i < s->n_tokens ? (int)s->tokens[i] : -1, item->valueint);
            return;
        }
        check_near(w, "greedy logprob", i, (double)s->logprobs[i],
                   cJSON_GetArrayItem(get(c, "greedy_logprobs"), (int)i)->valuedouble);
        i++;
    }
}

static void check_case(train_world *w, nn_snapshot *snapshot, const cJSON *c)
{
    int64_t *ids = calloc(MAX_IDS, sizeof *ids);
    nn_sample_request q = NN_SAMPLE_REQUEST_INIT;
    nn_sample_result r;

    q.prompt = ids;
    q.n_prompt = read_ids(get(c, "ids"), ids);
    q.max_tokens = (size_t)cJSON_GetArraySize(get(c, "greedy"));
    q.temperature = 0;
    q.use_default_stop = false;
    q.prompt_logprobs = true;
    q.topk_prompt = 5;
    q.topk_sample = TOP;
    if (nn_sample(snapshot, &q, 1, &r, NULL) != TKX_OK || r.status != TKX_OK) {
        train_differs(w, "sample: %s", tkx_error_message(r.error));
    } else {
        check_prompt(w, c, &r);
        check_greedy(w, c, &r.sequences[0]);
    }
    nn_sample_result_clear(&r);
    free(ids);
}

void train_check_recorded(train_world *w, const cJSON *root)
{
    nn_snapshot *snapshot = NULL;
    const cJSON *c;
    char part[32];
    int i = 0;

    if (nn_snapshot_of_base(w->engine, w->base, &snapshot, NULL) != TKX_OK)
        return;
    cJSON_ArrayForEach(c, get(root, "cases"))
    {
        check_case(w, snapshot, c);
        snprintf(part, sizeof part, "case%d", i++);
        train_report(w, part);
    }
    nn_snapshot_unref(snapshot);
}
