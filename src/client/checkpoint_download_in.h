/* SPDX-License-Identifier: Apache-2.0 */
/* client/checkpoint_download_in.h - the inside of a download: its links, and the rest. */
#ifndef TKX_CLIENT_CHECKPOINT_DOWNLOAD_IN_H
#define TKX_CLIENT_CHECKPOINT_DOWNLOAD_IN_H

#include <tkx/checkpoint_download.h>

#include "client/download_files.h"
#include "client/rest.h"

typedef enum download_way { WAY_ARCHIVE = 0, WAY_EXTERNAL, N_WAYS } download_way;

typedef struct download {
    tkx__task task; /* first */
    tkx__op op;     /* listed while a transfer or a pause is under way */
    char *path;
    tkx__download_dir dir;
    download_way way;
    bool was_tried[N_WAYS];
    tkx_error *first_error; /* of the way that was tried first */
    tkx_archive_url *archive;
    tkx_external_weights_urls *links;
    tkx_pair *files; /* of links, by name; the texts are theirs */
    size_t n_files;
    size_t next;           /* of files */
    size_t n_since_signed; /* files that these links gave */
    tkx__transfer *transfer;
    tkx__timer *timer;
    unsigned n_attempts; /* for this link */
    char *body;          /* on its way to the disk */
    size_t body_size;
    tkx_error *disk_error;
} download;

/* Ends it; error is taken, and d is gone. */
void tkx__download_fail(download *d, tkx_error *error);
/* True when nobody wants it any more, or nothing may be sent: d is gone then. */
bool tkx__download_is_over(download *d);

/* Ask for links in the way d says; then fetch, or the other way, or the end. */
void tkx__download_ask(download *d);
/* Fetch what is next. */
void tkx__download_fetch(download *d);

#endif
