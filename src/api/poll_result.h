/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/poll_result.h - the bytes that a promise settled with, read.  Any thread.
 */
#ifndef TKX_API_POLL_RESULT_H
#define TKX_API_POLL_RESULT_H

#include "api/poll.h"
#include "base/error.h"

/* The result, by the decoder of spec; err when the service failed the request or the
 * bytes cannot be read, and result is then NULL or as it was.  facts go into the error.
 */
void tkx__poll_read_result(const tkx__poll_spec *spec, const tkx__payload *payload,
                           const tkx__error_facts *facts, void **result, tkx_error **err);

#endif
