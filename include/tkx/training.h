/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/training.h - one model being trained: its operations, in the order of the calls.
 *
 * The order of calls on one training client is the order in which the service carries
 * them out; nobody has to wait in between.  So a loop calls forward_backward, then
 * optim_step, and waits for both, or better for those of the step before.
 */
#ifndef TKX_TRAINING_H
#define TKX_TRAINING_H

#include <tkx/service.h>
#include <tkx/types/forward_backward.h>
#include <tkx/types/forward_backward_output.h>
#include <tkx/types/model.h>
#include <tkx/types/optimizer.h>
#include <tkx/types/weights.h>

TKX_BEGIN_DECLS

typedef struct tkx_training tkx_training;
typedef struct tkx_journal tkx_journal; /* tkx/journal.h */

/* Start from TKX_LORA_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_lora_options {
    size_t struct_size;
    const char *base_model;
    tkx_lora_config lora;
    const tkx_pair *user_metadata;
    size_t n_user_metadata;
    const char *optimizer;                   /* family; NULL: adamw */
    const tkx_json_member *optimizer_fields; /* more of it; dimuon's version is 1 */
    size_t n_optimizer_fields;
    int64_t timeout_ms;              /* of the call; 0: the context's call_timeout_ms */
    tkx_json_member_list extra_json; /* more members of the request */
    /* Writes the run down (tkx/journal.h); held as long as needed.  A model without a
       seed gets one, so that it can be made again.  NULL: nothing is written. */
    tkx_journal *journal;
} tkx_lora_options;

#define TKX_LORA_OPTIONS_INIT                                                            \
    {                                                                                    \
        .struct_size = sizeof(tkx_lora_options), .lora = TKX_LORA_CONFIG_INIT            \
    }

/**
 * Make a new LoRA model.  The future's result: tkx_future_take_training().
 *
 * Thread:    any.
 * Ownership: @p options is borrowed for the call; @p out is the caller's.
 * Errors:    INVALID_ARGUMENT (no base model, or nothing to train), NO_MEMORY, CLOSED.
 */
TKX_API tkx_status tkx_service_create_lora(tkx_service *service,
                                           const tkx_lora_options *options,
                                           tkx_future **out, tkx_error **err);

/* Start from TKX_CHECKPOINT_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_checkpoint_options {
    size_t struct_size;
    const char *path;       /* tinker://RUN/weights/NAME */
    int with_optimizer;     /* 1: Adam's moments too */
    const char *base_model; /* instead of the recorded one; NULL: that */
    const tkx_pair *user_metadata;
    size_t n_user_metadata;
    const char *weights_access_token; /* for a checkpoint of another account */
    int64_t timeout_ms;               /* of the call; 0: the context's call_timeout_ms */
    const char *optimizer; /* family, without with_optimizer only; NULL: adamw */
    const tkx_json_member *optimizer_fields;
    size_t n_optimizer_fields;
    tkx_json_member_list extra_json; /* more members of the load_weights request */
    tkx_journal *journal; /* as for tkx_lora_options; not with an access token */
} tkx_checkpoint_options;

#define TKX_CHECKPOINT_OPTIONS_INIT                                                      \
    {                                                                                    \
        .struct_size = sizeof(tkx_checkpoint_options)                                    \
    }

/**
 * Make a model from a saved one, in one request where the service can, else step by step.
 * The future's result: tkx_future_take_training().
 *
 * Thread:    any.
 * Ownership: @p options is borrowed for the call; @p out is the caller's.
 * Errors:    INVALID_ARGUMENT (no path, or an optimizer beside with_optimizer),
 *            UNSUPPORTED (a journal beside an access token), NO_MEMORY, CLOSED.
 */
TKX_API tkx_status tkx_service_create_from_checkpoint(
    tkx_service *service, const tkx_checkpoint_options *options, tkx_future **out,
    tkx_error **err);

/**
 * Move the client out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_training_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_training(tkx_future *future, tkx_training **out,
                                            tkx_error **err);

/** Let go of the client; what was called goes on.  Thread: any.  Accepts NULL. */
TKX_API void tkx_training_free(tkx_training *training);

/**
 * OK, or CLIENT_BROKEN with the cause: an earlier submit was lost, so the service may
 * wait for a number for ever, and every later call fails.  Go on from the last saved
 * state with a new client.  Thread: any.
 */
TKX_API tkx_status tkx_training_check(const tkx_training *training, tkx_error **err);

/** The model's id.  Borrowed from @p training.  Thread: any. */
TKX_API const char *tkx_training_model_id(const tkx_training *training);

/** What the service said about the model when it was made; NULL when it said nothing.
    Borrowed from @p training.  Thread: any. */
TKX_API const tkx_model_info *tkx_training_info(const tkx_training *training);

/* Start from TKX_FORWARD_OPTIONS_INIT. */
typedef struct tkx_forward_options {
    size_t struct_size;
    const tkx_loss_setting *settings; /* of the loss */
    size_t n_settings;
    /* Told, once, on the loop thread: the datums are not needed any more.  NULL: wait for
       the future instead, which is later. */
    void (*on_released)(void *user_data);
    void *user_data;
    int64_t timeout_ms; /* of the call; 0: the context's call_timeout_ms */
} tkx_forward_options;

#define TKX_FORWARD_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_forward_options)                                       \
    }

/**
 * Compute the loss of some datums and add its gradients to those of the model.  Large
 * calls go out in several requests; the results come back as one.  The future's result:
 * tkx_future_take_forward_backward().
 *
 * Thread:    any.
 * Ownership: @p data, all it points to, the loss name and @p options' settings are
 *            borrowed until the future has completed.  After a cancel or a close that is
 *            not enough: wait for on_released, or free the client and the context first.
 *            @p out is the caller's.
 * Shapes:    data[n_data]; output i of the result belongs to datum i.
 * Errors:    of the call: INVALID_ARGUMENT for no data or data that cannot be encoded (no
 *            number was used up), NO_MEMORY, CLOSED.  Of the future, besides those of the
 *            service: CLIENT_BROKEN after an earlier submit was lost.
 */
TKX_API tkx_status tkx_training_forward_backward(tkx_training *training,
                                                 const tkx_datum *data, size_t n_data,
                                                 const char *loss_fn,
                                                 const tkx_forward_options *options,
                                                 tkx_future **out, tkx_error **err);

/** The same without gradients: nothing is added to the model's.  All else as above. */
TKX_API tkx_status tkx_training_forward(tkx_training *training, const tkx_datum *data,
                                        size_t n_data, const char *loss_fn,
                                        const tkx_forward_options *options,
                                        tkx_future **out, tkx_error **err);

/**
 * Move the outputs out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_forward_backward_output_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_forward_backward(tkx_future *future,
                                                    tkx_forward_backward_output **out,
                                                    tkx_error **err);

/* Start from TKX_OPTIM_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_optim_options {
    size_t struct_size;
    const tkx_adam_params *adam;     /* NULL: defaults, unless there is dimuon */
    const tkx_dimuon_params *dimuon; /* instead, for a model of that family */
    int64_t timeout_ms;              /* of the call; 0: the context's call_timeout_ms */
    tkx_json_member_list extra_json; /* more members of the request */
} tkx_optim_options;

#define TKX_OPTIM_OPTIONS_INIT                                                           \
    {                                                                                    \
        .struct_size = sizeof(tkx_optim_options)                                         \
    }

/**
 * One step of the optimizer with the gradients gathered so far.  The future's result:
 * tkx_future_take_optim_step().
 *
 * Thread:    any.
 * Ownership: @p options may be NULL: Adam with its defaults.  @p out is the caller's.
 * Errors:    of the call: INVALID_ARGUMENT for parameters of both families or that cannot
 *            be encoded (no number was used up), NO_MEMORY, CLOSED.  Of the future: as
 *            for tkx_training_forward_backward().
 */
TKX_API tkx_status tkx_training_optim_step(tkx_training *training,
                                           const tkx_optim_options *options,
                                           tkx_future **out, tkx_error **err);

/**
 * Move the result out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_optim_step_result_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_optim_step(tkx_future *future,
                                              tkx_optim_step_result **out,
                                              tkx_error **err);

/* Start from TKX_SAVE_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_save_options {
    size_t struct_size;
    int64_t ttl_seconds; /* 0: never expires */
    int overwrite;       /* 1: replace a checkpoint of that name (training state only) */
    const tkx_pair *user_metadata;
    size_t n_user_metadata;
    tkx_json_member_list extra_json; /* more members of the request */
    int64_t timeout_ms;              /* of the call; 0: the context's call_timeout_ms */
} tkx_save_options;

#define TKX_SAVE_OPTIONS_INIT                                                            \
    {                                                                                    \
        .struct_size = sizeof(tkx_save_options)                                          \
    }

/**
 * Save weights and optimizer state under a name.  The future's result:
 * tkx_future_take_save_weights().
 *
 * Thread:    any.
 * Ownership: @p name is copied; @p options may be NULL; @p out is the caller's.
 * Errors:    of the call: INVALID_ARGUMENT without a name, NO_MEMORY, CLOSED.  Of the
 *            future: as for tkx_training_forward_backward(); REQUEST_FAILED for a name
 *            that is taken.
 */
TKX_API tkx_status tkx_training_save_state(tkx_training *training, const char *name,
                                           const tkx_save_options *options,
                                           tkx_future **out, tkx_error **err);

/** Save the weights for sampling, under a name.  All else as above. */
TKX_API tkx_status tkx_training_save_weights_for_sampler(tkx_training *training,
                                                         const char *name,
                                                         const tkx_save_options *options,
                                                         tkx_future **out,
                                                         tkx_error **err);

/* Start from TKX_EXTERNAL_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_external_options {
    size_t struct_size;
    int64_t ttl_seconds;           /* 0: never expires */
    const char *const *recipients; /* age public keys; with any, every file is
                                      encrypted */
    size_t n_recipients;
    tkx_json_member_list extra_json; /* more members of the request */
    int64_t timeout_ms;              /* of the call; 0: the context's call_timeout_ms */
} tkx_external_options;

#define TKX_EXTERNAL_OPTIONS_INIT                                                        \
    {                                                                                    \
        .struct_size = sizeof(tkx_external_options)                                      \
    }

/**
 * Save the adapter as files in the common layout, for use elsewhere; their links come
 * from tkx_rest_get_external_weights_urls().  All else as above; the result has the
 * size_bytes.
 */
TKX_API tkx_status tkx_training_save_weights_external(tkx_training *training,
                                                      const char *name,
                                                      const tkx_external_options *options,
                                                      tkx_future **out, tkx_error **err);

/**
 * Move the result of any of the three saves out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_save_weights_result_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_save_weights(tkx_future *future,
                                                tkx_save_weights_result **out,
                                                tkx_error **err);

/* Start from TKX_PUBLISH_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_publish_options {
    size_t struct_size;
    int is_inflight; /* 0: the client keeps these weights; 1: a later such save moves it
                        on to newer ones */
    int64_t ttl_seconds;             /* 0: never expires */
    int64_t timeout_ms;              /* of the call; 0: the context's call_timeout_ms */
    tkx_json_member_list extra_json; /* more members of the request */
} tkx_publish_options;

#define TKX_PUBLISH_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_publish_options)                                       \
    }

/**
 * Publish the weights as they are at this place in the order of calls, without a name,
 * and make a sampling client of them.  The future's result: tkx_future_take_sampling().
 *
 * Thread:    any.
 * Ownership: @p options may be NULL; @p out is the caller's.
 * Errors:    of the call: INVALID_ARGUMENT for options that cannot be encoded, NO_MEMORY,
 *            CLOSED.  Of the future: as for tkx_training_forward_backward(); PROTOCOL
 *            when the service made no sampling session.
 */
TKX_API tkx_status tkx_training_save_weights_and_get_sampling_client(
    tkx_training *training, const tkx_publish_options *options, tkx_future **out,
    tkx_error **err);

/* Start from TKX_LOAD_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_load_options {
    size_t struct_size;
    int with_optimizer;               /* 1: Adam's moments too, else they start fresh */
    const char *weights_access_token; /* for a checkpoint of another account */
    int64_t timeout_ms;               /* of the call; 0: the context's call_timeout_ms */
    tkx_json_member_list extra_json;  /* more members of the request */
} tkx_load_options;

#define TKX_LOAD_OPTIONS_INIT                                                            \
    {                                                                                    \
        .struct_size = sizeof(tkx_load_options)                                          \
    }

/**
 * Load a saved state into this model.  Most services allow it only as the first
 * operation.  The future's result: tkx_future_take_load_weights().
 *
 * Thread:    any.
 * Ownership: @p path is copied; @p options may be NULL; @p out is the caller's.
 * Errors:    of the call: INVALID_ARGUMENT without a path, UNSUPPORTED for an access
 *            token in a run that keeps a journal, NO_MEMORY, CLOSED.  Of the future: as
 *            for tkx_training_forward_backward().
 */
TKX_API tkx_status tkx_training_load_state(tkx_training *training, const char *path,
                                           const tkx_load_options *options,
                                           tkx_future **out, tkx_error **err);

/**
 * Move the result out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_load_weights_result_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_load_weights(tkx_future *future,
                                                tkx_load_weights_result **out,
                                                tkx_error **err);

/**
 * Ask the service about the model, outside of the order of calls.  The future's result:
 * tkx_future_take_model_info().
 *
 * Thread:    any.
 * Ownership: @p out is the caller's.
 * Units:     @p timeout_ms from now until the future fails with TIMEOUT; 0: the context's
 *            call_timeout_ms.
 */
TKX_API tkx_status tkx_training_get_info(tkx_training *training, int64_t timeout_ms,
                                         tkx_future **out, tkx_error **err);

/**
 * Move the answer out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_model_info_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_model_info(tkx_future *future, tkx_model_info **out,
                                              tkx_error **err);

/**
 * Ask an older server to drop the model from its memory; newer services have no such
 * route, which counts as done.  Stands outside of the order of calls: wait for the others
 * first.  Completes without a result.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's.
 * Units:     @p timeout_ms as above.
 */
TKX_API tkx_status tkx_training_unload(tkx_training *training, int64_t timeout_ms,
                                       tkx_future **out, tkx_error **err);

TKX_END_DECLS
#endif
