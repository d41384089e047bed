/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - tkx COMMAND [options]: find the command and run it. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <tkx/version.h>

#include "command.h"
#include "output.h"

const cli_command cli_commands[] = {
    {"train sft", cmd_train_sft, "fine-tune a LoRA adapter on pairs of texts"},
    {"sample", cmd_sample, "let a model continue a prompt"},
    {"chat", cmd_chat, "talk with a model, a line at a time"},
    {"checkpoint download", cmd_checkpoint_download,
     "fetch a checkpoint as an adapter's folder"},
    {"auth login", cmd_auth_login, "store an API key for later commands"},
    {"auth status", cmd_auth_status, "which API key is used, and does it let us in"},
    {"auth logout", cmd_auth_logout, "remove the stored API key"},
    {"doctor", cmd_doctor, "check this machine and this installation"},
    {"hw fit", cmd_hw_fit, "does a model fit this machine, in which weight type"},
    {"hw", cmd_hw, "show what this machine offers a local model"},
    {"logprobs", cmd_logprobs, "score the tokens of a prompt"},
    {"tokenize", cmd_tokenize, "text to token ids, and ids to text"},
    {"version", cmd_version, "print the version"},
    {NULL, NULL, NULL},
};

/* True for "train sft" when the group is "train". */
static bool is_in_group(const cli_command *command, const char *group)
{
    size_t n = strlen(group);

    return strncmp(command->name, group, n) == 0 && command->name[n] == ' ';
}

static size_t count_group(const char *group)
{
    size_t n = 0;

    for (const cli_command *c = cli_commands; c->name; c++)
        n += is_in_group(c, group);
    return n;
}

/* All commands, or those of a group. */
static void help(FILE *to, const char *group)
{
    fprintf(to, "usage: tkx %s%sCOMMAND [options]\n\n", group ? group : "",
            group ? " " : "");
    for (const cli_command *c = cli_commands; c->name; c++)
        if (!group || is_in_group(c, group))
            fprintf(to, "  %-20s %s\n", c->name, c->summary);
    fputs("\n`tkx COMMAND --help` lists a command's options.\n", to);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* What was said names no command; it may name some of them. */
static int refuse(int argc, char **argv)
{
    if (count_group(argv[1]) == 0) {
        cli_error("unknown command '%s'", argv[1]);
        cli_hint("`tkx --help` lists the commands");
        return CLI_USAGE;
    }
    if (argc > 2 && is_help(argv[2])) {
        help(stdout, argv[1]);
        return CLI_OK;
    }
    if (argc > 2)
        cli_error("unknown command '%s %s'", argv[1], argv[2]);
    else
        cli_error("%s what?", argv[1]);
    help(stderr, argv[1]);
    return CLI_USAGE;
}

/* How many of the words name the command: 0 when they do not. */
static int n_words_matching(const cli_command *command, int n_words, char **words)
{
    const char *space = strchr(command->name, ' ');

    if (!space)
        return strcmp(words[0], command->name) == 0;
    if (n_words < 2 ||
        strncmp(words[0], command->name, (size_t)(space - command->name)) != 0 ||
        words[0][space - command->name] != '\0')
        return 0;
    return strcmp(words[1], space + 1) == 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help(stderr, NULL);
        return CLI_USAGE;
    }
    if (is_help(argv[1])) {
        help(stdout, NULL);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        return cmd_version(1, argv);
    for (const cli_command *c = cli_commands; c->name; c++) {
        int n = n_words_matching(c, argc - 1, argv + 1);

        if (n > 0) {
            int status = c->run(argc - n, argv + n);

            return cli_flush() ? status : CLI_FAILED;
        }
    }
    return refuse(argc, argv);
}
