/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/export.h - marks what the shared library exports, and C linkage for C++ users.
 */
#ifndef TKX_EXPORT_H
#define TKX_EXPORT_H

#if defined(__GNUC__)
#define TKX_API __attribute__((visibility("default")))
#define TKX_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#else
#define TKX_API
#define TKX_PRINTF(fmt_at, args_at)
#endif

#ifdef __cplusplus
#define TKX_BEGIN_DECLS extern "C" {
#define TKX_END_DECLS }
#else
#define TKX_BEGIN_DECLS
#define TKX_END_DECLS
#endif

#endif
