/* SPDX-License-Identifier: Apache-2.0 */
/* client/local_response.h - results of the scheduler as responses of the service. */
#ifndef TKX_CLIENT_LOCAL_RESPONSE_H
#define TKX_CLIENT_LOCAL_RESPONSE_H

#include <tkx/types/sample_response.h>

#include "infer/schedule.h"

/* A copy; NULL when memory is short.  targets: what was asked of the prompt, for the
   layout of the answer; NULL: nothing. */
tkx_sample_response *tkx__local_response(const tkx__job_result *result,
                                         const tkx_tensor *targets);

#endif
