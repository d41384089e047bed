/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - the overlay rule of all options structs, in one place. */
#include "base/options.h"

#include <string.h>

#include "base/error.h"

tkx_status tkx__options_overlay(void *to, size_t size, const void *from, const char *name,
                                tkx_error **err)
{
    const unsigned char *bytes = from;
    size_t given;

    if (!from)
        return TKX_OK;
    memcpy(&given, from, sizeof given);
    if (given < sizeof given)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "%s.struct_size is %zu: start from its _INIT macro", name,
                         given);
    for (size_t i = size; i < given; i++)
        if (bytes[i] != 0)
            return tkx__fail(
                err, TKX_ERR_INVALID_ARGUMENT,
                "%s is %zu bytes, this library knows %zu, and the rest is not "
                "zero: the program was built for a newer tkx",
                name, given, size);
    memcpy(to, from, given < size ? given : size);
    memcpy(to, &size, sizeof size); /* from here on it is a struct of ours */
    return TKX_OK;
}
