/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_records.h - the client's records in the notation of expect.result. */
#ifndef TESTS_CONFORMANCE_FIXTURES_RECORDS_H
#define TESTS_CONFORMANCE_FIXTURES_RECORDS_H

#include <tkx/types/billing.h>
#include <tkx/types/checkpoint.h>
#include <tkx/types/custom_loss.h>
#include <tkx/types/model.h>
#include <tkx/types/service.h>
#include <tkx/types/session.h>
#include <tkx/types/weights.h>

#include "fixtures_result.h"

void record_optim(tkx__json_writer *w, const tkx_optim_step_result *v);
void record_saved(tkx__json_writer *w, const tkx_save_weights_result *v);
void record_loaded(tkx__json_writer *w, const tkx_load_weights_result *v);
void record_created(tkx__json_writer *w, const tkx_create_model_result *v);
void record_copied(tkx__json_writer *w, const tkx_copy_weights_result *v);
void record_custom_loss(tkx__json_writer *w, const tkx_create_custom_loss_result *v);
void record_capabilities(tkx__json_writer *w, const tkx_server_capabilities *v);
void record_health(tkx__json_writer *w, const tkx_health *v);
void record_identity(tkx__json_writer *w, const tkx_identity *v);
void record_model_info(tkx__json_writer *w, const tkx_model_info *v);
void record_weights_info(tkx__json_writer *w, const tkx_weights_info *v);
void record_runs(tkx__json_writer *w, const tkx_training_run_list *v);
void record_urls(tkx__json_writer *w, const tkx_external_weights_urls *v);
void record_archive(tkx__json_writer *w, const tkx_archive_url *v);
void record_sessions(tkx__json_writer *w, const tkx_session_list *v);
void record_session(tkx__json_writer *w, const tkx_session_info *v);
void record_found(tkx__json_writer *w, const tkx_session_search_result *v);
void record_trace(tkx__json_writer *w, const tkx_trace_export *v);
void record_sampler(tkx__json_writer *w, const tkx_sampler_info *v);
void record_audit(tkx__json_writer *w, const tkx_audit_log *v);
void record_usage(tkx__json_writer *w, const tkx_billing_usage *v);
void record_storage(tkx__json_writer *w, const tkx_checkpoint_storage *v);

#endif
