/* SPDX-License-Identifier: Apache-2.0 */
/* types/owner.h - whose things a search looks at. */
#ifndef TKX_TYPES_OWNER_H
#define TKX_TYPES_OWNER_H

#include <tkx/types/common.h>

#include "json/writer.h"

/* "owner": {"type", "owner_urns"?} into an object that is open. */
void tkx__owner_write(tkx__json_writer *w, const char *type, const tkx_string_list *urns);

#endif
