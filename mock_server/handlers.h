/* SPDX-License-Identifier: Apache-2.0 */
/* handlers.h - every handler of the route table; docs/design/mock_server.md groups
   them. */
#ifndef MOCK_HANDLERS_H
#define MOCK_HANDLERS_H

#include "mock_server/call.h"

/* routes_service.c */
bool handle_healthz(call *c);
bool handle_capabilities(call *c);
bool handle_client_config(call *c);
bool handle_dynamic_config(call *c);
bool handle_auth_token(call *c);
bool handle_get_apikey(call *c);
bool handle_delete_apikey(call *c);
bool handle_telemetry(call *c);

/* routes_session.c */
bool handle_create_session(call *c);
bool handle_heartbeat(call *c);
bool handle_finish(call *c);
bool handle_list_sessions(call *c);
bool handle_get_session(call *c);
bool handle_session_project(call *c);

/* routes_search.c */
bool handle_search_sessions(call *c);

/* routes_train.c */
bool handle_create_model(call *c);
bool handle_get_info(call *c);
bool handle_unload_model(call *c);
bool handle_forward_backward(call *c);
bool handle_forward(call *c);
bool handle_optim_step(call *c);
bool handle_save_weights(call *c);
bool handle_save_sampler(call *c);
bool handle_save_external(call *c);
bool handle_load_weights(call *c);

/* routes_loss.c */
bool handle_custom_loss(call *c);

/* routes_sample.c */
bool handle_create_sampler(call *c);
bool handle_join_sampler(call *c);
bool handle_get_sampler(call *c);
bool handle_asample(call *c);

/* routes_future.c */
bool handle_retrieve(call *c);
bool handle_retrieve_futures(call *c);
bool handle_cancel(call *c);

/* routes_runs.c */
bool handle_list_runs(call *c);
bool handle_get_run(call *c);
bool handle_run_checkpoints(call *c);
bool handle_list_checkpoints(call *c);
bool handle_search_checkpoints(call *c);
bool handle_weights_info(call *c);

/* routes_checkpoint.c */
bool handle_delete_checkpoint(call *c);
bool handle_publish(call *c);
bool handle_unpublish(call *c);
bool handle_ttl(call *c);
bool handle_copy_weights(call *c);

/* routes_archive.c */
bool handle_archive(call *c);
bool handle_archive_bare(call *c);
bool handle_external_urls(call *c);
bool handle_download(call *c);
bool handle_trace_export(call *c);

/* routes_upload.c */
bool handle_upload_start(call *c);
bool handle_upload_file(call *c);
bool handle_upload_finish(call *c);

/* routes_billing.c */
bool handle_audit(call *c);
bool handle_usage_events(call *c);
bool handle_storage_now(call *c);

/* routes_mock.c */
bool handle_journal(call *c);
bool handle_scenario(call *c);

#endif
