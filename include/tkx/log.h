/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/log.h - where a context's log lines go.  Silent unless a function is given.
 */
#ifndef TKX_LOG_H
#define TKX_LOG_H

#include <tkx/export.h>

TKX_BEGIN_DECLS

typedef enum tkx_log_level {
    TKX_LOG_ERROR = 0,
    TKX_LOG_WARNING,
    TKX_LOG_INFO,
    TKX_LOG_DEBUG,
    TKX_LOG_TRACE /* state changes; the only level that may show prompts and tokens */
} tkx_log_level;

/**
 * One line, without a newline.  @p subject names the layer, such as "net" or "session".
 *
 * Thread:    any; must not call back into tkx.
 * Ownership: both strings are borrowed for the call.
 */
typedef void tkx_log_fn(tkx_log_level level, const char *subject, const char *message,
                        void *user_data);

/** The level's name in lower case.  Thread: any. */
TKX_API const char *tkx_log_level_name(tkx_log_level level);

TKX_END_DECLS
#endif
