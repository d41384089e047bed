/* SPDX-License-Identifier: Apache-2.0 */
/* owner.c - whose things a search looks at: own ones, all, or those of some users. */
#include "types/owner.h"

void tkx__owner_write(tkx__json_writer *w, const char *type, const tkx_string_list *urns)
{
    tkx__json_put_key(w, "owner");
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "type", type);
    if (urns->count) {
        tkx__json_put_key(w, "owner_urns");
        tkx__json_put_strings(w, urns->items, urns->count);
    }
    tkx__json_end_object(w);
}
