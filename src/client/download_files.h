/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/download_files.h - a folder that is filled beside its place and then renamed.
 *
 * Names come from a server and are not trusted: relative, no "..", no links followed, no
 * name twice, bounded in number and size.  One thread at a time.
 */
#ifndef TKX_CLIENT_DOWNLOAD_FILES_H
#define TKX_CLIENT_DOWNLOAD_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#define TKX__DOWNLOAD_MAX_FILES 10000

typedef struct tkx__download_dir {
    char *target;    /* where it will stand */
    char *temporary; /* where it grows; NULL: not begun */
    int fd;          /* of temporary; -1: not begun */
    bool is_forced;
    uint64_t max_bytes;
    uint64_t n_bytes;
    size_t n_files;
    bool has_config, has_tensors;
} tkx__download_dir;

/* PARSE when a name leads out of the folder or cannot be a file's. */
tkx_status tkx__download_check_name(const char *name, tkx_error **err);

/* INVALID_STATE when the target exists and is not to be replaced. */
tkx_status tkx__download_check_target(const char *target, bool is_forced,
                                      tkx_error **err);
/* Make the temporary folder, and the one around it. */
tkx_status tkx__download_open(tkx__download_dir *dir, tkx_error **err);
/* A new file of that name; -1 with err.  checkpoint_complete is not made before the end:
   is_skipped tells. */
int tkx__download_create(tkx__download_dir *dir, const char *name, bool *is_skipped,
                         tkx_error **err);
/* Append to it; name is for messages. */
tkx_status tkx__download_write(tkx__download_dir *dir, int fd, const char *name,
                               const void *bytes, size_t size, tkx_error **err);
/* To the disk and closed. */
tkx_status tkx__download_close_file(int fd, const char *name, tkx_error **err);
/* One file from memory. */
tkx_status tkx__download_put(tkx__download_dir *dir, const char *name, const void *bytes,
                             size_t size, tkx_error **err);
/* All members of a tar or gzipped tar. */
tkx_status tkx__download_unpack(tkx__download_dir *dir, const void *bytes, size_t size,
                                tkx_error **err);
/* Is it whole?  Then checkpoint_complete is written and the folder takes its place. */
tkx_status tkx__download_finish(tkx__download_dir *dir, tkx_error **err);
/* Remove what was not finished, free the texts. */
void tkx__download_clear(tkx__download_dir *dir);

#endif
