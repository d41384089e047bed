/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train.c - the whole way: a LoRA model, some steps on one text, a sample of the result.
 *
 *     tkx-example-train [BASE_MODEL TOKENIZER]
 *
 * TINKER_BASE_URL and TINKER_API_KEY say which service.  The model is the one built into
 * the mock server (tkx/bytes, whose tokens are bytes), unless others are named; TOKENIZER
 * is a model folder, a tokenizer.json or a GGUF file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/pipeline.h>
#include <tkx/sampling.h>
#include <tkx/tokenizer.h>

#define N_STEPS 30
#define N_PROMPT 4 /* tokens of the text that the sample is to go on from */

static const char text[] = "To be, or not to be, that is the question.";

static tkx_error *err;

static void need(tkx_status status, const char *what)
{
    if (status == TKX_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, tkx_error_message(err));
    exit(1);
}

static tkx_training *make_model(tkx_service *service, const char *base_model)
{
    tkx_lora_options lora = TKX_LORA_OPTIONS_INIT;
    tkx_training *training = NULL;
    tkx_future *made = NULL;

    lora.base_model = base_model;
    lora.lora.rank = 16;
    need(tkx_service_create_lora(service, &lora, &made, &err), "create_lora");
    need(tkx_future_wait(made, -1, &err), "create_lora");
    need(tkx_future_take_training(made, &training, &err), "create_lora");
    tkx_future_unref(made);
    return training;
}

/* The outcome of the oldest step that is still under way. */
static void take_outcome(tkx_pipeline *pipeline, size_t n_tokens)
{
    tkx_pipeline_outcome outcome = TKX_PIPELINE_OUTCOME_INIT;
    const tkx_metric *loss;

    need(tkx_pipeline_next(pipeline, -1, &outcome, &err), "step");
    if (outcome.error) {
        fprintf(stderr, "step %" PRIu64 ": %s\n", outcome.number,
                tkx_error_message(outcome.error));
        exit(1);
    }
    loss =
        tkx_metric_find(outcome.forward->metrics, outcome.forward->n_metrics, "loss:sum");
    if (loss)
        printf("step %" PRIu64 ": loss %.4f\n", outcome.number,
               loss->value / (double)n_tokens);
    tkx_pipeline_outcome_clear(&outcome);
}

/* Token i is to be followed by token i + 1.  Steps are submitted ahead of their outcomes,
   so that the service never waits for us. */
static void train(tkx_pipeline *pipeline, const int32_t *tokens, const int64_t *targets,
                  size_t n)
{
    float *weights = calloc(n + 1, sizeof *weights);
    const tkx_chunk chunk = tkx_chunk_text(tokens, n);
    const tkx_named_tensor inputs[] = {{"target_tokens", tkx_tensor_i64(targets, n)},
                                       {"weights", tkx_tensor_f32(weights, n)}};
    const tkx_datum datum = {
        .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    tkx_pipeline_step step = TKX_PIPELINE_STEP_INIT;

    if (!weights)
        exit(1);
    for (size_t i = 0; i < n; i++)
        weights[i] = 1; /* every token counts */
    adam.learning_rate = 0.005;
    step.data = &datum;
    step.n_data = 1;
    step.adam = &adam;
    for (int i = 0; i < N_STEPS; i++) {
        need(tkx_pipeline_submit(pipeline, &step, -1, NULL, &err), "step");
        if (i > 0)
            take_outcome(pipeline, n);
    }
    take_outcome(pipeline, n);
    free(weights); /* the steps have ended: nobody reads them any more */
}

static tkx_sampling *publish(tkx_pipeline *pipeline)
{
    tkx_sampling *sampling = NULL;
    tkx_future *made = NULL;

    need(tkx_pipeline_snapshot(pipeline, NULL, &made, &err), "publish");
    need(tkx_future_wait(made, -1, &err), "publish");
    need(tkx_future_take_sampling(made, &sampling, &err), "publish");
    tkx_future_unref(made);
    return sampling;
}

static void sample(tkx_sampling *sampling, tkx_tokenizer *tokenizer,
                   const int32_t *tokens, size_t n)
{
    const tkx_chunk chunk = tkx_chunk_text(tokens, N_PROMPT);
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_sample_response *response = NULL;
    tkx_future *future = NULL;
    tkx_text_stream *stream;
    const char *piece;
    size_t size;

    request.prompt = (tkx_model_input){&chunk, 1};
    request.params.temperature = 0;
    request.params.has_max_tokens = true;
    request.params.max_tokens = (int64_t)(n - N_PROMPT);
    need(tkx_sampling_sample(sampling, &request, 0, &future, &err), "sample");
    need(tkx_future_wait(future, -1, &err), "sample");
    need(tkx_future_take_sample(future, &response, &err), "sample");
    need(tkx_text_stream_new(tokenizer, TKX_DECODE_SKIP_SPECIAL, &stream, &err),
         "decode");
    fputs("sample: ...", stdout);
    for (size_t i = 0; i < response->sequences[0].n_tokens; i++) {
        need(tkx_text_stream_push(stream, response->sequences[0].tokens[i], &piece, &size,
                                  &err),
             "decode");
        fwrite(piece, 1, size, stdout);
    }
    putchar('\n');
    tkx_text_stream_free(stream);
    tkx_sample_response_free(response);
    tkx_future_unref(future);
}

int main(int argc, char **argv)
{
    tkx_context *context = NULL;
    tkx_service *service = NULL;
    tkx_tokenizer *tokenizer = NULL;
    tkx_pipeline *pipeline = NULL;
    int64_t *ids = NULL;
    size_t n = 0;

    if (argc != 1 && argc != 3) {
        fprintf(stderr, "usage: %s [BASE_MODEL TOKENIZER]\n", argv[0]);
        return 2;
    }
    need(tkx_context_new(NULL, &context, &err), "context");
    need(tkx_service_new(context, NULL, &service, &err), "service");
    need(tkx_tokenizer_open(argc > 1 ? argv[2] : "bytes", &tokenizer, &err), "tokenizer");
    need(tkx_tokenizer_encode(tokenizer, text, strlen(text), TKX_ENCODE_DEFAULT, &ids, &n,
                              &err),
         "encode");
    int32_t *tokens = calloc(n + 1, sizeof *tokens);
    if (!tokens || n <= N_PROMPT) {
        fprintf(stderr, "the text has %zu tokens: too few, or memory is short\n", n);
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        tokens[i] = (int32_t)ids[i];

    tkx_training *training = make_model(service, argc > 1 ? argv[1] : "tkx/bytes");
    need(tkx_pipeline_new(training, NULL, &pipeline, &err), "pipeline");
    train(pipeline, tokens, ids + 1, n - 1);
    tkx_sampling *sampling = publish(pipeline);
    sample(sampling, tokenizer, tokens, n);

    tkx_sampling_free(sampling);
    tkx_pipeline_free(pipeline);
    tkx_training_free(training);
    tkx_service_free(service);
    tkx_context_free(context);
    tkx_tokenizer_free_result(ids);
    tkx_tokenizer_unref(tokenizer);
    free(tokens);
    return 0;
}
