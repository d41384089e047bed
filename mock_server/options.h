/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of tkx-mock-server as values. */
#ifndef MOCK_OPTIONS_H
#define MOCK_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef enum mock_dialect {
    DIALECT_HOSTED = 0, /* as SDK 0.38 expects it */
    DIALECT_HOSTED25,   /* as SDK 0.25 knew it */
    DIALECT_SKYRL,
    DIALECT_TWINKLE
} mock_dialect;

enum { MOCK_MAX_BASES = 16 };

typedef struct mock_base_option {
    char name[256];
    const char *path; /* borrowed from argv */
} mock_base_option;

typedef struct mock_options {
    const char *host;
    int port;
    const char *state_dir;
    const char *api_key; /* NULL: any key that begins with tml- */
    const char *scenario_path;
    const char *client_config; /* a JSON object laid over the flags of client/config */
    mock_dialect dialect;
    bool is_strict;
    int64_t jwt_s;   /* life of tokens; 0: no token exchange */
    int64_t hold_ms; /* long polls; 0: the dialect's own */
    int64_t retain_s;
    int64_t session_ms;       /* life of a session without heartbeat; 0: for ever */
    int64_t archive_delay_ms; /* how long an archive is "being built" */
    size_t metadata_bytes;    /* results from this size on are announced first */
    int n_threads;
    size_t max_models;
    size_t max_tokens;
    size_t max_memory_mb;
    size_t max_queue; /* samples waiting before 429 */
    size_t max_body_mb;
    size_t n_bases;
    mock_base_option bases[MOCK_MAX_BASES];
    bool wants_help;
} mock_options;

extern const char mock_usage[];

/* Errors: INVALID_ARGUMENT that names the flag. */
tkx_status mock_options_parse(int argc, char **argv, mock_options *out, tkx_error **err);

#endif
