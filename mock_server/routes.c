/* SPDX-License-Identifier: Apache-2.0 */
/* routes.c - the table of all routes. */
#include "mock_server/handlers.h"
#include "mock_server/route.h"

#define REST ROUTE_HOSTED
#define NEW ROUTE_NEW
#define CHECKPOINT "/training_runs/{}/checkpoints/{}/{}"

const route mock_routes[] = {
    {"GET", "/healthz", handle_healthz, ROUTE_OPEN},
    {"GET", "/get_server_capabilities", handle_capabilities, 0},
    {"POST", "/client/config", handle_client_config, ROUTE_RAW_KEY | ROUTE_NOT_TWINKLE},
    {"POST", "/client/dynamic_config", handle_dynamic_config, REST},
    {"POST", "/auth/token", handle_auth_token, REST | ROUTE_RAW_KEY},
    {"GET", "/auth/apikey/me", handle_get_apikey, NEW | ROUTE_RAW_KEY},
    {"DELETE", "/auth/apikey/me", handle_delete_apikey, NEW | ROUTE_RAW_KEY},
    {"POST", "/telemetry", handle_telemetry, 0},

    {"POST", "/create_session", handle_create_session, 0},
    {"POST", "/session_heartbeat", handle_heartbeat, 0},
    {"POST", "/sessions/{}/finish", handle_finish, NEW},

    {"POST", "/create_model", handle_create_model, ROUTE_POOL},
    {"POST", "/get_info", handle_get_info, 0},
    {"POST", "/unload_model", handle_unload_model, ROUTE_POOL},
    {"POST", "/forward_backward", handle_forward_backward, ROUTE_POOL},
    {"POST", "/forward", handle_forward, ROUTE_POOL},
    {"POST", "/optim_step", handle_optim_step, ROUTE_POOL},
    {"POST", "/save_weights", handle_save_weights, ROUTE_POOL},
    {"POST", "/save_weights_for_sampler", handle_save_sampler, ROUTE_POOL},
    {"POST", "/save_weights_external", handle_save_external, ROUTE_POOL | NEW},
    {"POST", "/load_weights", handle_load_weights, ROUTE_POOL},
    {"POST", "/create_custom_loss", handle_custom_loss, ROUTE_POOL | NEW},

    {"POST", "/create_sampling_session", handle_create_sampler, 0},
    {"POST", "/join_sampling_session", handle_join_sampler, NEW},
    {"GET", "/samplers/{}", handle_get_sampler, ROUTE_NOT_TWINKLE},
    {"POST", "/asample", handle_asample, ROUTE_POOL},
    {"POST", "/retrieve_future", handle_retrieve, 0},
    {"POST", "/retrieve_futures", handle_retrieve_futures, NEW},
    {"POST", "/cancel_future", handle_cancel, NEW},

    {"GET", "/training_runs", handle_list_runs, 0},
    {"GET", "/training_runs/{}", handle_get_run, 0},
    {"GET", "/training_runs/{}/checkpoints", handle_run_checkpoints, 0},
    {"GET", "/models/{}/checkpoints", handle_run_checkpoints, 0},
    {"GET", "/checkpoints", handle_list_checkpoints, REST},
    {"POST", "/checkpoints/search", handle_search_checkpoints, NEW},
    {"POST", "/weights_info", handle_weights_info, 0},
    {"DELETE", CHECKPOINT, handle_delete_checkpoint, 0},
    {"POST", CHECKPOINT "/publish", handle_publish, REST},
    {"DELETE", CHECKPOINT "/publish", handle_unpublish, REST},
    {"PUT", CHECKPOINT "/ttl", handle_ttl, REST},
    {"GET", CHECKPOINT "/archive", handle_archive, ROUTE_NOT_TWINKLE},
    {"GET", "/training_runs/{}/checkpoints/{}/archive", handle_archive_bare,
     ROUTE_NOT_TWINKLE},
    {"GET", CHECKPOINT "/external_weights_urls", handle_external_urls, NEW},
    {"POST", "/copy_weights", handle_copy_weights, NEW},
    {"POST", "/external_weights_upload_start", handle_upload_start, NEW},
    {"POST", "/external_weights_upload_finish", handle_upload_finish, NEW | ROUTE_POOL},

    {"GET", "/sessions", handle_list_sessions, REST},
    {"POST", "/sessions/search", handle_search_sessions, NEW},
    {"GET", "/sessions/{}", handle_get_session, REST},
    {"PUT", "/sessions/{}/project", handle_session_project, REST},
    {"GET", "/sessions/{}/trace_export", handle_trace_export, REST},
    {"GET", "/audit", handle_audit, REST},
    {"GET", "/billing/usage/events", handle_usage_events, REST},
    {"GET", "/billing/usage/checkpoints/current", handle_storage_now, NEW},

    {"GET", "/download/{}", handle_download, ROUTE_ROOT | ROUTE_OPEN | ROUTE_POOL},
    {"PUT", "/download/{}", handle_upload_file, ROUTE_ROOT | ROUTE_OPEN | ROUTE_POOL},
    {"GET", "/mock/journal", handle_journal, ROUTE_ROOT | ROUTE_OPEN},
    {"POST", "/mock/scenario", handle_scenario, ROUTE_ROOT | ROUTE_OPEN},
    {0},
};
