/* SPDX-License-Identifier: Apache-2.0 */
/* service.c - capabilities, health and identity as tables. */
#include "types/service.h"

#include <string.h>

#include "base/error.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field supported_model_fields[] = {
    TKX__FIELD(tkx_supported_model, STRING, model_name, .flags = 0),
    TKX__FIELD(tkx_supported_model, I64, max_context_length, .missing = -1),
    TKX__FIELD(tkx_supported_model, FLAG, trainable, .flags = 0),
    TKX__FIELD(tkx_supported_model, FLAG, sampleable, .flags = 0),
};
static const tkx__schema supported_model =
    TKX__SCHEMA("supported model", tkx_supported_model, supported_model_fields);

static const tkx__field capabilities_fields[] = {
    TKX__FIELD(tkx_server_capabilities, RECORDS, supported_models,
               .flags = TKX__F_REQUIRED, .sub = &supported_model),
};
static const tkx__schema capabilities = TKX__SCHEMA(
    "get_server_capabilities answer", tkx_server_capabilities, capabilities_fields);

static const tkx__field health_fields[] = {
    TKX__FIELD(tkx_health, STRING, status, .flags = TKX__F_REQUIRED),
};
static const tkx__schema health =
    TKX__SCHEMA("healthz answer", tkx_health, health_fields);

static const tkx__field key_org_fields[] = {
    TKX__NAMED(tkx_api_key_info, STRING, "name", org_name, .flags = TKX__F_REQUIRED),
};
static const tkx__schema key_org =
    TKX__SCHEMA("org_details", tkx_api_key_info, key_org_fields);

static const tkx__field key_user_fields[] = {
    TKX__NAMED(tkx_api_key_info, STRING, "email", user_email, .flags = TKX__F_REQUIRED),
};
static const tkx__schema key_user =
    TKX__SCHEMA("user_details", tkx_api_key_info, key_user_fields);

/* Nested objects whose fields stand flat in the struct: their records begin at its
   start. */
static const tkx__field key_details_fields[] = {
    {.key = "org_details",
     .kind = TKX__F_RECORD,
     .flags = TKX__F_REQUIRED,
     .sub = &key_org},
    {.key = "user_details",
     .kind = TKX__F_RECORD,
     .flags = TKX__F_REQUIRED,
     .sub = &key_user},
};
static const tkx__schema key_details =
    TKX__SCHEMA("details", tkx_api_key_info, key_details_fields);

static const tkx__field key_info_fields[] = {
    TKX__FIELD(tkx_api_key_info, I64, key_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_api_key_info, STRING, name, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_api_key_info, STRING, note, .flags = TKX__F_REQUIRED),
    {.key = "details",
     .kind = TKX__F_RECORD,
     .flags = TKX__F_REQUIRED,
     .sub = &key_details},
};
static const tkx__schema key_info =
    TKX__SCHEMA("auth/apikey/me answer", tkx_api_key_info, key_info_fields);

typedef struct claims {
    tkx_identity identity;
    const char *org_id;
} claims;

static const tkx__field claims_fields[] = {
    TKX__NAMED(claims, STRING, "sub", identity.user_urn, .flags = TKX__F_REQUIRED),
    TKX__NAMED(claims, STRING, "email", identity.email, .flags = 0),
    TKX__FIELD(claims, STRING, org_id, .flags = 0),
};
static const tkx__schema claims_schema = TKX__SCHEMA("claims", claims, claims_fields);

tkx_status tkx__server_capabilities_decode_json(const void *bytes, size_t size,
                                                tkx_server_capabilities **out,
                                                tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&capabilities, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_server_capabilities_free(tkx_server_capabilities *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__health_decode_json(const void *bytes, size_t size, tkx_health **out,
                                   tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&health, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_health_free(tkx_health *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__api_key_info_decode_json(const void *bytes, size_t size,
                                         tkx_api_key_info **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&key_info, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_api_key_info_free(tkx_api_key_info *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__identity_decode_json(const void *bytes, size_t size, tkx_identity **out,
                                     tkx_error **err)
{
    static const char prefix[] = "tml:organization:";
    void *object;
    claims *c;
    tkx_status st = tkx__schema_decode(&claims_schema, bytes, size, &object, err);

    *out = NULL;
    if (st != TKX_OK)
        return st;
    c = object;
    if (c->org_id) {
        size_t n = strlen(c->org_id);
        char *urn = tkx__arena_alloc(tkx__owned_arena(object), sizeof prefix + n, 1);

        if (!urn) {
            tkx__owned_free(object);
            return tkx__fail_memory(err);
        }
        memcpy(urn, prefix, sizeof prefix - 1);
        memcpy(urn + sizeof prefix - 1, c->org_id, n + 1);
        c->identity.org_urn = urn;
    }
    if (c->identity.email && !*c->identity.email)
        c->identity.email = NULL;
    *out = &c->identity; /* its first member: freed as the whole */
    return TKX_OK;
}

void tkx_identity_free(tkx_identity *object)
{
    tkx__owned_free(object);
}
