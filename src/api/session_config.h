/* SPDX-License-Identifier: Apache-2.0 */
/* api/session_config.h - the two configuration answers, and the create_session body. */
#ifndef TKX_API_SESSION_CONFIG_H
#define TKX_API_SESSION_CONFIG_H

#include "api/session.h"
#include "base/buf.h"

/* Fill what the answer says over what is there.  PROTOCOL when it is no JSON object. */
tkx_status tkx__config_read(tkx__config *config, const char *text, size_t size,
                            tkx_error **err);
tkx_status tkx__dynamic_config_read(tkx__dynamic_config *config, const char *text,
                                    size_t size, tkx_error **err);

void tkx__put_create_session(tkx__buf *out, const tkx__session_options *options,
                             const char *sdk_version);

#endif
