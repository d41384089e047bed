/* SPDX-License-Identifier: Apache-2.0 */
/* strict.c - the members of each request, those of the 0.25 generation and the newer
 * ones. */
#include "mock_server/strict.h"

#include <string.h>

typedef struct row {
    const char *pattern;
    const char *old_keys; /* between blanks */
    const char *new_keys;
} row;

static const row rows[] = {
    {"/client/config", " sdk_version ", ""},
    {"/client/dynamic_config", " sdk_version ", ""},
    {"/create_session", " tags user_metadata sdk_version project_id type ",
     " display_name "},
    {"/session_heartbeat", " session_id type ", ""},
    {"/create_model",
     " session_id model_seq_id base_model user_metadata lora_config type ",
     " optimizer_config "},
    {"/get_info", " model_id type ", ""},
    {"/unload_model", " model_id type ", ""},
    {"/optim_step", " adam_params model_id seq_id type ", " optimizer_params "},
    {"/save_weights", " model_id path seq_id ttl_seconds overwrite type ",
     " user_metadata "},
    {"/save_weights_for_sampler",
     " model_id path sampling_session_seq_id seq_id ttl_seconds type ",
     " kind user_metadata "},
    {"/save_weights_external", "",
     " model_id path seq_id ttl_seconds age_encryption_recipients type "},
    {"/load_weights",
     " model_id seq_id session_id model_seq_id base_model user_metadata path optimizer"
     " weights_access_token type ",
     " optimizer_config "},
    {"/create_sampling_session",
     " session_id sampling_session_seq_id base_model model_path type ", ""},
    {"/join_sampling_session", "", " sampling_session_id type "},
    {"/asample",
     " num_samples prompt sampling_params base_model model_path sampling_session_id "
     "seq_id"
     " prompt_logprobs topk_prompt_logprobs type ",
     " topk_sample_logprobs target_prompt_logprobs prompt_alt_tokens_k"
     " prompt_logprobs_last_n record_stability_info "},
    {"/retrieve_future", " request_id allow_metadata_only ", ""},
    {"/retrieve_futures", "", " target prev_cursor timeout retrieved_request_ids "},
    {"/cancel_future", "", " request_id "},
    {"/weights_info", " tinker_path ", ""},
    {"/copy_weights", "",
     " source_path ttl_seconds destination_project_id session_id model_seq_id"
     " weights_access_token "},
    {"/external_weights_upload_start", "",
     " base_model lora_config destination_project_id "},
    {"/external_weights_upload_finish", "", " upload_id "},
    {"/checkpoints/search", "",
     " project_ids user_metadata checkpoint_type owner base_models limit cursor "},
};

static bool has_key(const char *keys, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = keys; (p = strstr(p, key)) != NULL; p++)
        if (p > keys && p[-1] == ' ' && p[n] == ' ')
            return true;
    return false;
}

const char *strict_unknown(const char *pattern, bool is_old, const jv *body)
{
    const row *r = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].pattern, pattern) == 0)
            r = &rows[i];
    if (!r)
        return NULL;
    for (const jv *m = body->first; m; m = m->next)
        if (!has_key(r->old_keys, m->key) && (is_old || !has_key(r->new_keys, m->key)))
            return m->key;
    return NULL;
}
