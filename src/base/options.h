/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/options.h - reading an options struct of another version of the library.
 */
#ifndef TKX_BASE_OPTIONS_H
#define TKX_BASE_OPTIONS_H

#include <stddef.h>

#include <tkx/error.h>

/*
 * Copy the caller's struct over our defaults: min(struct_size, size) bytes.  Every
 * options struct begins with size_t struct_size.  from == NULL leaves the defaults.
 *
 * Errors: INVALID_ARGUMENT for size 0 (the _INIT macro was forgotten) and for a longer
 * struct whose unknown tail is not all zero (it asks for something we do not know).
 */
tkx_status tkx__options_overlay(void *to, size_t size, const void *from, const char *name,
                                tkx_error **err);

#endif
