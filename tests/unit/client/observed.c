/* SPDX-License-Identifier: Apache-2.0 */
/* observed.c - see observed.h. */
#include "observed.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

scripted s;
char path[64];
tkx_metrics_options metrics_options;
tkx_trace_options trace_options;
bool has_metrics;

static void tune(tkx_context_options *options)
{
    options->trace = &trace_options;
    if (has_metrics)
        options->metrics = &metrics_options;
}

void set_up(void)
{
    s = (scripted){.tune = tune};
    metrics_options = (tkx_metrics_options)TKX_METRICS_OPTIONS_INIT;
    trace_options = (tkx_trace_options)TKX_TRACE_OPTIONS_INIT;
    has_metrics = false;
    snprintf(path, sizeof path, "/tmp/tkx-observe-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

void tear_down(void)
{
    unlink(path);
}

/* --- work ------------------------------------------------------------------------ */

void finish(tkx_future *future, tkx_status status)
{
    scripted_expect(&s, future, status);
    tkx_future_unref(future);
}

static tkx_future *forward_backward(tkx_training *t, size_t n)
{
    static tkx_datum data[3000];
    tkx_future *future;

    for (size_t i = 0; i < n; i++)
        data[i] = scripted_datum;
    ck_assert_int_eq(tkx_training_forward_backward(t, data, n, TKX_LOSS_CROSS_ENTROPY,
                                                   NULL, &future, NULL),
                     TKX_OK);
    return future;
}

tkx_future *sample(tkx_sampling *sampling)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *future;

    request.prompt = (tkx_model_input){&scripted_chunk, 1};
    request.params.has_max_tokens = true;
    request.params.max_tokens = 4;
    ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &future, NULL), TKX_OK);
    return future;
}

/* A step of three chunks, a sample, a submit that is tried four times. */
void work(void)
{
    tkx_training *t = scripted_lora(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    tkx_future *step, *optim, *asample;

    step = forward_backward(t, 2500);
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &optim, NULL), TKX_OK);
    asample = sample(sampling);
    finish(step, TKX_OK);
    finish(optim, TKX_OK);
    finish(asample, TKX_OK);
    s.busy = "optim_step";
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &optim, NULL), TKX_OK);
    fake_io_advance(s.io, 1200); /* 0, 375 and 1,125 ms */
    s.busy = NULL;
    fake_io_advance(s.io, 10000);
    finish(optim, TKX_OK);
    tkx_training_free(t);
    tkx_sampling_free(sampling);
}

char *read_file(size_t *size)
{
    FILE *from = fopen(path, "r");

    ck_assert_ptr_nonnull(from);
    char *text = calloc(1, 4 << 20);
    *size = fread(text, 1, (4 << 20) - 1, from);
    fclose(from);
    return text;
}
