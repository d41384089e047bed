/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - the table of commands, and what a command may return.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

/* argv[0] is the command's last word; options and operands follow. */
typedef int cli_run_fn(int argc, char **argv);

typedef struct cli_command {
    const char *name; /* one or two words, such as "train sft"; NULL ends the table */
    cli_run_fn *run;
    const char *summary; /* one line for `tkx --help` */
} cli_command;

extern const cli_command cli_commands[];

cli_run_fn cmd_chat;
cli_run_fn cmd_auth_login;
cli_run_fn cmd_auth_logout;
cli_run_fn cmd_auth_status;
cli_run_fn cmd_checkpoint_download;
cli_run_fn cmd_doctor;
cli_run_fn cmd_hw;
cli_run_fn cmd_hw_fit;
cli_run_fn cmd_sample;
cli_run_fn cmd_train_sft;
cli_run_fn cmd_logprobs;
/* What `tkx sample` hands over to with --local MODEL, --adapter or --backend, and whether
   one of them is given. */
cli_run_fn cmd_sample_local;
int cmd_sample_is_local(int argc, char **argv);
cli_run_fn cmd_tokenize;
cli_run_fn cmd_version;

#endif
