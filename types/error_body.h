/* SPDX-License-Identifier: Apache-2.0 */
/* types/error_body.h - what a body of a failed request says, whoever wrote it. */
#ifndef TKX_TYPES_ERROR_BODY_CODEC_H
#define TKX_TYPES_ERROR_BODY_CODEC_H

#include <tkx/error.h>
#include <tkx/types/common.h>

typedef struct tkx__error_body {
    const char *message; /* never NULL; at most about 2,000 bytes, valid UTF-8 */
    bool is_json;
    bool has_detail; /* a "detail" member: the service itself answered, not a proxy */
} tkx__error_body;

/* Never fails for want of sense; NO_MEMORY only.  bytes may be NULL. */
tkx_status tkx__error_body_decode(const void *bytes, size_t size, tkx__error_body **out,
                                  tkx_error **err);
void tkx__error_body_free(tkx__error_body *body);

#endif
