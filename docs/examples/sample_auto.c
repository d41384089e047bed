/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample_auto.c - a sample from the service, or from this machine when that cannot be
 * had.
 *
 *     tkx-example-sample-auto BASE_MODEL MODEL_FOLDER_OR_GGUF PROMPT
 *
 * TINKER_BASE_URL and TINKER_API_KEY say which service; the model on this machine is the
 * same base.  The answer goes to stdout, who gave it and why to stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/sampler.h>
#include <tkx/tokenizer.h>

static tkx_error *err;

static void need(tkx_status status, const char *what)
{
    if (status == TKX_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, tkx_error_message(err));
    exit(1);
}

static int32_t *encode(const tkx_tokenizer *tokenizer, const char *text, size_t *n)
{
    int64_t *ids;
    int32_t *tokens;

    need(tkx_tokenizer_encode(tokenizer, text, strlen(text), TKX_ENCODE_DEFAULT, &ids, n,
                              &err),
         "encode");
    tokens = calloc(*n + 1, sizeof *tokens);
    for (size_t i = 0; tokens && i < *n; i++)
        tokens[i] = (int32_t)ids[i];
    tkx_tokenizer_free_result(ids);
    return tokens;
}

static void print(tkx_tokenizer *tokenizer, const tkx_sequence *s)
{
    tkx_text_stream *text;
    const char *piece;
    size_t size;

    need(tkx_text_stream_new(tokenizer, TKX_DECODE_SKIP_SPECIAL, &text, &err), "decode");
    for (size_t i = 0; i < s->n_tokens; i++) {
        need(tkx_text_stream_push(text, s->tokens[i], &piece, &size, &err), "decode");
        fwrite(piece, 1, size, stdout);
    }
    putchar('\n');
    tkx_text_stream_free(text);
}

int main(int argc, char **argv)
{
    tkx_sampler_options options = TKX_SAMPLER_OPTIONS_INIT;
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_context *context = NULL;
    tkx_tokenizer *tokenizer = NULL;
    tkx_sampler *sampler = NULL;
    tkx_sampler_result *result = NULL;
    tkx_future *future = NULL;
    size_t n = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: %s BASE_MODEL MODEL_FOLDER_OR_GGUF PROMPT\n", argv[0]);
        return 2;
    }
    options.mode = TKX_SAMPLER_AUTO;
    options.base_model = argv[1];
    need(tkx_context_new(NULL, &context, &err), "context");
    need(tkx_service_new(context, NULL, &options.service, &err), "service");
    need(tkx_local_open(argv[2], NULL, &options.local, &err), "local model");
    need(tkx_tokenizer_open(argv[2], &tokenizer, &err), "tokenizer");
    need(tkx_sampler_new(&options, &sampler, &err), "sampler");

    int32_t *tokens = encode(tokenizer, argv[3], &n);
    if (!tokens)
        return 1;
    const tkx_chunk chunk = tkx_chunk_text(tokens, n);
    request.prompt = (tkx_model_input){&chunk, 1};
    request.params.has_max_tokens = true;
    request.params.max_tokens = 64;
    need(tkx_sampler_sample(sampler, &request, NULL, 0, &future, &err), "sample");
    need(tkx_future_wait(future, -1, &err), "wait");
    need(tkx_future_take_sampler_result(future, &result, &err), "sample");
    print(tokenizer, &result->response->sequences[0]);
    fprintf(stderr, "(%s: %s)\n", result->label.backend, result->label.reason);

    tkx_sampler_result_free(result);
    tkx_future_unref(future);
    tkx_sampler_free(sampler);
    tkx_service_free(options.service);
    tkx_context_free(context);
    tkx_local_free(options.local);
    tkx_tokenizer_unref(tokenizer);
    free(tokens);
    return 0;
}
