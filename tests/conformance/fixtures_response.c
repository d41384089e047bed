/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_response.c - decodes recorded answers and compares with what the SDK made of
 * them.  Only answers that a codec alone decides: one reply with status 200 and a body.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fixtures.h"
#include "fixtures_records.h"
#include "fixtures_rules.h"
#include "types/billing.h"
#include "types/checkpoint.h"
#include "types/custom_loss.h"
#include "types/forward_backward_output.h"
#include "types/model.h"
#include "types/optimizer.h"
#include "types/sample_response.h"
#include "types/service.h"
#include "types/session.h"
#include "types/weights.h"

typedef struct reply {
    const char *body;
    size_t size;
    bool is_proto;
} reply;

/* Decodes, and writes the value into w. */
typedef tkx_status decode_fn(fixture *f, const reply *r, tkx__json_writer *w,
                             tkx_error **err);

static tkx_status sample(fixture *f, const reply *r, tkx__json_writer *w, tkx_error **err)
{
    const jdom *expect = jdom_get(jdom_get(f->root, "expect"), "result");
    const jdom *sequences = jdom_get(expect, "sequences");
    const char **ids =
        tkx__arena_zalloc(f->arena, jdom_count(sequences) + 1, sizeof *ids);
    tkx_sample_response *response;
    tkx_sample_request asked;
    tkx_status st =
        r->is_proto ? tkx__sample_response_decode_proto(r->body, r->size, &response, err)
                    : tkx__sample_response_decode_json(r->body, r->size, &response, err);

    if (st == TKX_OK && fixture_sample(f, &asked))
        st = tkx__sample_response_check(response, &asked, err);
    /* The ids come with the submit's answer; here they are taken as given. */
    for (size_t i = 0; i < jdom_count(sequences); i++) {
        ids[i] = jdom_text(jdom_get(jdom_at(sequences, i), "sequence_id"));
        ids[i] = ids[i] ? ids[i] : "";
    }
    if (st == TKX_OK && jdom_get(jdom_at(sequences, 0), "sequence_id"))
        st = tkx__sample_response_set_ids(
            response, &(tkx_string_list){ids, jdom_count(sequences)}, err);
    if (st == TKX_OK)
        result_sample(w, response);
    tkx_sample_response_free(response);
    return st;
}

static tkx_status decode_training(const reply *r, tkx_forward_backward_output **out,
                                  tkx_error **err)
{
    return r->is_proto
               ? tkx__forward_backward_output_decode_proto(r->body, r->size, out, err)
               : tkx__forward_backward_output_decode_json(r->body, r->size, out, err);
}

static tkx_status training(fixture *f, const reply *r, tkx__json_writer *w,
                           tkx_error **err)
{
    tkx_forward_backward_output *output;
    tkx_status st = decode_training(r, &output, err);

    (void)f;
    if (st == TKX_OK)
        result_training(w, output);
    tkx_forward_backward_output_free(output);
    return st;
}

/* Decoders of records: T *object, tkx__T_decode_json, WRITE, tkx_T_free. */
#define RECORD(FN, T, WRITE)                                                             \
    static tkx_status FN(fixture *f, const reply *r, tkx__json_writer *w,                \
                         tkx_error **err)                                                \
    {                                                                                    \
        tkx_##T *v;                                                                      \
        tkx_status st = tkx__##T##_decode_json(r->body, r->size, &v, err);               \
                                                                                         \
        (void)f;                                                                         \
        if (st == TKX_OK)                                                                \
            WRITE(w, v);                                                                 \
        tkx_##T##_free(v);                                                               \
        return st;                                                                       \
    }

RECORD(optim, optim_step_result, record_optim)
RECORD(saved, save_weights_result, record_saved)
RECORD(loaded, load_weights_result, record_loaded)
RECORD(created, create_model_result, record_created)
RECORD(copied, copy_weights_result, record_copied)
RECORD(capabilities, server_capabilities, record_capabilities)
RECORD(health, health, record_health)
RECORD(model_info, model_info, record_model_info)
RECORD(weights_info, weights_info, record_weights_info)
RECORD(runs, training_run_list, record_runs)
RECORD(run, training_run, result_run)
RECORD(checkpoints, checkpoint_list, result_checkpoints)
RECORD(urls, external_weights_urls, record_urls)
RECORD(sessions, session_list, record_sessions)
RECORD(session, session_info, record_session)
RECORD(sampler, sampler_info, record_sampler)
RECORD(audit, audit_log, record_audit)
RECORD(storage, checkpoint_storage, record_storage)
RECORD(found, session_search_result, record_found)
RECORD(usage, billing_usage, record_usage)
RECORD(custom_loss, create_custom_loss_result, record_custom_loss)

/* A named save must say its path. */
static tkx_status named_save(fixture *f, const reply *r, tkx__json_writer *w,
                             tkx_error **err)
{
    tkx_status st = saved(f, r, w, err);

    return st == TKX_OK && strstr(tkx__buf_text(w->buf), "\"path\":null")
               ? TKX_ERR_PROTOCOL
               : st;
}

/* ... and an unnamed one its sampling session. */
static tkx_status unnamed_save(fixture *f, const reply *r, tkx__json_writer *w,
                               tkx_error **err)
{
    tkx_status st = saved(f, r, w, err);

    return st == TKX_OK && strstr(tkx__buf_text(w->buf), "\"sampling_session_id\":null")
               ? TKX_ERR_PROTOCOL
               : st;
}

static const struct {
    const char *op;
    decode_fn *decode;
} decoders[] = {
    {"sample", sample},
    {"forward", training},
    {"forward_backward", training},
    {"optim_step", optim},
    {"save_state", named_save},
    {"save_weights_for_sampler", named_save},
    {"save_weights_external", named_save},
    {"save_weights_and_get_sampling_client", unnamed_save},
    {"load_state", loaded},
    {"create_model", created},
    {"copy_weights", copied},
    {"get_server_capabilities", capabilities},
    {"healthz", health},
    {"get_info", model_info},
    {"weights_info", weights_info},
    {"list_training_runs", runs},
    {"get_training_run", run},
    {"list_checkpoints", checkpoints},
    {"list_user_checkpoints", checkpoints},
    {"get_external_weights_urls", urls},
    {"list_sessions", sessions},
    {"get_session", session},
    {"get_sampler", sampler},
    {"get_audit_log", audit},
    {"get_current_checkpoint_storage_usage", storage},
    {"get_billing_usage", usage},
    {"search_sessions", found},
    {"create_custom_loss", custom_loss},
};

static decode_fn *find_decoder(const fixture *f)
{
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
        if (strcmp(decoders[i].op, f->op) == 0)
            return decoders[i].decode;
    return NULL;
}

static bool load_reply(fixture *f, const jdom *from, reply *to)
{
    const jdom *headers = jdom_get(from, "headers");

    memset(to, 0, sizeof *to);
    for (size_t i = 0; i < jdom_count(headers); i++) {
        const char *name = jdom_text(jdom_at(jdom_at(headers, i), 0));
        const char *value = jdom_text(jdom_at(jdom_at(headers, i), 1));

        if (name && value && strcasecmp(name, "content-type") == 0)
            to->is_proto = strstr(value, "application/x-protobuf") != NULL;
    }
    if (!jdom_get(from, "body_file")) {
        to->body = "";
        return true;
    }
    to->body = fixture_file(f, jdom_text(jdom_get(from, "body_file")), &to->size);
    return to->body != NULL;
}

/* Null there: missing, or an empty list or map, here. */
static bool says_nothing(const jdom *value)
{
    return jdom_is_null(value) || (value->n == 0 && (value->kind == TKX__JSON_ARRAY ||
                                                     value->kind == TKX__JSON_OBJECT));
}

/* Rule: metrics of a single chunk stay as the server sent them. */
static const jdom *untouched_metrics(const fixture *f)
{
    const jdom *replies = jdom_get(f->root, "replies");

    return jdom_get(jdom_get(jdom_at(replies, 0), "decoded"), "metrics");
}

/* Every key of theirs, with "type" literals left aside: we do not keep them. */
static bool holds(fixture *f, const jdom *ours, const jdom *theirs, const char *path)
{
    char child[300];

    if (jdom_is_null(theirs) && (!ours || says_nothing(ours)))
        return true;
    if (strcmp(path, ".metrics") == 0 && jdom_equal(ours, untouched_metrics(f)))
        return true;
    if (!ours || ours->kind != theirs->kind)
        goto differs;
    if (theirs->kind == TKX__JSON_OBJECT) {
        for (size_t i = 0; i < theirs->n; i++) {
            bool is_literal = strcmp(theirs->keys[i], "type") == 0 && *path == '\0';

            snprintf(child, sizeof child, "%s.%s", path, theirs->keys[i]);
            if (!is_literal &&
                !holds(f, jdom_get(ours, theirs->keys[i]), &theirs->items[i], child))
                return false;
        }
        return true;
    }
    if (theirs->kind == TKX__JSON_ARRAY && ours->n == theirs->n) {
        for (size_t i = 0; i < theirs->n; i++) {
            snprintf(child, sizeof child, "%s[%zu]", path, i);
            if (!holds(f, &ours->items[i], &theirs->items[i], child))
                return false;
        }
        return true;
    }
    if (theirs->kind != TKX__JSON_ARRAY && jdom_equal(ours, theirs))
        return true;
differs:
    fixture_differs(f, "result%s differs", path);
    return false;
}

fixture_verdict fixture_holds(fixture *f, const tkx__buf *buf, const jdom *wanted)
{
    const jdom *ours = jdom_parse(f->arena, tkx__buf_text(buf), buf->size);

    if (fixture_rule_padded(f, ours, wanted))
        return FIXTURE_PASSED;
    return holds(f, ours, wanted, "") ? FIXTURE_PASSED : FIXTURE_FAILED;
}

fixture_verdict fixture_judge(fixture *f, tkx_status st, const tkx__buf *buf,
                              const tkx_error *err)
{
    const jdom *expect = jdom_get(f->root, "expect");
    const char *outcome = fixture_text(f, expect, "outcome");

    if (outcome && strcmp(outcome, "error") == 0) {
        if (st != TKX_OK || jdom_flag(jdom_get(f->root, "lenient"), false))
            return FIXTURE_PASSED;
        return fixture_differs(f, "decoded, although the answer is to be refused");
    }
    if (st != TKX_OK && jdom_flag(jdom_get(f->root, "lenient"), false))
        return FIXTURE_PASSED;
    if (st != TKX_OK)
        return fixture_differs(f, "%s: %s", tkx_status_name(st), tkx_error_message(err));
    return fixture_holds(f, buf, jdom_get(expect, "result"));
}

/* The results of several chunks, joined in the order of their seq_ids. */
static tkx_status join(fixture *f, const jdom *replies, tkx__json_writer *w,
                       tkx_error **err)
{
    tkx_forward_backward_output **parts =
        tkx__arena_zalloc(f->arena, replies->n, sizeof *parts);
    tkx_forward_backward_output *whole = NULL;
    tkx_status st = TKX_OK;
    reply r;

    for (size_t i = 0; st == TKX_OK && i < replies->n; i++)
        st = load_reply(f, &replies->items[i], &r) ? decode_training(&r, &parts[i], err)
                                                   : TKX_ERR_IO;
    if (st == TKX_OK)
        st = tkx__forward_backward_output_join(parts, replies->n, &whole, err);
    if (st == TKX_OK)
        result_training(w, whole);
    for (size_t i = 0; i < replies->n; i++)
        tkx_forward_backward_output_free(parts[i]);
    tkx_forward_backward_output_free(whole);
    return st;
}

static bool is_plain_answer(const jdom *answer)
{
    return jdom_i64(jdom_get(answer, "status"), 0) == 200 && !jdom_get(answer, "fault");
}

fixture_verdict fixture_run_response(fixture *f)
{
    const jdom *replies = jdom_get(f->root, "replies");
    const jdom *by_seq_id = jdom_get(f->root, "replies_by_seq_id");
    decode_fn *decode = find_decoder(f);
    fixture_verdict verdict;
    tkx_error *err = NULL;
    tkx__json_writer w;
    tkx__buf buf;
    tkx_status st;
    reply r;

    if (!strstr(f->group, "_result") || !decode ||
        (!by_seq_id &&
         (jdom_count(replies) != 1 || !is_plain_answer(jdom_at(replies, 0)))))
        return f->only_codecs ? FIXTURE_NOT_HERE : fixture_run_call(f);
    tkx__buf_init(&buf, SIZE_MAX);
    tkx__json_writer_init(&w, &buf, 0);
    if (by_seq_id)
        st = join(f, by_seq_id, &w, &err);
    else
        st =
            load_reply(f, jdom_at(replies, 0), &r) ? decode(f, &r, &w, &err) : TKX_ERR_IO;
    if (st == TKX_OK)
        st = tkx__json_written(&w, "result", &err);
    verdict = fixture_judge(f, st, &buf, err);
    tkx_error_free(err);
    tkx__buf_clear(&buf);
    /* The codec alone, then the whole client. */
    return verdict == FIXTURE_PASSED && !f->only_codecs ? fixture_run_call(f) : verdict;
}
