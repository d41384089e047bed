/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation_record.c - what an operation tells its recorder, if it has one.
 */
#include "api/operation_in.h"

tkx__encoding tkx__operation_encoding(const tkx__operation *op)
{
    return op->spec.has_protobuf && !op->site->no_protobuf ? TKX__ENCODING_PROTOBUF
                                                           : TKX__ENCODING_JSON;
}

bool tkx__operation_record(tkx__operation *op, tkx__recorded_fn *fn, tkx_error **err)
{
    const tkx__record record = {
        .op = op->spec.record_as ? op->spec.record_as : op->spec.what,
        .count = op->n_parts,
        .first_seq = op->turns ? tkx__turns_seq(op->turns, op->first) : -1,
        .encoding = tkx__operation_encoding(op),
        .encode = op->spec.encode,
        .encode_arg = op->arg,
    };

    op->encoding = record.encoding;
    return op->spec.recorder->ops->record(op->spec.recorder, &record, fn, op, err);
}

bool tkx__part_record(part *p, tkx__recorded_fn *fn, tkx_error **err)
{
    tkx__operation *op = p->op;
    size_t i = (size_t)(p - op->parts);
    const tkx__record record = {
        .call = op->call,
        .op = op->spec.record_as ? op->spec.record_as : op->spec.what,
        .from = i,
        .count = 1,
        .first_seq = p->seq_id - (int64_t)i,
        .encoding = p->encoding,
        .encode = op->spec.encode,
        .encode_arg = op->arg,
    };

    return op->spec.recorder->ops->record(op->spec.recorder, &record, fn, p, err);
}

void tkx__part_tell_promise(const part *p, const char *request_id)
{
    const tkx__operation *op = p->op;

    if (op->call)
        op->spec.recorder->ops->promised(op->spec.recorder, op->call,
                                         (size_t)(p - op->parts), request_id);
}

void tkx__part_tell_end(const part *p, tkx__part_end end, const void *result,
                        const tkx_error *error)
{
    const tkx__operation *op = p->op;
    const char *path = result && op->spec.path_of ? op->spec.path_of(result) : NULL;

    if (op->call)
        op->spec.recorder->ops->ended(op->spec.recorder, op->call,
                                      (size_t)(p - op->parts), end, path, error);
}

void tkx__operation_tell_delivered(const tkx__operation *op, const tkx_error *error)
{
    /* Any other error leaves a question that a later look at the service may answer. */
    if (op->call && (!error || tkx_error_status(error) == TKX_ERR_CANCELLED))
        op->spec.recorder->ops->delivered(op->spec.recorder, op->call);
}
