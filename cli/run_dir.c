/* SPDX-License-Identifier: Apache-2.0 */
/* run_dir.c - see run_dir.h.  Everything is kept in the journal's notes. */
#include "run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "command.h"
#include "output.h"

int cli_run_dir_open(cli_run_dir *dir)
{
    char path[4096];
    tkx_error *err = NULL;

    if (!dir->folder)
        return CLI_OK;
    if (mkdir(dir->folder, 0777) != 0 && errno != EEXIST) {
        cli_error("cannot make the folder %s: %s", dir->folder, strerror(errno));
        return CLI_FAILED;
    }
    if ((size_t)snprintf(path, sizeof path, "%s/journal.sqlite", dir->folder) >=
        sizeof path) {
        cli_error("the name of the folder is too long");
        return CLI_FAILED;
    }
    if (tkx_journal_open(path, NULL, &dir->journal, &err) != TKX_OK)
        return cli_fail(err, "the run in %s", dir->folder);
    return CLI_OK;
}

void cli_run_dir_close(cli_run_dir *dir)
{
    tkx_journal_close(dir->journal);
    dir->journal = NULL;
}

static int check_one(cli_run_dir *dir, const cli_setting *setting)
{
    char kept[256];
    tkx_error *err = NULL;
    tkx_status st =
        tkx_journal_get_note(dir->journal, setting->name, kept, sizeof kept, &err);

    if (st == TKX_ERR_NOT_FOUND) {
        tkx_error_free(err);
        err = NULL;
        st = tkx_journal_set_note(dir->journal, setting->name, setting->value, &err);
    } else if (st == TKX_OK && strcmp(kept, setting->value) != 0) {
        cli_error("the run in %s was begun with another --%s: %s, not %s", dir->folder,
                  setting->name, kept, setting->value);
        cli_hint("use what it was begun with, or another --run-dir");
        return CLI_FAILED;
    }
    return st == TKX_OK ? CLI_OK : cli_fail(err, "the run in %s", dir->folder);
}

int cli_run_dir_check(cli_run_dir *dir, const cli_setting *settings, size_t n_settings)
{
    int status = CLI_OK;

    for (size_t i = 0; dir->journal && i < n_settings && status == CLI_OK; i++)
        status = check_one(dir, &settings[i]);
    return status;
}

int cli_run_dir_result(cli_run_dir *dir, char *path, size_t capacity)
{
    tkx_error *err = NULL;
    tkx_status st = TKX_ERR_NOT_FOUND;

    path[0] = '\0';
    if (dir->journal)
        st = tkx_journal_get_note(dir->journal, "finished", path, capacity, &err);
    if (st != TKX_OK && st != TKX_ERR_NOT_FOUND)
        return cli_fail(err, "the run in %s", dir->folder);
    tkx_error_free(err);
    return CLI_OK;
}

int cli_run_dir_finish(cli_run_dir *dir, const char *path)
{
    tkx_error *err = NULL;

    if (!dir->journal ||
        tkx_journal_set_note(dir->journal, "finished", path, &err) == TKX_OK)
        return CLI_OK;
    return cli_fail(err, "the run in %s", dir->folder);
}

int cli_setting_of_file(cli_setting *setting, const char *path)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char block[65536];
    unsigned size = 0;
    FILE *file = fopen(path, "rb");
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    int ok = file && hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

    for (size_t n; ok && (n = fread(block, 1, sizeof block, file)) > 0;)
        ok = EVP_DigestUpdate(hash, block, n) == 1;
    ok = ok && !ferror(file) && EVP_DigestFinal_ex(hash, digest, &size) == 1;
    if (file)
        fclose(file);
    EVP_MD_CTX_free(hash);
    if (!ok) {
        cli_error("cannot read %s", path);
        return CLI_FAILED;
    }
    for (unsigned i = 0; i < size; i++)
        snprintf(setting->value + (size_t)2 * i, 3, "%02x", digest[i]);
    return CLI_OK;
}
