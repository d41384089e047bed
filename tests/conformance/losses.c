/* SPDX-License-Identifier: Apache-2.0 */
/*
 * losses.c - tkx-conformance losses DIR: every *.json is one case; README.md there has
 * the format.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "conformance.h"
#include "kinds.h"
#include "losses_case.h"
#include "mock_server/nn/filter.h"
#include "mock_server/nn/optim.h"
#include "mock_server/nn/random.h"

enum { MAX_FILE = 1 << 20 };

static double tolerance_of(const cJSON *root)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "tolerance");

    return cJSON_IsNumber(item) ? item->valuedouble : 1e-9;
}

static double number(const cJSON *object, const char *key, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

size_t losses_numbers(const cJSON *array, double *out, size_t max)
{
    const cJSON *item;
    size_t n = 0;

    cJSON_ArrayForEach(item, array)
    {
        if (n == max || !cJSON_IsNumber(item))
            return SIZE_MAX;
        out[n++] = item->valuedouble;
    }
    return n;
}

static const char *run_adam(const cJSON *root, char *why, size_t size)
{
    const cJSON *steps = cJSON_GetObjectItemCaseSensitive(root, "gradients");
    const cJSON *expect = cJSON_GetObjectItemCaseSensitive(root, "expect");
    const cJSON *p = cJSON_GetObjectItemCaseSensitive(root, "adam_params");
    nn_optim_params params = {.learning_rate = number(p, "learning_rate", 1e-4),
                              .beta1 = number(p, "beta1", 0.9),
                              .beta2 = number(p, "beta2", 0.95),
                              .eps = number(p, "eps", 1e-12),
                              .weight_decay = number(p, "weight_decay", 0),
                              .grad_clip_norm = number(p, "grad_clip_norm", 0)};
    double theta[16], m[16] = {0}, v[16] = {0}, g[16], want[16];
    size_t n = losses_numbers(cJSON_GetObjectItemCaseSensitive(root, "theta"), theta, 16);

    if (n == 0 || n > 16 || cJSON_GetArraySize(steps) == 0 ||
        cJSON_GetArraySize(steps) != cJSON_GetArraySize(expect))
        return "theta, gradients and expect do not fit together";
    for (int s = 0; s < cJSON_GetArraySize(steps); s++) {
        double squares = 0;
        nn_adam a;

        if (losses_numbers(cJSON_GetArrayItem(steps, s), g, 16) != n ||
            losses_numbers(cJSON_GetArrayItem(expect, s), want, 16) != n)
            return "a step has another number of elements than theta";
        for (size_t i = 0; i < n; i++)
            squares += g[i] * g[i];
        a = nn_adam_begin(&params, s + 1,
                          nn_clip_factor(sqrt(squares), params.grad_clip_norm));
        for (size_t i = 0; i < n; i++) {
            theta[i] = nn_adam_one(&a, g[i], &m[i], &v[i], theta[i]);
            if (!(fabs(theta[i] - want[i]) <= tolerance_of(root))) {
                snprintf(why, size, "step %d: theta[%zu] is %.12g, expected %.12g", s + 1,
                         i, theta[i], want[i]);
                return why;
            }
        }
    }
    return NULL;
}

static const char *check_kept(const cJSON *expect, const nn_candidate *kept, size_t n)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(expect, "kept");

    if (!list)
        return NULL;
    if ((size_t)cJSON_GetArraySize(list) != n)
        return "another number of ids is kept";
    for (size_t i = 0; i < n; i++)
        if (cJSON_GetArrayItem(list, (int)i)->valueint != kept[i].id)
            return "another id is kept";
    return NULL;
}

static const char *run_filter(const cJSON *root, char *why, size_t size)
{
    const cJSON *expect = cJSON_GetObjectItemCaseSensitive(root, "expect");
    const cJSON *probs = cJSON_GetObjectItemCaseSensitive(expect, "probs");
    nn_filter filter = {number(root, "temperature", 1),
                        (int64_t)number(root, "top_k", -1), number(root, "top_p", 1)};
    double z[256], want[256], have[256] = {0};
    float logits[256];
    nn_candidate kept[256];
    size_t n = losses_numbers(cJSON_GetObjectItemCaseSensitive(root, "logits"), z, 256),
           m;

    if (n == 0 || n > 256)
        return "no logits";
    for (size_t i = 0; i < n; i++)
        logits[i] = (float)z[i];
    m = nn_filter_apply(&filter, logits, n, kept);
    for (size_t i = 0; i < m; i++)
        have[kept[i].id] = kept[i].p;
    if (!probs)
        return check_kept(expect, kept, m);
    if (losses_numbers(probs, want, 256) != n)
        return "probs has another length than logits";
    for (size_t i = 0; i < n; i++)
        if (!(fabs(have[i] - want[i]) <= tolerance_of(root))) {
            snprintf(why, size, "p[%zu] is %.12g, expected %.12g", i, have[i], want[i]);
            return why;
        }
    return check_kept(expect, kept, m);
}

static const char *run_random(const cJSON *root, char *why, size_t size)
{
    const cJSON *expect = cJSON_GetObjectItemCaseSensitive(root, "expect"), *item;
    const char *seed =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "seed"));
    nn_random random;
    char text[32];

    if (!seed || cJSON_GetArraySize(expect) == 0)
        return "no seed or no draws";
    random.state =
        seed[0] == '-' ? (uint64_t)strtoll(seed, NULL, 10) : strtoull(seed, NULL, 10);
    cJSON_ArrayForEach(item, expect)
    {
        snprintf(text, sizeof text, "%llu", (unsigned long long)nn_random_next(&random));
        if (!cJSON_IsString(item) || strcmp(text, item->valuestring) != 0) {
            snprintf(why, size, "drew %s, expected %s", text,
                     cJSON_IsString(item) ? item->valuestring : "?");
            return why;
        }
    }
    return NULL;
}

static const char *run_case(const cJSON *root, char *why, size_t size)
{
    const char *kind =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "kind"));

    if (kind && strcmp(kind, "loss") == 0)
        return losses_run_loss(root, tolerance_of(root), why, size);
    if (kind && strcmp(kind, "adam") == 0)
        return run_adam(root, why, size);
    if (kind && strcmp(kind, "filter") == 0)
        return run_filter(root, why, size);
    if (kind && strcmp(kind, "random") == 0)
        return run_random(root, why, size);
    return "unknown kind";
}

static void run_file(const char *dir, const char *name, conf_report *report)
{
    char path[4096], why[512], *text = malloc(MAX_FILE);
    FILE *file;
    size_t n;
    cJSON *root = NULL;
    const char *wrong;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "rb");
    n = text && file ? fread(text, 1, MAX_FILE - 1, file) : 0;
    if (text) {
        text[n] = '\0';
        root = cJSON_Parse(text);
    }
    wrong = root ? run_case(root, why, sizeof why) : "not readable as JSON";
    if (wrong)
        conf_fail(report, name, "%s", wrong);
    else
        conf_pass(report, name);
    cJSON_Delete(root);
    if (file)
        fclose(file);
    free(text);
}

static int is_json(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

int conf_losses(const char *dir, const conf_options *options, conf_report *report)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_json, alphasort);

    (void)options;
    if (n < 0) {
        perror(dir);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        run_file(dir, entries[i]->d_name, report);
        free(entries[i]);
    }
    free(entries);
    return 0;
}
