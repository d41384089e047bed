/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/checkpoint_download.h - a checkpoint of the service as a folder on this machine.
 *
 * The folder gets adapter_config.json, adapter_model.safetensors, whatever else the
 * service packs, and last checkpoint_complete.  It is filled under another name beside
 * its place and renamed, so that a folder under its own name is a whole one.
 *
 * Each file (or the archive) is held in memory while it is fetched.
 */
#ifndef TKX_CHECKPOINT_DOWNLOAD_H
#define TKX_CHECKPOINT_DOWNLOAD_H

#include <tkx/rest.h>

TKX_BEGIN_DECLS

/* Start from TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_checkpoint_download_options {
    size_t struct_size;
    const char *tinker_path;
    const char *directory; /* the folder is made in it; made itself where missing */
    int is_forced;         /* 1: replace a folder that exists */
    size_t max_bytes;      /* of all files together; 0: 16 GiB */
} tkx_checkpoint_download_options;

#define TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT                                             \
    {                                                                                    \
        .struct_size = sizeof(tkx_checkpoint_download_options)                           \
    }

typedef struct tkx_checkpoint_download_result {
    const char *path; /* DIRECTORY/RUN_KIND_NAME */
    size_t n_files;   /* checkpoint_complete included */
    uint64_t size_bytes;
} tkx_checkpoint_download_result;

/**
 * Fetch a checkpoint into DIRECTORY/RUN_KIND_NAME.
 *
 * Checkpoints for sampling come as an archive, others by the links of an external
 * checkpoint; where a server lacks that way, the other is tried.  The future's progress
 * counts the bytes received.
 *
 * Thread:    any.
 * Ownership: @p rest and @p options are borrowed for the call; @p out is the caller's.
 * Errors:    of the call: INVALID_ARGUMENT (no path, no directory), INVALID_STATE (the
 *            folder exists), NO_MEMORY, CLOSED; of the future: those of the routes,
 *            UNSUPPORTED when the server offers neither way, PARSE for an archive or a
 *            name that must not be trusted, LIMIT, IO.
 */
TKX_API tkx_status tkx_checkpoint_download(tkx_rest *rest,
                                           const tkx_checkpoint_download_options *options,
                                           tkx_future **out, tkx_error **err);

/**
 * Move the outcome out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_checkpoint_download_result_free().  Works once.
 * Errors:    whatever the download failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_checkpoint_download(
    tkx_future *future, tkx_checkpoint_download_result **out, tkx_error **err);
/** Thread: any.  Accepts NULL. */
TKX_API void tkx_checkpoint_download_result_free(tkx_checkpoint_download_result *result);

TKX_END_DECLS
#endif
