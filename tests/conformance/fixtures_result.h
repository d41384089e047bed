/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_result.h - decoded values written in the notation of expect.result. */
#ifndef TESTS_CONFORMANCE_FIXTURES_RESULT_H
#define TESTS_CONFORMANCE_FIXTURES_RESULT_H

#include <tkx/types/checkpoint.h>
#include <tkx/types/forward_backward_output.h>
#include <tkx/types/optimizer.h>
#include <tkx/types/sample_response.h>

#include "json/writer.h"

/* A float with "nan", "inf" and "-inf" as texts. */
void result_float(tkx__json_writer *w, double value);
void result_time(tkx__json_writer *w, const char *key, tkx_time_us time);
void result_pairs(tkx__json_writer *w, const char *key, const tkx_pair_list *pairs);
void result_strings(tkx__json_writer *w, const char *key, const tkx_string_list *list);
void result_size(tkx__json_writer *w, const char *key, int64_t value); /* -1: null */
void result_flag(tkx__json_writer *w, const char *key, int value);     /* -1: null */
void result_price(tkx__json_writer *w, const char *key, double value); /* NaN: null */
void result_metrics(tkx__json_writer *w, const tkx_metric *metrics, size_t n);
void result_optimizer(tkx__json_writer *w, const tkx_optimizer_config *config);

void result_sample(tkx__json_writer *w, const tkx_sample_response *r);
void result_training(tkx__json_writer *w, const tkx_forward_backward_output *o);
void result_checkpoints(tkx__json_writer *w, const tkx_checkpoint_list *list);
void result_run(tkx__json_writer *w, const tkx_training_run *run);
void result_cursor(tkx__json_writer *w, const tkx_cursor *cursor);

#endif
