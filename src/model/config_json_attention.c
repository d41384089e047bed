/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_json_attention.c - rotation and windows of attention, from config.json.
 *
 * Both spellings of the rotation are read: rope_theta with rope_scaling, and
 * rope_parameters.  Defaults are those of the library that writes these files.
 */
#include <string.h>

#include "base/error.h"
#include "model/config_json_in.h"

typedef tkx__config_reader reader;

#define DEFAULT_WINDOW 4096
#define DEFAULT_FULL_LAYERS 28

/* ---- rotation ---- */

/* The context before scaling: a key of its own wins, else the rotation's, else all. */
static void read_original(reader *r, const cJSON *object, tkx__model_config *c)
{
    static const char key[] = "original_max_position_embeddings";

    tkx__config_number_or(r, object, key, &c->rope.original_max_positions,
                          (double)c->max_positions);
    tkx__config_number_or(r, r->json, key, &c->rope.original_max_positions,
                          c->rope.original_max_positions);
}

/* 0 in place of a number means its default. */
static void read_turns(reader *r, const cJSON *object, const char *key, double *out,
                       double otherwise)
{
    tkx__config_number_or(r, object, key, out, otherwise);
    if (*out == 0)
        *out = otherwise;
}

static double magnitude_of(double factor, double scale)
{
    return (tkx__rope_yarn_magnitude(factor) - 1) * scale + 1;
}

static void read_yarn(reader *r, const cJSON *object, tkx__model_config *c)
{
    tkx__rope_config *rope = &c->rope;
    double mscale;
    double mscale_all;
    double magnitude;

    if (!tkx__config_get(object, "factor"))
        rope->factor = (double)c->max_positions / rope->original_max_positions;
    read_turns(r, object, "beta_fast", &rope->beta_fast, 32);
    read_turns(r, object, "beta_slow", &rope->beta_slow, 1);
    rope->is_ramp_exact = !tkx__config_flag(r, object, "truncate", true);
    tkx__config_number_or(r, object, "mscale", &mscale, 0);
    tkx__config_number_or(r, object, "mscale_all_dim", &mscale_all, 0);
    magnitude = tkx__rope_yarn_magnitude(rope->factor);
    if (mscale != 0 && mscale_all != 0)
        magnitude =
            magnitude_of(rope->factor, mscale) / magnitude_of(rope->factor, mscale_all);
    tkx__config_number_or(r, object, "attention_factor", &rope->magnitude, magnitude);
    c->max_positions = tkx__rope_yarn_reach(rope, c->max_positions);
}

static void read_scaling(reader *r, const cJSON *object, tkx__model_config *c)
{
    const cJSON *type = tkx__config_get(object, "rope_type");
    tkx__rope_config *rope = &c->rope;

    if (!type)
        type = tkx__config_get(object, "type");
    if (!type || r->status != TKX_OK)
        return;
    if (!cJSON_IsString(type)) {
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: rope_type is no text", r->what);
        return;
    }
    if (strcmp(type->valuestring, "default") == 0)
        return;
    if (strcmp(type->valuestring, "linear") == 0)
        rope->scaling = TKX__ROPE_LINEAR;
    else if (strcmp(type->valuestring, "llama3") == 0)
        rope->scaling = TKX__ROPE_LLAMA3;
    else if (strcmp(type->valuestring, "yarn") == 0)
        rope->scaling = TKX__ROPE_YARN;
    else
        tkx__config_unsupported(r, "rope scaling", type->valuestring,
                                "default, linear, llama3 and yarn are");
    tkx__config_number_or(r, object, "factor", &rope->factor, 0);
    tkx__config_number_or(r, object, "low_freq_factor", &rope->low_freq_factor, 0);
    tkx__config_number_or(r, object, "high_freq_factor", &rope->high_freq_factor, 0);
    read_original(r, object, c);
    if (rope->scaling == TKX__ROPE_YARN)
        read_yarn(r, object, c);
}

static void refuse_partial(reader *r, const cJSON *object)
{
    double partial;

    tkx__config_number_or(r, object, "partial_rotary_factor", &partial, 1);
    if (partial != 1)
        tkx__config_unsupported(r, "partial_rotary_factor", NULL,
                                "only whole heads are rotated");
}

/* An object or absent. */
static const cJSON *get_object(reader *r, const char *key)
{
    const cJSON *item = tkx__config_get(r->json, key);

    if (item && !cJSON_IsObject(item) && r->status == TKX_OK)
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is no object", r->what, key);
    return item;
}

void tkx__config_read_rope(reader *r, tkx__model_config *c)
{
    const cJSON *parameters = get_object(r, "rope_parameters");
    const cJSON *scaling = get_object(r, "rope_scaling");
    const cJSON *counts = scaling ? scaling : parameters; /* of two, the older one */

    c->rope.magnitude = 1;
    tkx__config_number_or(r, r->json, "rope_theta", &c->rope.theta, 10000.0);
    tkx__config_number_or(r, parameters, "rope_theta", &c->rope.theta, c->rope.theta);
    tkx__config_number_or(r, scaling, "rope_theta", &c->rope.theta, c->rope.theta);
    refuse_partial(r, r->json);
    refuse_partial(r, parameters);
    refuse_partial(r, scaling);
    if (tkx__config_get(counts, "full_attention") ||
        tkx__config_get(counts, "sliding_attention"))
        tkx__config_unsupported(r, "another rotation for each type of layer", NULL, NULL);
    read_scaling(r, counts, c);
}

/* ---- windows ---- */

/* The window's size; 0 when there is none. */
static size_t window_of(reader *r, const tkx__model_config *c)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->json, "sliding_window");
    size_t window;

    if (c->arch == TKX__ARCH_LLAMA ||
        !tkx__config_flag(r, r->json, "use_sliding_window", false) || cJSON_IsNull(item))
        return 0;
    tkx__config_size_or(r, "sliding_window", &window, DEFAULT_WINDOW);
    if (window == 0 && r->status == TKX_OK)
        r->status =
            tkx__fail(r->err, TKX_ERR_PARSE,
                      "%s: sliding_window is 0: a token must see itself", r->what);
    return window;
}

static void read_layer_types(reader *r, tkx__model_config *c, const cJSON *types)
{
    const cJSON *type;
    size_t i = 0;

    cJSON_ArrayForEach(type, types)
    {
        const char *name = cJSON_IsString(type) ? type->valuestring : "";
        bool is_sliding = strcmp(name, "sliding_attention") == 0;

        if (is_sliding && c->sliding_window == 0)
            tkx__config_unsupported(r, "layer type sliding_attention without a window",
                                    NULL, "use_sliding_window and sliding_window set it");
        else if (!is_sliding && strcmp(name, "full_attention") != 0)
            tkx__config_unsupported(r, "layer type", name,
                                    "full_attention and sliding_attention are");
        if (i < TKX__MAX_LAYERS)
            c->is_sliding[i++] = is_sliding;
    }
}

void tkx__config_read_window(reader *r, tkx__model_config *c)
{
    const cJSON *types = tkx__config_get(r->json, "layer_types");
    size_t first = 0;

    c->sliding_window = window_of(r, c);
    if (types) {
        read_layer_types(r, c, types);
        return;
    }
    if (c->sliding_window == 0)
        return;
    if (c->arch != TKX__ARCH_QWEN3MOE)
        tkx__config_size_or(r, "max_window_layers", &first, DEFAULT_FULL_LAYERS);
    for (size_t i = first; i < c->n_layers && i < TKX__MAX_LAYERS; i++)
        c->is_sliding[i] = true;
}
