/* SPDX-License-Identifier: Apache-2.0 */
/* client/custom_report.h - what a custom loss said besides its gradients. */
#ifndef TKX_CLIENT_CUSTOM_REPORT_H
#define TKX_CLIENT_CUSTOM_REPORT_H

#include <tkx/custom_loss.h>

#include "base/arena.h"

struct tkx_custom_report {
    tkx__arena arena;
    tkx_metric *metrics; /* [n_metrics] */
    size_t n_metrics, capacity;
    double loss;
    char failure[256]; /* "": none */
};

void tkx__custom_report_init(tkx_custom_report *report);
void tkx__custom_report_clear(tkx_custom_report *report);

/* Into the backward pass's output: "loss:sum" becomes "surrogate_loss:sum", the report's
   loss and metrics win over the service's. */
tkx_status tkx__custom_report_apply(const tkx_custom_report *report,
                                    tkx_forward_backward_output *output, tkx_error **err);

#endif
