/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_logits.c - a model's logits, continuations and draws against the recorded
 * ones.
 *
 * The training pass is asked for the logprob of every token (top-k targets with k = the
 * vocabulary), the sampling side for everything it offers: two arrangements of one model.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock_server/nn/sample.h"
#include "training_ref.h"

static const int prompts[] = {1, 7, 33, 70, 130};

static double log_sum_exp(const float *z, size_t n)
{
    double max = -INFINITY, sum = 0;

    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)z[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)z[i] - max);
    return max + log(sum);
}

/* Every logit of every position, by way of forward's logprobs (equal up to each row's
   constant). */
static void check_pass(train_world *w, nn_model *model, const char *what,
                       const int64_t *tokens, size_t n, const float *logits, size_t vocab)
{
    int64_t *targets = malloc(n * vocab * sizeof *targets);
    nn_datum d = {.tokens = tokens,
                  .n_tokens = n,
                  .targets = targets,
                  .n_targets = n * vocab,
                  .k = vocab,
                  .is_matrix = true};
    nn_loss loss = {.name = "cross_entropy"};
    nn_loss_result *r = NULL;
    double worst = 0, squares = 0;

    for (size_t i = 0; i < n * vocab; i++)
        targets[i] = (int64_t)(i % vocab);
    if (nn_model_forward(model, &d, 1, &loss, &r, NULL) != TKX_OK) {
        train_differs(w, "%s: forward failed", what);
        free(targets);
        return;
    }
    for (size_t t = 0; t < n; t++) {
        double lse = log_sum_exp(logits + t * vocab, vocab);

        for (size_t v = 0; v < vocab; v++) {
            double off = fabs((double)r->datums[0].logprobs[t * vocab + v] + lse -
                              (double)logits[t * vocab + v]);

            worst = off > worst || isnan(off) ? off : worst;
            squares += off * off;
        }
    }
    squares = sqrt(squares / (double)(n * vocab));
    if (!(worst <= 2e-4) || !(squares <= 2e-5))
        train_differs(w, "%s: logits off by %.3g (rms %.3g), limits 2e-4 (2e-5)", what,
                      worst, squares);
    nn_loss_result_free(r);
    free(targets);
}

static void check_numbers(train_world *w, const char *what, const float *have,
                          const float *want, size_t n, double limit)
{
    double worst = have && want ? train_worst(have, want, n) : INFINITY;

    if (!(worst <= limit))
        train_differs(w, "%s off by %.3g, limit %.3g", what, worst, limit);
}

static void check_tokens(train_world *w, const char *what, const int32_t *have,
                         size_t n_have, const int64_t *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (i >= n_have || have[i] != want[i]) {
            train_differs(w, "%s: token %zu is %d, expected %lld", what, i,
                          i < n_have ? (int)have[i] : -1, (long long)want[i]);
            return;
        }
}

/* One sampling request; false after train_differs(). */
static bool sample(train_world *w, nn_snapshot *snapshot, const nn_sample_request *q,
                   nn_sample_result *r)
{
    if (nn_sample(snapshot, q, 1, r, NULL) == TKX_OK && r->status == TKX_OK)
        return true;
    train_differs(w, "sample: %s", tkx_error_message(r->error));
    nn_sample_result_clear(r);
    return false;
}

static void check_greedy(train_world *w, const train_ref *ref, nn_snapshot *snapshot,
                         int p, const int64_t *tokens, size_t n)
{
    const tkx__tensor *t = train_find(ref, "p%d.greedy_tokens", p);
    const tkx__tensor *topk = train_find(ref, "p%d.topk_ids", p);
    int64_t *want = train_ints(t), *ids = train_ints(topk);
    float *logprobs = train_floats(train_find(ref, "p%d.greedy_logprobs", p));
    float *prompt = train_floats(train_find(ref, "p%d.logprobs", p));
    float *values = train_floats(train_find(ref, "p%d.topk_logprobs", p));
    nn_sample_request q = NN_SAMPLE_REQUEST_INIT;
    nn_sample_result r;

    q.prompt = tokens;
    q.n_prompt = n;
    q.max_tokens = t ? t->n_elements : 1;
    q.temperature = 0;
    q.use_default_stop = false;
    q.prompt_logprobs = prompt != NULL;
    q.topk_prompt = topk && topk->n_dims == 2 ? topk->dims[1] : 0;
    if ((t || prompt) && sample(w, snapshot, &q, &r)) {
        if (want)
            check_tokens(w, "greedy", r.sequences[0].tokens, r.sequences[0].n_tokens,
                         want, t->n_elements);
        if (want && logprobs)
            check_numbers(w, "greedy logprobs", r.sequences[0].logprobs, logprobs,
                          t->n_elements, 2e-4);
        if (prompt)
            check_numbers(w, "prompt logprobs", r.prompt_logprobs, prompt, n, 2e-4);
        if (ids) {
            check_tokens(w, "top-k", r.prompt_topk.tokens, n * q.topk_prompt, ids,
                         topk->n_elements);
            check_numbers(w, "top-k logprobs", r.prompt_topk.logprobs, values,
                          topk->n_elements, 2e-4);
        }
        nn_sample_result_clear(&r);
    }
    free(want);
    free(ids);
    free(logprobs);
    free(prompt);
    free(values);
}

static void check_draws(train_world *w, const train_ref *ref, nn_snapshot *snapshot)
{
    const tkx__tensor *table = train_find(ref, "sample.params");
    const tkx__tensor *prompt = train_find(ref, "p7.tokens");
    float *params = train_floats(table);
    int64_t *tokens = train_ints(prompt);

    for (size_t j = 0; params && tokens && j < table->dims[0]; j++) {
        const tkx__tensor *t = train_find(ref, "sample.%zu.tokens", j);
        int64_t *want = train_ints(t);
        int64_t *seed = train_ints(train_find(ref, "sample.%zu.seed", j));
        float *logprobs = train_floats(train_find(ref, "sample.%zu.logprobs", j));
        nn_sample_request q = NN_SAMPLE_REQUEST_INIT;
        nn_sample_result r;
        char what[64];

        snprintf(what, sizeof what, "draw %zu", j);
        q.prompt = tokens;
        q.n_prompt = prompt->n_elements;
        q.use_default_stop = false;
        q.temperature = (double)params[3 * j];
        q.top_k = (int64_t)params[3 * j + 1];
        q.top_p = (double)params[3 * j + 2];
        q.max_tokens = t ? t->n_elements : 1;
        if (!want || !seed || !logprobs) {
            train_differs(w, "sample.%zu is incomplete", j);
        } else {
            q.seed = (uint64_t)seed[0];
            if (sample(w, snapshot, &q, &r)) {
                check_tokens(w, what, r.sequences[0].tokens, r.sequences[0].n_tokens,
                             want, t->n_elements);
                check_numbers(w, what, r.sequences[0].logprobs, logprobs, t->n_elements,
                              2e-4);
                nn_sample_result_clear(&r);
            }
        }
        free(want);
        free(seed);
        free(logprobs);
    }
    free(params);
    free(tokens);
}

static void check_prompt(train_world *w, const train_ref *ref, nn_model *model,
                         nn_snapshot *snapshot, const char *prefix, int p)
{
    const tkx__tensor *t = train_find(ref, "%sp%d.tokens", prefix, p);
    const tkx__tensor *z = train_find(ref, "%sp%d.logits", prefix, p);
    int64_t *tokens = train_ints(t ? t : train_find(ref, "p%d.tokens", p));
    float *logits = train_floats(z);
    char what[64];

    snprintf(what, sizeof what, "%sp%d", prefix, p);
    if (tokens && logits && z->n_dims == 2)
        check_pass(w, model, what, tokens, z->dims[0], logits, z->dims[1]);
    if (tokens && t && !prefix[0])
        check_greedy(w, ref, snapshot, p, tokens, t->n_elements);
    free(tokens);
    free(logits);
}

/* Rank and scale of an adapter folder; false when it cannot be read. */
static bool read_adapter(const char *dir, nn_lora_options *options, char **bytes,
                         size_t *size)
{
    char path[4096];
    size_t n;
    char *text;
    cJSON *config;
    const cJSON *r, *alpha;
    bool ok;

    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    text = train_read(path, &n);
    config = text ? cJSON_Parse(text) : NULL;
    r = cJSON_GetObjectItemCaseSensitive(config, "r");
    alpha = cJSON_GetObjectItemCaseSensitive(config, "lora_alpha");
    ok = cJSON_IsNumber(r) && cJSON_IsNumber(alpha);
    if (ok) {
        options->rank = (size_t)r->valuedouble;
        options->alpha = alpha->valuedouble;
        options->use_rslora =
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(config, "use_rslora"));
    }
    cJSON_Delete(config);
    free(text);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    *bytes = train_read(path, size);
    return ok && *bytes;
}

/* Which groups an adapter's tensors are of. */
static void read_groups(const char *bytes, size_t size, nn_lora_options *options)
{
    tkx__safetensors *file = NULL;

    options->train_attn = options->train_mlp = options->train_unembed = false;
    if (tkx__safetensors_parse(bytes, size, "adapter", &file, NULL) != TKX_OK)
        return;
    for (size_t i = 0; i < tkx__safetensors_tensors(file)->n; i++) {
        const char *name = tkx__safetensors_tensors(file)->items[i].name;

        options->train_attn |= strstr(name, ".self_attn.") != NULL;
        options->train_mlp |= strstr(name, ".mlp.") != NULL;
        options->train_unembed |= strstr(name, ".unembed_tokens.") != NULL;
    }
    tkx__safetensors_free(file);
}

/* A model with the adapter of a folder, or (NULL) with one that adds nothing. */
static nn_model *load(train_world *w, const char *adapter_dir)
{
    nn_lora_options options = NN_LORA_OPTIONS_INIT;
    nn_model *model = NULL;
    tkx_error *err = NULL;
    char *bytes = NULL;
    size_t size = 0;
    bool ok = true;

    options.rank = 1;
    if (adapter_dir) {
        ok = read_adapter(adapter_dir, &options, &bytes, &size);
        if (ok)
            read_groups(bytes, size, &options);
    }
    if (!ok || nn_model_new(w->engine, w->base, &options, &model, &err) != TKX_OK ||
        (bytes && nn_model_load_state(model, bytes, size, 0, &err) != TKX_OK)) {
        train_differs(w, "adapter %s: %s", adapter_dir ? adapter_dir : "",
                      tkx_error_message(err));
        nn_model_free(model);
        model = NULL;
    }
    tkx_error_free(err);
    free(bytes);
    return model;
}

void train_check_logits(train_world *w, const char *ref_path, const char *prefix,
                        const char *adapter_dir)
{
    train_ref ref;
    nn_snapshot *snapshot = NULL;
    nn_model *model;

    if (!train_ref_open(&ref, ref_path)) {
        train_differs(w, "cannot read %s", ref_path);
        return;
    }
    model = load(w, adapter_dir);
    if (model && (adapter_dir ? nn_snapshot_of_model(model, &snapshot, NULL)
                              : nn_snapshot_of_base(w->engine, w->base, &snapshot,
                                                    NULL)) == TKX_OK) {
        for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++)
            check_prompt(w, &ref, model, snapshot, prefix, prompts[i]);
        if (!prefix[0])
            check_draws(w, &ref, snapshot);
    }
    nn_snapshot_unref(snapshot);
    nn_model_free(model);
    train_ref_close(&ref);
}
