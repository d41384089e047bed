/* SPDX-License-Identifier: Apache-2.0 */
/* paths.h - tinker paths, checkpoint names, and who may read a checkpoint. */
#ifndef MOCK_PATHS_H
#define MOCK_PATHS_H

#include "mock_server/server.h"

typedef struct tinker_path {
    char run[256];
    char kind[24]; /* weights, sampler_weights, external_weights */
    char name[256];
} tinker_path;

/* Letters, digits, . _ - and at most 255 of them. */
bool checkpoint_name_is_good(const char *name);
/* "training", "sampler", "external". */
const char *checkpoint_type_of(const char *kind);

typedef struct checkpoint_row {
    char tinker_path[640];
    char run[256];
    char kind[24];
    char base_model[256];
    char optimizer[512];
    char file[256];
    char owner[64];
    bool is_public;
    nn_lora_options lora;
} checkpoint_row;

/*
 * Under the lock: the checkpoint of a path that owner, or whose credential token is, may
 * read.  Errors: INVALID_ARGUMENT for no path, NOT_FOUND, PERMISSION.
 */
tkx_status checkpoint_find(mock_server *srv, const char *path, const char *owner,
                           const char *token, checkpoint_row *out, tkx_error **err);

/*
 * Under the lock: the run that a copied or uploaded checkpoint hangs on, which has no
 * weights of its own and cannot be trained.  session and project may be NULL.
 */
tkx_status checkpoint_make_run(mock_server *srv, const char *owner,
                               const checkpoint_row *of, const char *session,
                               const char *project, char run[300], tkx_error **err);

#endif
