/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_request.c - builds the body of a call and compares it with the recorded
   one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "fixtures.h"
#include "types/checkpoint.h"
#include "types/custom_loss.h"
#include "types/forward_backward.h"
#include "types/model.h"
#include "types/optimizer.h"
#include "types/sample.h"
#include "types/session.h"
#include "types/weights.h"

/* Encodes the body of one operation. */
typedef tkx_status encode_fn(fixture *f, tkx__buf *buf, tkx_error **err);

static const char *text(fixture *f, const char *key)
{
    return fixture_text(f, f->args, key);
}

static const char *id(fixture *f, const char *key)
{
    return fixture_text(f, f->context, key);
}

static int64_t number(fixture *f, const char *key, int64_t missing)
{
    return jdom_i64(jdom_get(f->args, key), missing);
}

static int64_t counter(fixture *f, const char *key)
{
    return jdom_i64(jdom_get(f->context, key), -1);
}

static tkx_pair_list metadata(fixture *f)
{
    return fixture_pairs(f, jdom_get(f->args, "user_metadata"));
}

static tkx_status create_model(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_create_model_request q = {.session_id = id(f, "session_id"),
                                  .model_seq_id = counter(f, "model_seq_id"),
                                  .base_model = text(f, "base_model"),
                                  .user_metadata = metadata(f),
                                  .lora_config = TKX_LORA_CONFIG_INIT};

    q.optimizer_config = fixture_optimizer(f, jdom_get(f->args, "optimizer"));
    fixture_lora(f, &q.lora_config);
    return tkx__create_model_request_encode_json(&q, buf, err);
}

static tkx_status create_from_state(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_load_weights_request q = {
        .seq_id = -1,
        .session_id = id(f, "session_id"),
        .model_seq_id = counter(f, "model_seq_id"),
        .base_model = text(f, "base_model"),
        .user_metadata = metadata(f),
        .path = text(f, "path"),
        .optimizer = jdom_flag(jdom_get(f->args, "optimizer"), false),
        .optimizer_config = fixture_optimizer(f, jdom_get(f->args, "optimizer_config")),
        .weights_access_token = text(f, "weights_access_token")};

    return tkx__load_weights_request_encode_json(&q, buf, err);
}

static tkx_status load_state(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_load_weights_request q = {
        .model_id = id(f, "model_id"),
        .seq_id = counter(f, "seq_id"),
        .model_seq_id = -1,
        .path = text(f, "path"),
        .optimizer = jdom_flag(jdom_get(f->args, "optimizer"), false),
        .weights_access_token = text(f, "weights_access_token")};

    return tkx__load_weights_request_encode_json(&q, buf, err);
}

static tkx_status save_state(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_save_weights_request q = {.model_id = id(f, "model_id"),
                                  .path = text(f, "name"),
                                  .seq_id = counter(f, "seq_id"),
                                  .ttl_seconds = number(f, "ttl_seconds", -1),
                                  .overwrite =
                                      jdom_flag(jdom_get(f->args, "overwrite"), false),
                                  .user_metadata = metadata(f)};

    return tkx__save_weights_request_encode_json(&q, buf, err);
}

static tkx_status save_sampler(fixture *f, tkx__buf *buf, tkx_error **err)
{
    const char *kind = text(f, "kind");
    tkx_save_weights_for_sampler_request q = {.model_id = id(f, "model_id"),
                                              .path = text(f, "name"),
                                              .sampling_session_seq_id = -1,
                                              .is_inflight =
                                                  kind && strcmp(kind, "inflight") == 0,
                                              .seq_id = counter(f, "seq_id"),
                                              .ttl_seconds = number(f, "ttl_seconds", -1),
                                              .user_metadata = metadata(f)};

    if (!q.path)
        q.sampling_session_seq_id = counter(f, "sampling_session_seq_id");
    return tkx__save_weights_for_sampler_request_encode_json(&q, buf, err);
}

static tkx_status save_external(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_save_weights_external_request q = {
        .model_id = id(f, "model_id"),
        .path = text(f, "name"),
        .seq_id = counter(f, "seq_id"),
        .ttl_seconds = number(f, "ttl_seconds", -1),
        .age_encryption_recipients =
            fixture_strings(f, jdom_get(f->args, "age_encryption_recipients"))};

    return tkx__save_weights_external_request_encode_json(&q, buf, err);
}

static tkx_status copy_weights(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_copy_weights_request q = {.source_path = text(f, "path"),
                                  .ttl_seconds = number(f, "ttl_seconds", -1),
                                  .destination_project_id =
                                      text(f, "destination_project_id")};
    const jdom *env = jdom_get(jdom_get(f->root, "call"), "env");

    if (!q.destination_project_id)
        q.destination_project_id = fixture_text(f, env, "TINKER_PROJECT_ID");
    return tkx__copy_weights_request_encode_json(&q, buf, err);
}

static tkx_status optim_step(fixture *f, tkx__buf *buf, tkx_error **err)
{
    bool is_dimuon = !jdom_is_null(jdom_get(f->args, "dimuon"));
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    tkx_dimuon_params dimuon = TKX_DIMUON_PARAMS_INIT;
    tkx_optim_step_request q = {.model_id = id(f, "model_id"),
                                .seq_id = counter(f, "seq_id")};

    fixture_adam(f, &adam);
    fixture_dimuon(f, &dimuon);
    q.adam = is_dimuon ? NULL : &adam;
    q.dimuon = is_dimuon ? &dimuon : NULL;
    return tkx__optim_step_request_encode_json(&q, buf, err);
}

static tkx_status sample(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_sample_request q;

    if (!fixture_sample(f, &q))
        return TKX_ERR_INVALID_ARGUMENT;
    return tkx__sample_request_encode_json(&q, buf, err);
}

static tkx_status sampling_session(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_create_sampling_session_request q = {.session_id = id(f, "session_id"),
                                             .sampling_session_seq_id =
                                                 counter(f, "sampling_session_seq_id"),
                                             .base_model = text(f, "base_model"),
                                             .model_path = text(f, "model_path")};

    return tkx__create_sampling_session_request_encode_json(&q, buf, err);
}

static tkx_status join_session(fixture *f, tkx__buf *buf, tkx_error **err)
{
    return tkx__join_sampling_session_encode_json(id(f, "sampling_session_id"), buf, err);
}

static tkx_status get_info(fixture *f, tkx__buf *buf, tkx_error **err)
{
    return tkx__model_id_encode_json(id(f, "model_id"), f->op, buf, err);
}

static tkx_status weights_info(fixture *f, tkx__buf *buf, tkx_error **err)
{
    return tkx__weights_info_encode_json(text(f, "tinker_path"), buf, err);
}

static tkx_status ttl(fixture *f, tkx__buf *buf, tkx_error **err)
{
    return tkx__checkpoint_ttl_encode_json(number(f, "ttl_seconds", -1), buf, err);
}

static tkx_status project(fixture *f, tkx__buf *buf, tkx_error **err)
{
    return tkx__session_project_encode_json(text(f, "project_id"), buf, err);
}

static tkx_status search(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_session_search q;

    fixture_search(f, &q);
    return tkx__session_search_encode_json(&q, buf, err);
}

static tkx_status custom_loss(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_create_custom_loss_request q;

    if (!fixture_custom_loss(f, &q))
        return TKX_ERR_INVALID_ARGUMENT;
    q.session_id = id(f, "session_id");
    q.custom_loss_seq_id = counter(f, "custom_loss_seq_id");
    return tkx__create_custom_loss_request_encode_json(&q, buf, err);
}

static const struct {
    const char *op;
    const char *path_end; /* NULL: any */
    encode_fn *encode;
} encoders[] = {
    {"create_model", "/create_model", create_model},
    {"create_training_client_from_state", "/load_weights", create_from_state},
    {"load_state", "/load_weights", load_state},
    {"save_state", "/save_weights", save_state},
    {"save_weights_for_sampler", "/save_weights_for_sampler", save_sampler},
    {"save_weights_and_get_sampling_client", "/save_weights_for_sampler", save_sampler},
    {"save_weights_external", "/save_weights_external", save_external},
    {"copy_weights", "/copy_weights", copy_weights},
    {"optim_step", "/optim_step", optim_step},
    {"sample", "/asample", sample},
    {"compute_logprobs", "/asample", sample},
    {"create_sampling_session", "/create_sampling_session", sampling_session},
    {"join_sampling_session", "/join_sampling_session", join_session},
    {"get_info", "/get_info", get_info},
    {"unload_model", "/unload_model", get_info},
    {"weights_info", "/weights_info", weights_info},
    {"set_checkpoint_ttl", "/ttl", ttl},
    {"assign_session_project", "/project", project},
    {"search_sessions", "/sessions/search", search},
    {"create_custom_loss", "/create_custom_loss", custom_loss},
};

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path);
    size_t m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

static encode_fn *find_encoder(const fixture *f, const char *path)
{
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++)
        if (strcmp(encoders[i].op, f->op) == 0 && ends_with(path, encoders[i].path_end))
            return encoders[i].encode;
    return NULL;
}

static fixture_verdict told(fixture *f, tkx_error *err)
{
    if (err || !*f->why)
        fixture_differs(f, "encoding failed: %s", tkx_error_message(err));
    tkx_error_free(err);
    return FIXTURE_FAILED;
}

static fixture_verdict run_json(fixture *f, encode_fn *encode, const char *body,
                                size_t size)
{
    fixture_verdict verdict;
    tkx_error *err = NULL;
    tkx__buf buf;

    tkx__buf_init(&buf, SIZE_MAX);
    if (encode(f, &buf, &err) == TKX_OK)
        verdict = fixture_compare_json(f, tkx__buf_text(&buf), buf.size, body, size);
    else
        verdict = told(f, err);
    tkx__buf_clear(&buf);
    return verdict;
}

static tkx_status training_json(fixture *f, tkx__buf *buf, tkx_error **err)
{
    tkx_forward_backward_request q;

    if (!fixture_training(f, &q))
        return TKX_ERR_INVALID_ARGUMENT;
    return tkx__forward_backward_encode_json(&q, q.is_forward_only, buf, err);
}

/* All of the message, read a few bytes at a time and again whole: both must agree. */
static char *pull(fixture *f, tkx__forward_backward_body *body, size_t *size)
{
    char *whole;
    char slice[13];
    uint64_t at = 0;
    ssize_t n;

    *size = tkx__forward_backward_body_size(body);
    whole = tkx__arena_alloc(f->arena, *size + 1, 1);
    if (tkx__forward_backward_body_read(body, 0, whole, *size) != (ssize_t)*size) {
        fixture_differs(f, "the body is shorter than its size");
        return NULL;
    }
    while ((n = tkx__forward_backward_body_read(body, at, slice, sizeof slice)) > 0) {
        if (memcmp(whole + at, slice, (size_t)n) != 0) {
            fixture_differs(f, "a slice at byte %llu differs from the whole",
                            (unsigned long long)at);
            return NULL;
        }
        at += (uint64_t)n;
    }
    return whole;
}

/* Our frame gives back our message. */
static bool frame_holds(fixture *f, tkx__forward_backward_body *body, const char *whole,
                        size_t size)
{
    char *plain = tkx__arena_alloc(f->arena, size + 1, 1);
    tkx__buf frame;
    size_t n;

    tkx__buf_init(&frame, SIZE_MAX);
    if (tkx__forward_backward_body_compress(body, &frame, NULL) != TKX_OK ||
        ZSTD_getFrameContentSize(frame.data, frame.size) != size)
        n = 0;
    else
        n = ZSTD_decompress(plain, size, frame.data, frame.size);
    tkx__buf_clear(&frame);
    if (n == size && memcmp(plain, whole, size) == 0)
        return true;
    fixture_differs(f, "the zstd frame does not hold the message");
    return false;
}

static fixture_verdict run_proto(fixture *f, const char *body, size_t size, bool is_zstd)
{
    tkx_forward_backward_request q;
    tkx__forward_backward_body *ours = NULL;
    fixture_verdict verdict = FIXTURE_FAILED;
    tkx_error *err = NULL;
    char *bytes;
    size_t n;

    if (!fixture_training(f, &q))
        return FIXTURE_FAILED;
    if (tkx__forward_backward_body_new(&q, &ours, &err) != TKX_OK)
        return told(f, err);
    bytes = pull(f, ours, &n);
    if (bytes && (!is_zstd || frame_holds(f, ours, bytes, n)))
        verdict = fixture_compare_proto(f, bytes, n, body, size);
    tkx__forward_backward_body_free(ours);
    return verdict;
}

static fixture_verdict run_codec(fixture *f, encode_fn *encode, const char *kind)
{
    const jdom *request = jdom_get(f->root, "request");
    const char *file = fixture_text(f, request, "plain_file");
    const char *body;
    size_t size;

    body = fixture_file(f, file ? file : fixture_text(f, request, "body_file"), &size);
    if (!body)
        return FIXTURE_FAILED;
    if (strncmp(kind, "protobuf", 8) == 0)
        return run_proto(f, body, size, strcmp(kind, "protobuf+zstd") == 0);
    return run_json(f, encode, body, size);
}

/* The codec alone where it makes the body, then the whole client. */
fixture_verdict fixture_run_request(fixture *f)
{
    const jdom *request = jdom_get(f->root, "request");
    const char *kind = fixture_text(f, request, "body_kind");
    const char *path = fixture_text(f, request, "path");
    bool is_training = strncmp(f->op, "forward", 7) == 0;
    encode_fn *encode;
    fixture_verdict verdict = FIXTURE_NOT_HERE;

    if (!kind || !path)
        return fixture_differs(f, "no request");
    encode = is_training ? training_json : find_encoder(f, path);
    if (encode && !ends_with(path, "/retrieve_future"))
        verdict = run_codec(f, encode, kind);
    return verdict == FIXTURE_FAILED || f->only_codecs ? verdict : fixture_run_sent(f);
}
