/* SPDX-License-Identifier: Apache-2.0 */
/*
 * large.c - a real model named by a ref.json: its file lies beside it or in $TKX_MODELS.
 *
 * The recorded values were computed in float32: bound 2e-3 for the float32 path.  With
 * 8-bit activations logits differ by a few tenths, and argmax is compared where the
 * recorded margin is clear.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>
#include <openssl/evp.h>

#include "model/json_text.h"
#include "model/mapped.h"
#include "models/cases.h"
#include "models/checks.h"

#define EXACT_DIFF 2e-3
#define COARSE_RMS 0.25
#define COARSE_MARGIN 1.2

static bool is_file(const char *path)
{
    struct stat sb;

    return stat(path, &sb) == 0 && S_ISREG(sb.st_mode);
}

/* DIR/FILE or DIR/X/FILE. */
static bool find_below(const char *dir, const char *file, char *out, size_t size)
{
    DIR *handle = opendir(dir);
    struct dirent *entry;
    bool found = false;

    while (handle && !found && (entry = readdir(handle))) {
        if (strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(out, size, "%s/%s/%s", dir, entry->d_name, file);
        found = is_file(out);
    }
    if (handle)
        closedir(handle);
    return found;
}

static bool sha256_is(const char *path, const char *want)
{
    tkx__mapped mapped;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    bool ok;

    if (tkx__mapped_open(&mapped, path, NULL) != TKX_OK)
        return false;
    ok = EVP_Digest(mapped.data, mapped.size, digest, &n, EVP_sha256(), NULL) == 1;
    tkx__mapped_close(&mapped);
    for (unsigned i = 0; i < n; i++)
        snprintf(text + (size_t)2 * i, 3, "%02x", digest[i]);
    return ok && strcmp(text, want) == 0;
}

/* ---- one recorded case ---- */

static int64_t *ids_of(const cJSON *list, size_t *n)
{
    int64_t *ids;
    const cJSON *item;

    *n = 0;
    ids = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *ids);
    cJSON_ArrayForEach(item, list)
    {
        if (ids)
            ids[(*n)++] = (int64_t)item->valuedouble;
    }
    return ids;
}

static void add_value(distance *d, double got, double want)
{
    float g = (float)got;
    float w = (float)want;

    distance_add(d, &g, &w, 1);
}

static void compare_last(const rig *r, const cJSON *json, const float *row, distance *d)
{
    const cJSON *pair;
    const cJSON *sum = cJSON_GetObjectItem(json, "last_logsumexp");

    cJSON_ArrayForEach(pair, cJSON_GetObjectItem(json, "last_logits_top10"))
        add_value(d, (double)row[(size_t)cJSON_GetArrayItem(pair, 0)->valuedouble],
                  cJSON_GetArrayItem(pair, 1)->valuedouble);
    if (cJSON_IsNumber(sum))
        add_value(d, tkx__logsumexp(r->kernels, row, r->vocab_size), sum->valuedouble);
}

static void compare_prompt(const rig *r, const cJSON *json, const int64_t *ids, size_t n,
                           const float *logits, distance *d)
{
    const cJSON *logprobs = cJSON_GetObjectItem(json, "prompt_logprobs");
    const cJSON *tops = cJSON_GetObjectItem(json, "topk_prompt_logprobs");
    size_t i = 0;
    const cJSON *item;
    const cJSON *pair;

    cJSON_ArrayForEach(item, logprobs)
    {
        if (i > 0 && i < n && cJSON_IsNumber(item))
            add_value(d,
                      (double)tkx__sample_logprob(
                          r->sampler, logits + (i - 1) * r->vocab_size, ids[i]),
                      item->valuedouble);
        i++;
    }
    i = 0;
    cJSON_ArrayForEach(item, tops)
    {
        cJSON_ArrayForEach(pair, item)
        {
            if (i > 0 && i < n)
                add_value(d,
                          (double)tkx__sample_logprob(
                              r->sampler, logits + (i - 1) * r->vocab_size,
                              (int64_t)cJSON_GetArrayItem(pair, 0)->valuedouble),
                          cJSON_GetArrayItem(pair, 1)->valuedouble);
        }
        i++;
    }
}

/* Recorded tokens were fed; each must be on top of the row before it if its margin is
   clear.  Returns the first that is not, or -1. */
static int compare_greedy(const rig *r, const cJSON *json, const float *logits,
                          size_t n_prompt, double margin, distance *d)
{
    const cJSON *logprob = cJSON_GetObjectItem(json, "greedy_logprobs");
    const cJSON *gap = cJSON_GetObjectItem(json, "greedy_margins");
    const cJSON *token;
    int i = 0;

    logprob = logprob ? logprob->child : NULL;
    gap = gap ? gap->child : NULL;
    cJSON_ArrayForEach(token, cJSON_GetObjectItem(json, "greedy"))
    {
        const float *row = logits + (n_prompt + (size_t)i - 1) * r->vocab_size;
        int64_t id = (int64_t)token->valuedouble;

        if (!logprob || !gap)
            return i;
        if (gap->valuedouble > margin &&
            tkx__argmax(r->kernels, row, r->vocab_size) != (size_t)id)
            return i;
        add_value(d, (double)tkx__sample_logprob(r->sampler, row, id),
                  logprob->valuedouble);
        logprob = logprob->next;
        gap = gap->next;
        i++;
    }
    return -1;
}

static void check_case(rig *r, const cJSON *json, const char *name, conf_report *report)
{
    size_t n;
    size_t n_more;
    int64_t *ids = ids_of(cJSON_GetObjectItem(json, "ids"), &n);
    int64_t *more = ids_of(cJSON_GetObjectItem(json, "greedy"), &n_more);
    float *logits = calloc((n + n_more + 1) * r->vocab_size, sizeof *logits);
    bool is_exact = r->path == RIG_F32;
    distance d = {0};
    tkx_error *err = NULL;
    int wrong;

    rig_restart(r);
    if (!ids || !more || !logits || n == 0 ||
        rig_feed(r, ids, n, logits, &err) != TKX_OK ||
        rig_feed(r, more, n_more, logits + n * r->vocab_size, &err) != TKX_OK) {
        conf_fail(report, name, "%s", tkx_error_message(err));
        goto done;
    }
    compare_last(r, json, logits + (n - 1) * r->vocab_size, &d);
    compare_prompt(r, json, ids, n, logits, &d);
    wrong =
        compare_greedy(r, json, logits, n, is_exact ? 2 * EXACT_DIFF : COARSE_MARGIN, &d);
    if (wrong >= 0)
        conf_fail(report, name, "greedy token %d is not on top", wrong);
    else if (is_exact ? d.max > EXACT_DIFF : distance_rms(&d) > COARSE_RMS)
        conf_fail(report, name, "max %.3g, rms %.3g: %.7g, expected %.7g", d.max,
                  distance_rms(&d), (double)d.got, (double)d.want);
    else
        conf_pass(report, name);
done:
    tkx_error_free(err);
    free(logits);
    free(more);
    free(ids);
}

static void check_path(const char *path, const cJSON *json, const char *file,
                       rig_path way, conf_report *report)
{
    rig r;
    tkx_error *err = NULL;
    const cJSON *item;
    char name[600];
    int i = 0;

    snprintf(name, sizeof name, "%s %s", file, rig_path_name(way));
    if (rig_open(&r, path, way, &err) != TKX_OK) {
        conf_fail(report, name, "%s", tkx_error_message(err));
        tkx_error_free(err);
    } else {
        cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "cases"))
        {
            snprintf(name, sizeof name, "%s %s case %d", file, rig_path_name(way), i++);
            check_case(&r, item, name, report);
        }
    }
    rig_close(&r);
}

void large_case(const char *ref_json, conf_report *report)
{
    cJSON *json = NULL;
    tkx_error *err = NULL;
    const cJSON *file;
    const cJSON *sha;
    const char *models = getenv("TKX_MODELS");
    char path[4400];
    char dir[4200];

    if (tkx__json_text_read(ref_json, (size_t)64 << 20, &json, &err) != TKX_OK) {
        conf_fail(report, ref_json, "%s", tkx_error_message(err));
        tkx_error_free(err);
        return;
    }
    file = cJSON_GetObjectItem(json, "model");
    sha = cJSON_GetObjectItem(json, "sha256");
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(ref_json, '/') - ref_json), ref_json);
    if (!cJSON_IsString(file) || !cJSON_IsString(sha) || strchr(file->valuestring, '/'))
        conf_fail(report, ref_json, "names no model and sha256");
    else if (!find_below(dir, file->valuestring, path, sizeof path) &&
             !(models && find_below(models, file->valuestring, path, sizeof path)))
        conf_skip(report, file->valuestring,
                  "not beside %s nor in the folder $TKX_MODELS", ref_json);
    else if (!sha256_is(path, sha->valuestring))
        conf_fail(report, file->valuestring, "%s has another sha256", path);
    else {
        check_path(path, json, file->valuestring, RIG_F32, report);
        check_path(path, json, file->valuestring, RIG_FAST, report);
    }
    cJSON_Delete(json);
}
