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

bool tkx__poll_is_protobuf(const tkx__reply *reply);

/* The errors of a final status, and of a promise that is gone; NULL never. */
tkx_error *tkx__poll_http_error(const tkx__site *site, const tkx__poll_spec *spec,
                                const tkx__error_facts *facts, const tkx__reply *reply);
tkx_error *tkx__poll_gone_error(const tkx__poll_spec *spec, tkx__error_facts *facts);

#endif
