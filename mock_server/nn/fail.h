/* SPDX-License-Identifier: Apache-2.0 */
/* nn/fail.h - errors that say whose fault it is. */
#ifndef MOCK_NN_FAIL_H
#define MOCK_NN_FAIL_H

#include <tkx/error.h>

/* The request is wrong: category USER, HTTP status 400. */
tkx_status nn_fail_user(tkx_error **err, tkx_status status, const char *fmt, ...)
    TKX_PRINTF(3, 4);
/* Weights, files or this machine are: category SERVER. */
tkx_status nn_fail_server(tkx_error **err, tkx_status status, const char *fmt, ...)
    TKX_PRINTF(3, 4);

#endif
