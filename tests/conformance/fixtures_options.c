/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_options.c - call.args of a case as options of a model, a step or a loss. */
#include <string.h>

#include "base/str.h"
#include "fixtures.h"

static void write(tkx__json_writer *w, const jdom *v)
{
    switch (v->kind) {
    case TKX__JSON_OBJECT:
        tkx__json_begin_object(w);
        for (size_t i = 0; i < v->n; i++) {
            tkx__json_put_key(w, v->keys[i]);
            write(w, &v->items[i]);
        }
        tkx__json_end_object(w);
        break;
    case TKX__JSON_ARRAY:
        tkx__json_begin_array(w);
        for (size_t i = 0; i < v->n; i++)
            write(w, &v->items[i]);
        tkx__json_end_array(w);
        break;
    case TKX__JSON_STRING:
        tkx__json_put_string(w, v->text);
        break;
    case TKX__JSON_NUMBER:
        if (v->number.kind == TKX__JSON_F64)
            tkx__json_put_f64(w, v->number.f64);
        else if (v->number.kind == TKX__JSON_U64)
            tkx__json_put_u64(w, v->number.u64);
        else
            tkx__json_put_i64(w, v->number.i64);
        break;
    case TKX__JSON_BOOL:
        tkx__json_put_bool(w, v->flag);
        break;
    default:
        tkx__json_put_null(w);
        break;
    }
}

const char *fixture_json(fixture *f, const jdom *value)
{
    tkx__json_writer w;
    tkx__buf buf;
    char *text;

    tkx__buf_init(&buf, SIZE_MAX);
    tkx__json_writer_init(&w, &buf, 0);
    write(&w, value);
    text = tkx__arena_strndup(f->arena, tkx__buf_text(&buf), buf.size);
    tkx__buf_clear(&buf);
    return text;
}

tkx_optimizer_config fixture_optimizer(fixture *f, const jdom *from)
{
    tkx_optimizer_config config = {0};
    tkx_json_member *items;

    if (jdom_is_null(from) || from->kind != TKX__JSON_OBJECT)
        return config;
    items = tkx__arena_zalloc(f->arena, from->n + 1, sizeof *items);
    for (size_t i = 0; i < from->n; i++) {
        if (strcmp(from->keys[i], "type") == 0)
            config.type = from->items[i].text;
        else
            items[config.fields.count++] =
                (tkx_json_member){from->keys[i], fixture_json(f, &from->items[i])};
    }
    config.fields.items = items;
    return config;
}

void fixture_lora(fixture *f, tkx_lora_config *to)
{
    const jdom *seed = jdom_get(f->args, "seed");

    to->rank = jdom_i64(jdom_get(f->args, "rank"), to->rank);
    if (!jdom_is_null(seed))
        to->seed = seed->number.kind == TKX__JSON_U64 ? tkx_seed_u64(seed->number.u64)
                                                      : tkx_seed_i64(seed->number.i64);
    to->train_attn = jdom_flag(jdom_get(f->args, "train_attn"), to->train_attn);
    to->train_mlp = jdom_flag(jdom_get(f->args, "train_mlp"), to->train_mlp);
    to->train_unembed = jdom_flag(jdom_get(f->args, "train_unembed"), to->train_unembed);
}

static void take(const jdom *from, const char *key, double *to)
{
    *to = jdom_f64(jdom_get(from, key), *to);
}

void fixture_adam(fixture *f, tkx_adam_params *to)
{
    const jdom *from = jdom_get(f->args, "adam");

    take(from, "learning_rate", &to->learning_rate);
    take(from, "beta1", &to->beta1);
    take(from, "beta2", &to->beta2);
    take(from, "eps", &to->eps);
    take(from, "weight_decay", &to->weight_decay);
    take(from, "grad_clip_norm", &to->grad_clip_norm);
}

void fixture_dimuon(fixture *f, tkx_dimuon_params *to)
{
    const jdom *from = jdom_get(f->args, "dimuon");

    take(from, "learning_rate", &to->learning_rate);
    take(from, "beta1", &to->beta1);
    take(from, "grad_clip_norm", &to->grad_clip_norm);
}

/* The graph has no form in the arguments: it is taken from a recorded request's body, or
   made up where only an answer was recorded. */
bool fixture_custom_loss(fixture *f, tkx_create_custom_loss_request *to)
{
    const jdom *request = jdom_get(f->root, "request");
    const char *file = fixture_text(f, request, "body_file");
    size_t size = 0;
    const char *body = file ? fixture_file(f, file, &size) : NULL;
    const jdom *root = body ? jdom_parse(f->arena, body, size) : NULL;
    const jdom *inputs = jdom_get(root, "inputs");
    const jdom *graph = jdom_get(root, "graph");
    size_t n = jdom_count(inputs);
    tkx_custom_loss_input *list = tkx__arena_zalloc(f->arena, n + 1, sizeof *list);

    for (size_t i = 0; i < n; i++)
        list[i] =
            (tkx_custom_loss_input){fixture_text(f, jdom_at(inputs, i), "name"),
                                    jdom_i64(jdom_get(jdom_at(inputs, i), "rank"), 0)};
    if (!n)
        list[n++] = (tkx_custom_loss_input){"logprobs", 1};
    *to = (tkx_create_custom_loss_request){
        .name = fixture_text(f, f->args, "name"),
        .inputs = list,
        .n_inputs = n,
        .graph_json = graph ? fixture_json(f, graph) : "{\"format\":1,\"nodes\":[]}",
    };
    if (!to->name)
        to->name = "loss";
    return true;
}
