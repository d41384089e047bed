/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - the tape between a context and its loop.
 */
#include <string.h>

#include <tkx/record.h>

#include "base/error.h"
#include "base/options.h"
#include "client/context_impl.h"

tkx_status tkx__context_read_record(const tkx_context_options *options,
                                    tkx_record_options *out, tkx_error **err)
{
    tkx_status st;

    *out = (tkx_record_options)TKX_RECORD_OPTIONS_INIT;
    st = tkx__options_overlay(out, sizeof *out, options->record, "tkx_record_options",
                              err);
    if (st == TKX_OK && out->record_path && out->replay_path)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_record_options: record_path and replay_path are both "
                         "given; a replay cannot be recorded");
    return st;
}

tkx_status tkx__context_make_tape(tkx_context *context, tkx_error **err)
{
    tkx_record_options options;
    tkx_status st = tkx__context_read_record(&context->options, &options, err);
    const tkx__tape_config config = {
        .io = context->io,
        .log = &context->log,
        .base_url = context->options.base_url,
        .secret = options.record_path ? context->options.api_key : NULL,
        .path = options.record_path ? options.record_path : options.replay_path,
    };

    context->options.record = NULL; /* used up */
    if (st != TKX_OK || !config.path)
        return st;
    st = options.record_path ? tkx__tape_record(&config, &context->tape, err)
                             : tkx__tape_replay(&config, &context->tape, err);
    if (st != TKX_OK)
        return st;
    context->io = *tkx__tape_io(context->tape);
    context->is_replay = options.replay_path != NULL;
    return TKX_OK;
}

void tkx__context_free_tape(tkx_context *context)
{
    tkx__tape_counts counts;

    if (!context->tape)
        return;
    counts = tkx__tape_get_counts(context->tape);
    if (context->is_replay && counts.n_replayed < counts.n_recorded)
        tkx__log_write(&context->log, TKX_LOG_WARNING, "replay",
                       "%llu of %llu recorded exchanges were not asked for",
                       (unsigned long long)(counts.n_recorded - counts.n_replayed),
                       (unsigned long long)counts.n_recorded);
    tkx__tape_free(context->tape);
    context->tape = NULL;
}

tkx_status tkx_replay_look(const tkx_context *context, tkx_replay_info *info,
                           tkx_error **err)
{
    tkx_replay_info all = TKX_REPLAY_INFO_INIT;

    if (!info || info->struct_size < sizeof info->struct_size)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_replay_look: start from TKX_REPLAY_INFO_INIT");
    if (!context || !context->is_replay)
        return tkx__fail(err, TKX_ERR_INVALID_STATE, "the context replays nothing");
    tkx__tape_counts counts = tkx__tape_get_counts(context->tape);
    all.n_recorded = counts.n_recorded;
    all.n_replayed = counts.n_replayed;
    all.n_mismatched = counts.n_mismatched;
    all.struct_size = info->struct_size; /* a shorter struct gets what it knows */
    memcpy(info, &all, all.struct_size < sizeof all ? all.struct_size : sizeof all);
    return TKX_OK;
}
