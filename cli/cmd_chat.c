/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_chat.c - tkx chat: a conversation, line by line, with a model there or here.
 *
 * The whole conversation is rendered anew for each answer; what a local model computed
 * for it before is still in its prefix cache.  Ctrl-C ends the answer, what has come of
 * it stays; at the prompt it ends the program, as the end of the input does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat_stream.h"
#include "command.h"
#include "conversation.h"
#include "output.h"
#include "sample_args.h"
#include "sampler.h"

typedef struct chat_run {
    cli_sample_args args;
    cli_sampler side;
    const char *chat_format;
    const char *system;
    int is_plain; /* nobody looks on: no prompt signs */
    tkx_tokenizer *tokenizer;
    conversation talk;
    cli_ids stops;
    char **end_texts; /* of these, where the user gives stop strings; NULL at its end */
    const char *backend; /* that answered last */
} chat_run;

/* ---- one answer ---- */

/* Where the other side answers from now on, that is worth a word. */
static void say_side(chat_run *run, const tkx_sample_label *label)
{
    if (!run->backend || strcmp(run->backend, label->backend) != 0)
        cli_sampler_say(&run->side, label);
    run->backend = strcmp(label->backend, "local") == 0 ? "local" : "remote";
}

/* Print while it comes.  CLI_OK also for one that was cut short. */
static int follow(chat_run *run, tkx_future *future, chat_stream *stream)
{
    tkx_sampler_result *result = NULL;
    tkx_error *err = NULL;
    int is_cut = 0;

    while (!tkx_future_is_done(future)) {
        (void)chat_stream_print(stream);
        if (cli_is_interrupted() && !is_cut) {
            is_cut = 1;
            tkx_future_cancel(future);
        }
    }
    chat_stream_finish(stream);
    putchar('\n');
    cli_clear_interrupts();
    if (is_cut)
        return CLI_OK;
    if (tkx_future_take_sampler_result(future, &result, &err) != TKX_OK)
        return cli_fail(err, "no answer");
    say_side(run, &result->label);
    tkx_sampler_result_free(result);
    return CLI_OK;
}

/* What has come becomes the assistant's message. */
static int keep_answer(chat_run *run, const chat_stream *stream)
{
    char *text =
        cli_text_decode(run->tokenizer, stream->arrived.ids, stream->arrived.n_ids, NULL);
    int ok = text && conversation_answer(&run->talk, text);

    free(text);
    return ok ? CLI_OK : CLI_FAILED;
}

static int send(chat_run *run, const cli_ids *ids, chat_stream *stream)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_local_sample_options hooks = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    tkx_chunk chunk;
    int status = cli_sample_args_request(&run->args, ids, &chunk, &request);

    if (status != CLI_OK)
        return status;
    request.num_samples = 1;
    if (request.params.stop_kind == TKX_STOP_DEFAULT && run->stops.n_ids) {
        request.params.stop_kind = TKX_STOP_TOKENS;
        request.params.stop_tokens = run->stops.ids;
        request.params.n_stop = run->stops.n_ids;
    }
    hooks.on_token = chat_stream_take;
    hooks.user_data = stream;
    if (tkx_sampler_sample(run->side.sampler, &request, &hooks, 0, &future, &err) !=
        TKX_OK)
        return cli_fail(err, "no answer");
    status = follow(run, future, stream);
    tkx_future_unref(future);
    return status;
}

/* A user's message and its answer; on failure the conversation is as before. */
static int answer(chat_run *run, const char *text)
{
    chat_stream stream;
    cli_ids ids = {0};
    int status;

    if (!conversation_add(&run->talk, "user", text))
        return CLI_FAILED;
    status = conversation_ids(&run->talk, run->tokenizer, &ids);
    if (status == CLI_OK)
        status = chat_stream_open(&stream, run->tokenizer);
    if (status == CLI_OK) {
        status = send(run, &ids, &stream);
        if (status == CLI_OK)
            status = keep_answer(run, &stream);
        chat_stream_close(&stream);
    }
    if (status != CLI_OK)
        conversation_drop(&run->talk);
    cli_ids_clear(&ids);
    return status;
}

/* ---- lines ---- */

static void help(void)
{
    fputs("/clear   begin anew (the system message stays)\n"
          "/exit    end; so does the end of the input\n"
          "/help    this\n"
          "Ctrl-C ends an answer.\n",
          stderr);
}

/* 1: the conversation ends. */
static int command(chat_run *run, const char *line)
{
    if (strcmp(line, "/exit") == 0 || strcmp(line, "/quit") == 0)
        return 1;
    if (strcmp(line, "/clear") == 0)
        conversation_restart(&run->talk);
    else if (strcmp(line, "/help") == 0)
        help();
    else
        fprintf(stderr, "%s is no command; /help lists them\n", line);
    return 0;
}

static int converse(chat_run *run)
{
    char *line = NULL;
    size_t capacity = 0;
    int status = CLI_OK;
    ssize_t n;

    for (;;) {
        if (!run->is_plain) {
            fputs("> ", stdout);
            fflush(stdout);
        }
        n = getline(&line, &capacity, stdin);
        if (n < 0)
            break;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        if (line[0] == '/') {
            if (command(run, line))
                break;
        } else if (n > 0) {
            int failed = answer(run, line);

            if (failed != CLI_OK && run->is_plain) { /* nobody is there to try again */
                status = failed;
                break;
            }
        }
    }
    if (cli_is_interrupted())
        status = CLI_INTERRUPTED;
    else if (ferror(stdin) && status == CLI_OK) {
        cli_error("reading the input: %s", strerror(errno));
        status = CLI_FAILED;
    }
    if (!run->is_plain)
        putchar('\n');
    free(line);
    return status;
}

/* ---- the run ---- */

/* Stop strings of the user stand beside the ends of an answer, not in their place. */
static int add_end_texts(chat_run *run)
{
    run->end_texts = calloc(run->stops.n_ids + 1, sizeof *run->end_texts);
    if (!run->end_texts) {
        cli_error("out of memory");
        return CLI_FAILED;
    }
    for (size_t i = 0; i < run->stops.n_ids; i++) {
        run->end_texts[i] = cli_text_of_id(run->tokenizer, run->stops.ids[i]);
        if (!run->end_texts[i])
            return CLI_FAILED;
        if (run->end_texts[i][0] && !cli_list_add(&run->args.stops, run->end_texts[i]))
            return CLI_FAILED;
    }
    return CLI_OK;
}

static void free_end_texts(chat_run *run)
{
    for (size_t i = 0; run->end_texts && run->end_texts[i]; i++)
        free(run->end_texts[i]);
    free(run->end_texts);
}

static int run_all(chat_run *run)
{
    int status = cli_sampler_tokenizer(&run->side, run->args.tokenizer, &run->tokenizer);

    if (status == CLI_OK)
        status =
            cli_text_chat_format(run->tokenizer, run->chat_format, &run->talk.format);
    if (status == CLI_OK)
        status = cli_text_chat_stops(run->tokenizer, run->talk.format, &run->stops);
    if (status == CLI_OK && run->args.stops.n_items)
        status = add_end_texts(run);
    if (status == CLI_OK && run->system &&
        !conversation_add(&run->talk, "system", run->system))
        status = CLI_FAILED;
    if (status == CLI_OK)
        status = cli_sampler_open(&run->side);
    if (status != CLI_OK)
        return status;
    cli_catch_interrupts();
    return converse(run);
}

/* -1 to go on, or CLI_USAGE. */
static int check(chat_run *run)
{
    int status = cli_sampler_check(&run->side);

    if (status == CLI_OK)
        status = cli_sample_params_check(&run->args);
    return status == CLI_OK ? -1 : status;
}

int cmd_chat(int argc, char **argv)
{
    chat_run run = {.args = CLI_SAMPLE_ARGS_INIT,
                    .side = CLI_SAMPLER_INIT,
                    .is_plain = !isatty(STDIN_FILENO)};
    cli_option options[CLI_MAX_OPTIONS];
    const cli_option ours[] = {
        {"system", CLI_STRING, &run.system, "TEXT", "the system message", 0, 0, NULL},
        {"chat-format", CLI_STRING, &run.chat_format, "NAME",
         "of the conversation (what the model's template says)", 0, 0, NULL},
        {"no-thinking", CLI_FLAG, &run.talk.no_thinking, NULL,
         "qwen3: answer without a thought", 0, 0, NULL},
    };
    const cli_syntax syntax = {
        "chat (--local MODEL [--adapter DIR|TAR] | --base-model NAME | --model-path "
        "PATH) [options]",
        "Talk with a model, a line at a time. /help lists the commands.", options, 0, 0};
    int status;

    cli_sampler_remote_options(
        &run.side,
        cli_sample_params_options(
            &run.args,
            cli_sampler_local_options(
                &run.side, cli_options_add(options, ours, sizeof ours / sizeof *ours))));
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status < 0)
        status = check(&run);
    if (status < 0)
        status = run_all(&run);
    cli_sampler_close(&run.side);
    conversation_clear(&run.talk);
    tkx_tokenizer_unref(run.tokenizer);
    cli_ids_clear(&run.stops);
    free_end_texts(&run);
    cli_sample_args_clear(&run.args);
    return status;
}
