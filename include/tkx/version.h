/* SPDX-License-Identifier: Apache-2.0 */
/* tkx/version.h - the version of the library at compile time and at run time. */
#ifndef TKX_VERSION_H
#define TKX_VERSION_H

#include <tkx/export.h>

TKX_BEGIN_DECLS

#define TKX_VERSION_MAJOR 0
#define TKX_VERSION_MINOR 1
#define TKX_VERSION_PATCH 0

/** "MAJOR.MINOR.PATCH" of the library in use.  Thread: any. */
TKX_API const char *tkx_version(void);

TKX_END_DECLS
#endif
