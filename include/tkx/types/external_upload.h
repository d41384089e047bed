/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/external_upload.h - bringing an adapter that was made elsewhere.
 *
 * Three steps: tell the service what it is, PUT each file to its signed link without
 * credentials, and tell that all are there.
 */
#ifndef TKX_TYPES_EXTERNAL_UPLOAD_H
#define TKX_TYPES_EXTERNAL_UPLOAD_H

#include <tkx/types/model.h>

TKX_BEGIN_DECLS

typedef struct tkx_external_upload_request {
    const char *base_model;
    tkx_lora_config lora_config;        /* start from TKX_LORA_CONFIG_INIT */
    const char *destination_project_id; /* NULL: the account's own */
    tkx_json_member_list extra_json;
} tkx_external_upload_request;

/* Where the files go. */
typedef struct tkx_external_upload {
    const char *upload_id;
    tkx_pair_list urls; /* file name, signed link for a PUT */
    tkx_time_us expires;
} tkx_external_upload;

typedef struct tkx_external_upload_result {
    const char *tinker_path; /* of the new checkpoint */
} tkx_external_upload_result;

TKX_API void tkx_external_upload_free(tkx_external_upload *upload);
TKX_API void tkx_external_upload_result_free(tkx_external_upload_result *result);

TKX_END_DECLS
#endif
