/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_steps.c - a training case: forward, every loss with its gradients, optimiser
 * scenarios, and finite differences.  The limits stand in the code.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "training_steps.h"

static const float *keep_floats(steps *s, const tkx__tensor *t)
{
    float *f = train_floats(t);

    s->blocks[s->n_blocks++] = f;
    return f;
}

static const int64_t *keep_ints(steps *s, const tkx__tensor *t)
{
    int64_t *v = train_ints(t);

    s->blocks[s->n_blocks++] = v;
    return v;
}

static bool read_datums(steps *s)
{
    for (size_t i = 0; i < MAX_DATUMS; i++) {
        const tkx__tensor *tokens = train_find(&s->ref, "d%zu.tokens", i);
        nn_datum *d = &s->datums[i];
        size_t n;

        if (!tokens)
            break;
        n = tokens->n_elements;
        *d = (nn_datum){.tokens = keep_ints(s, tokens), .n_tokens = n, .k = 1};
        d->targets = keep_ints(s, train_find(&s->ref, "d%zu.target_tokens", i));
        d->n_targets = n;
        d->weights =
            (nn_input){keep_floats(s, train_find(&s->ref, "d%zu.weights", i)), n};
        d->logprobs =
            (nn_input){keep_floats(s, train_find(&s->ref, "d%zu.logprobs", i)), n};
        d->advantages =
            (nn_input){keep_floats(s, train_find(&s->ref, "d%zu.advantages", i)), n};
        if (!d->tokens || !d->targets || !d->weights.data || !d->logprobs.data ||
            !d->advantages.data)
            return false;
        s->n_datums = i + 1;
    }
    return s->n_datums > 0;
}

static bool read_options(steps *s)
{
    char path[4096];
    size_t size;
    char *text;
    cJSON *config;
    const cJSON *r, *alpha;

    snprintf(path, sizeof path, "%s/train/init/adapter_config.json", s->w->dir);
    text = train_read(path, &size);
    config = text ? cJSON_Parse(text) : NULL;
    r = cJSON_GetObjectItemCaseSensitive(config, "r");
    alpha = cJSON_GetObjectItemCaseSensitive(config, "lora_alpha");
    s->options = (nn_lora_options)NN_LORA_OPTIONS_INIT;
    if (cJSON_IsNumber(r) && cJSON_IsNumber(alpha)) {
        s->options.rank = (size_t)r->valuedouble;
        s->options.alpha = alpha->valuedouble;
        s->options.use_rslora =
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(config, "use_rslora"));
    }
    cJSON_Delete(config);
    free(text);
    snprintf(path, sizeof path, "%s/train/init/adapter_model.safetensors", s->w->dir);
    s->init = train_read(path, &s->init_size);
    return s->init && alpha;
}

/* A fresh model with the starting adapter. */
nn_model *steps_new_model(steps *s)
{
    nn_model *model = NULL;
    tkx_error *err = NULL;
    tkx_status st = nn_model_new(s->w->engine, s->w->base, &s->options, &model, &err);

    if (st == TKX_OK)
        st = nn_model_load_state(model, s->init, s->init_size, 0, &err);
    if (st != TKX_OK) {
        train_differs(s->w, "starting adapter: %s", tkx_error_message(err));
        nn_model_free(model);
        model = NULL;
    }
    tkx_error_free(err);
    return model;
}

/* A loss as train.json spells it; cispo_0_4 is cispo with its own configuration. */
typedef struct loss_text {
    nn_loss loss;
    nn_loss_param params[MAX_PARAMS];
} loss_text;

static void read_loss(const char *name, const cJSON *entry, loss_text *out)
{
    const cJSON *item;

    *out = (loss_text){.loss = {.name = strncmp(name, "cispo", 5) == 0 ? "cispo" : name}};
    out->loss.params = out->params;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(entry, "loss_fn_config"))
    {
        if (out->loss.n_params < MAX_PARAMS)
            out->params[out->loss.n_params++] =
                (nn_loss_param){item->string, item->valuedouble};
    }
}

static void check_sum(steps *s, const char *what, const nn_loss_result *r, double want)
{
    double have = r->metrics[0].value, size = 0, limit;

    for (size_t i = 0; i < r->n_datums; i++)
        for (size_t t = 0; t < r->datums[i].n; t++)
            size += fabs((double)r->datums[i].elementwise[t]);
    limit = fmax(2e-5 * size, 1e-4);
    if (!(fabs(have - want) <= limit))
        train_differs(s->w, "%s: loss:sum is %.9g, expected %.9g within %.2g", what, have,
                      want, limit);
}

static double json_number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* Every A and B of the model against tensors PREFIX.NAME. */
typedef struct sweep {
    steps *s;
    const char *prefix;
    const float *values;
    double limit; /* absolute, or relative to the largest entry */
    bool is_relative;
    double outlier; /* what one entry in a thousand may have; 0: none may */
    size_t n_compared;
} sweep;

static bool compare_tensor(const nn_adapter_tensor *t, void *user_data)
{
    sweep *c = user_data;
    const char *short_name = t->name + strlen("base_model.model.");
    const tkx__tensor *ref = train_find(&c->s->ref, "%s.%s", c->prefix, short_name);
    float *want = train_floats(ref);
    double largest = 0, worst = 0, limit = c->limit;
    size_t n_beyond = 0;

    if (!want)
        return true;
    for (size_t i = 0; i < t->n; i++)
        largest = fmax(largest, fabs((double)want[i]));
    if (c->is_relative)
        limit *= largest;
    for (size_t i = 0; ref->n_elements == t->n && i < t->n; i++) {
        double d = fabs((double)c->values[t->offset + i] - (double)want[i]);

        if (c->outlier > 0 && d > limit && d <= c->outlier)
            n_beyond++;
        else
            worst = fmax(worst, isnan(d) ? INFINITY : d);
    }
    if (ref->n_elements != t->n)
        train_differs(c->s->w, "%s.%s: another number of elements", c->prefix,
                      short_name);
    else if (worst > limit || n_beyond * 1000 > t->n)
        train_differs(c->s->w, "%s.%s: off by %.3g, limit %.3g (%zu of %zu beyond)",
                      c->prefix, short_name, worst, limit, n_beyond, t->n);
    c->n_compared++;
    free(want);
    return true;
}

/* Tensors PREFIX.NAME all found their A or B?  A case without any says nothing. */
static void compare_all(steps *s, const nn_model *model, const float *values,
                        const char *prefix, double limit, bool is_relative,
                        double outlier)
{
    sweep c = {.s = s,
               .prefix = prefix,
               .values = values,
               .limit = limit,
               .is_relative = is_relative,
               .outlier = outlier};
    size_t n_recorded = 0, n = strlen(prefix);

    nn_adapter_each(&model->adapter, compare_tensor, &c);
    for (size_t i = 0; i < s->ref.tensors->n; i++) {
        const char *name = s->ref.tensors->items[i].name;

        n_recorded += strncmp(name, prefix, n) == 0 && name[n] == '.';
    }
    if (c.n_compared != n_recorded)
        train_differs(s->w, "%s: %zu recorded tensors, %zu of them in the adapter",
                      prefix, n_recorded, c.n_compared);
}

nn_loss_result *steps_run(steps *s, nn_model *model, const nn_datum *datums, size_t n,
                          const nn_loss *loss, bool with_gradient)
{
    nn_loss_result *r = NULL;
    tkx_error *err = NULL;
    tkx_status st = with_gradient
                        ? nn_model_forward_backward(model, datums, n, loss, &r, &err)
                        : nn_model_forward(model, datums, n, loss, &r, &err);

    if (st != TKX_OK)
        train_differs(s->w, "%s: %s", loss->name, tkx_error_message(err));
    tkx_error_free(err);
    return r;
}

static void check_logprobs(steps *s, const nn_loss_result *r)
{
    for (size_t i = 0; i < s->n_datums; i++) {
        const tkx__tensor *t = train_find(&s->ref, "d%zu.ref_logprobs", i);
        float *want = train_floats(t);
        double worst = want && t->n_elements == r->datums[i].n
                           ? train_worst(r->datums[i].logprobs, want, t->n_elements)
                           : INFINITY;

        if (worst > 1e-4)
            train_differs(s->w, "logprobs of datum %zu off by %.3g, limit 1e-4", i,
                          worst);
        free(want);
    }
}

static void check_elementwise(steps *s, const char *name, const nn_loss_result *r)
{
    for (size_t i = 0; i < s->n_datums; i++) {
        const tkx__tensor *t = train_find(&s->ref, "%s.d%zu.elementwise_loss", name, i);
        float *want = train_floats(t);
        double worst = want && t->n_elements == r->datums[i].n
                           ? train_worst(r->datums[i].elementwise, want, t->n_elements)
                           : INFINITY;

        if (worst > 1e-4)
            train_differs(s->w,
                          "%s: elementwise_loss of datum %zu off by %.3g, limit 1e-4",
                          name, i, worst);
        free(want);
    }
}

/* Over all datums; only cross_entropy's have weights. */
static nn_loss_result *run_named(steps *s, nn_model *model, const nn_datum *datums,
                                 size_t n, const nn_loss *loss)
{
    nn_datum copies[MAX_DATUMS];

    memcpy(copies, datums, n * sizeof *copies);
    for (size_t i = 0; strcmp(loss->name, "cross_entropy") != 0 && i < n; i++)
        copies[i].weights = (nn_input){NULL, 0};
    return steps_run(s, model, copies, n, loss, true);
}

/* One loss entry of train.json over all datums. */
static void check_loss(steps *s, const cJSON *entry)
{
    nn_model *model = steps_new_model(s);
    nn_loss_result *r = NULL;
    loss_text text;
    char prefix[128], part[160];
    double norm = json_number(entry, "grad_norm"), squares = 0;

    read_loss(entry->string, entry, &text);
    if (model)
        r = run_named(s, model, s->datums, s->n_datums, &text.loss);
    if (r) {
        check_logprobs(s, r);
        check_elementwise(s, entry->string, r);
        check_sum(s, entry->string, r, json_number(entry, "loss:sum"));
        snprintf(prefix, sizeof prefix, "%s.grad", entry->string);
        compare_all(s, model, model->gradient, prefix, 1e-4, true, 0);
        for (size_t i = 0; i < model->adapter.n_values; i++)
            squares += (double)model->gradient[i] * (double)model->gradient[i];
        if (!isnan(norm) && !(fabs(sqrt(squares) - norm) <= 1e-4 * norm))
            train_differs(s->w, "gradient norm is %.9g, expected %.9g", sqrt(squares),
                          norm);
    }
    snprintf(part, sizeof part, "train/%s", entry->string);
    train_report(s->w, part);
    nn_loss_result_free(r);
    nn_model_free(model);
}

static void check_topk(steps *s, const cJSON *entry)
{
    nn_model *model = steps_new_model(s);
    const tkx__tensor *targets = train_find(&s->ref, "cross_entropy_topk.target_tokens");
    const tkx__tensor *logprobs = train_find(&s->ref, "cross_entropy_topk.ref_logprobs");
    size_t which = (size_t)json_number(entry, "datum"), n_blocks = s->n_blocks;
    nn_datum d = s->datums[which < s->n_datums ? which : 0];
    nn_loss loss = {.name = "cross_entropy"};
    float *want = train_floats(logprobs);
    nn_loss_result *r = NULL;

    if (!targets || targets->n_dims != 2 || targets->dims[0] != d.n_tokens || !want) {
        train_differs(s->w, "cross_entropy_topk.target_tokens or logprobs unfit");
    } else if (model) {
        d.k = targets->dims[1];
        d.is_matrix = true;
        d.n_targets = targets->n_elements;
        d.targets = keep_ints(s, targets);
        d.weights =
            (nn_input){keep_floats(s, train_find(&s->ref, "cross_entropy_topk.weights")),
                       d.n_targets};
        r = steps_run(s, model, &d, 1, &loss, true);
    }
    if (r) {
        double worst = train_worst(r->datums[0].logprobs, want, d.n_targets);

        if (worst > 1e-4)
            train_differs(s->w, "logprobs off by %.3g, limit 1e-4", worst);
        check_sum(s, "cross_entropy_topk", r, json_number(entry, "loss:sum"));
        compare_all(s, model, model->gradient, "cross_entropy_topk.grad", 1e-4, true, 0);
    }
    train_report(s->w, "train/cross_entropy_topk");
    while (s->n_blocks > n_blocks)
        free(s->blocks[--s->n_blocks]);
    free(want);
    nn_loss_result_free(r);
    nn_model_free(model);
}

static bool zero_b(const nn_adapter_tensor *t, void *user_data)
{
    if (strstr(t->name, ".lora_B."))
        memset((float *)user_data + t->offset, 0, t->n * sizeof(float));
    return true;
}

/* The calls of one step, their losses, then the step. */
static bool replay_step(steps *s, nn_model *model, const cJSON *step,
                        const nn_optim_params *params)
{
    const cJSON *call, *item;
    double want = json_number(step, "grad_norm");
    nn_step_result result;

    cJSON_ArrayForEach(call, cJSON_GetObjectItemCaseSensitive(step, "forward_backward"))
    {
        const char *name =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(call, "loss_fn"));
        nn_datum datums[MAX_DATUMS];
        size_t n = 0;
        loss_text text;
        nn_loss_result *r;

        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(call, "datums"))
        {
            if (n < MAX_DATUMS && item->valueint >= 0 &&
                (size_t)item->valueint < s->n_datums)
                datums[n++] = s->datums[item->valueint];
        }
        read_loss(name ? name : "", call, &text);
        r = run_named(s, model, datums, n, &text.loss);
        if (!r)
            return false;
        check_sum(s, name, r, json_number(call, "loss:sum"));
        nn_loss_result_free(r);
    }
    if (nn_model_optim_step(model, params, &result, NULL) != TKX_OK) {
        train_differs(s->w, "optim_step refused");
        return false;
    }
    if (!(fabs(result.grad_norm - want) <= 1e-4 * want))
        train_differs(s->w, "step %lld: gradient norm is %.9g, expected %.9g",
                      (long long)result.step, result.grad_norm, want);
    return true;
}

static void check_scenario(steps *s, const cJSON *entry)
{
    const char *name = entry->string + strlen("adam_");
    bool is_tame = strcmp(name, "tame") == 0;
    nn_model *model = steps_new_model(s);
    nn_optim_params params = {.learning_rate = json_number(entry, "lr"),
                              .beta1 = json_number(entry, "beta1"),
                              .beta2 = json_number(entry, "beta2"),
                              .eps = json_number(entry, "eps"),
                              .weight_decay = json_number(entry, "weight_decay"),
                              .grad_clip_norm = json_number(entry, "grad_clip_norm")};
    const cJSON *step;
    int k = 0;
    char prefix[128], part[160];

    if (model &&
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(entry, "lora_B_starts_at_zero")))
        nn_adapter_each(&model->adapter, zero_b, model->adapter.values);
    cJSON_ArrayForEach(step, cJSON_GetObjectItemCaseSensitive(entry, "steps"))
    {
        double limit = is_tame ? (k == 0 ? 2e-6 : 5e-6) : (k == 0 ? 1e-8 : 5e-6);

        if (!model || !replay_step(s, model, step, &params))
            break;
        k++;
        snprintf(prefix, sizeof prefix, "adam.%s.step%d", name, k);
        compare_all(s, model, model->adapter.values, prefix, limit, false,
                    is_tame ? 0 : 2 * params.learning_rate * k);
    }
    snprintf(part, sizeof part, "train/%s", entry->string);
    train_report(s->w, part);
    nn_model_free(model);
}

void train_check_steps(train_world *w)
{
    steps s = {.w = w};
    char path[4096];
    size_t size;
    char *text;
    const cJSON *entry;

    snprintf(path, sizeof path, "%s/train/ref.safetensors", w->dir);
    if (!train_ref_open(&s.ref, path))
        train_differs(w, "cannot read %s", path);
    snprintf(path, sizeof path, "%s/train/train.json", w->dir);
    text = train_read(path, &size);
    s.json = text ? cJSON_Parse(text) : NULL;
    if (!s.json || !s.ref.file || !read_datums(&s) || !read_options(&s)) {
        train_differs(w, "train/ has no readable case");
        train_report(w, "train");
    } else {
        cJSON_ArrayForEach(entry, s.json)
        {
            if (strncmp(entry->string, "adam_", 5) == 0)
                check_scenario(&s, entry);
            else if (strcmp(entry->string, "cross_entropy_topk") == 0)
                check_topk(&s, entry);
            else
                check_loss(&s, entry);
        }
        steps_check_differences(&s);
    }
    while (s.n_blocks > 0)
        free(s.blocks[--s.n_blocks]);
    cJSON_Delete(s.json);
    free(s.init);
    free(text);
    train_ref_close(&s.ref);
}
