/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/tinker_path.h - "tinker://RUN/KIND/NAME", the name of a checkpoint.
 */
#ifndef TKX_TYPES_TINKER_PATH_H
#define TKX_TYPES_TINKER_PATH_H

#include <tkx/error.h>
#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef enum tkx_path_kind {
    TKX_PATH_WEIGHTS = 0,     /* training */
    TKX_PATH_SAMPLER_WEIGHTS, /* sampler */
    TKX_PATH_EXTERNAL_WEIGHTS /* external */
} tkx_path_kind;

/* Views into the text that was parsed; not NUL-terminated. */
typedef struct tkx_tinker_path {
    const char *run_id;
    size_t run_id_size;
    tkx_path_kind kind;
    const char *checkpoint_id; /* "KIND/NAME"; the bare name in the two-part form */
    size_t checkpoint_id_size;
    const char *name;
    size_t name_size;
    bool is_two_part; /* "tinker://RUN/NAME": a sampler checkpoint of some servers */
} tkx_tinker_path;

/**
 * Take a path apart.  Also accepts the prefix twinkle:// and the two-part form.
 *
 * Ownership: @p out points into @p text.
 * Errors:    INVALID_ARGUMENT, quoting the path.
 */
TKX_API tkx_status tkx_tinker_path_parse(const char *text, tkx_tinker_path *out,
                                         tkx_error **err);

TKX_END_DECLS
#endif
