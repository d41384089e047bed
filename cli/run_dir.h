/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_dir.h - the folder of a training run that can be gone on with: its journal, and
 * what it was begun with.
 */
#ifndef CLI_RUN_DIR_H
#define CLI_RUN_DIR_H

#include <tkx/journal.h>

typedef struct cli_run_dir {
    const char *folder; /* NULL: the run is not kept */
    tkx_journal *journal;
} cli_run_dir;

/* Something that must not change between two starts. */
typedef struct cli_setting {
    const char *name; /* of the option, without dashes */
    char value[256];
} cli_setting;

/* All of these return CLI_OK, or CLI_FAILED after saying why. */

/* Make the folder if need be and open its journal. */
int cli_run_dir_open(cli_run_dir *dir);
void cli_run_dir_close(cli_run_dir *dir);

/* Keep the settings of a new run, or see that they are those of the old one. */
int cli_run_dir_check(cli_run_dir *dir, const cli_setting *settings, size_t n_settings);

/* "" while the run goes on; else where its weights were saved. */
int cli_run_dir_result(cli_run_dir *dir, char *path, size_t capacity);
int cli_run_dir_finish(cli_run_dir *dir, const char *path);

/* The SHA-256 of a file, in hex, as the value of a setting. */
int cli_setting_of_file(cli_setting *setting, const char *path);

#endif
