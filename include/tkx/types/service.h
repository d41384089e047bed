/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/service.h - what a server can do, and who we are.
 */
#ifndef TKX_TYPES_SERVICE_H
#define TKX_TYPES_SERVICE_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef struct tkx_supported_model {
    const char *model_name;     /* NULL: not said */
    int64_t max_context_length; /* tokens; -1: not said */
    int trainable;              /* 0, 1; -1: not said */
    int sampleable;
} tkx_supported_model;

typedef struct tkx_server_capabilities {
    const tkx_supported_model *supported_models;
    size_t n_supported_models;
} tkx_server_capabilities;

typedef struct tkx_health {
    const char *status; /* "ok" */
} tkx_health;

/* Read from a token, unverified: for display, not for decisions. */
typedef struct tkx_identity {
    const char *user_urn;
    const char *org_urn; /* NULL: the token names none */
    const char *email;   /* NULL: none */
} tkx_identity;

/* What an API key says about itself. */
typedef struct tkx_api_key_info {
    int64_t key_id;
    const char *name;
    const char *note;
    const char *org_name;
    const char *user_email;
} tkx_api_key_info;

TKX_API void tkx_server_capabilities_free(tkx_server_capabilities *capabilities);
TKX_API void tkx_health_free(tkx_health *health);
TKX_API void tkx_identity_free(tkx_identity *identity);
TKX_API void tkx_api_key_info_free(tkx_api_key_info *info);

TKX_END_DECLS
#endif
