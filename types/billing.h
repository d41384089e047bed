/* SPDX-License-Identifier: Apache-2.0 */
/* types/billing.h - codecs of usage, storage and the audit log. */
#ifndef TKX_TYPES_BILLING_CODEC_H
#define TKX_TYPES_BILLING_CODEC_H

#include <tkx/error.h>
#include <tkx/types/billing.h>

tkx_status tkx__billing_usage_decode_json(const void *bytes, size_t size,
                                          tkx_billing_usage **out, tkx_error **err);
tkx_status tkx__checkpoint_storage_decode_json(const void *bytes, size_t size,
                                               tkx_checkpoint_storage **out,
                                               tkx_error **err);
tkx_status tkx__audit_log_decode_json(const void *bytes, size_t size, tkx_audit_log **out,
                                      tkx_error **err);

#endif
