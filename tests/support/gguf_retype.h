/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gguf_retype.h - a GGUF model with its quantised matrices in another type, of chance
 * bits.
 *
 * There are more weight types than models at hand; what the numbers are does not matter
 * to those who only ask whether two readers agree on them.
 */
#ifndef TESTS_SUPPORT_GGUF_RETYPE_H
#define TESTS_SUPPORT_GGUF_RETYPE_H

#include "model/dtype.h"

/* Matrices whose rows are whole blocks of the type; vectors stay.  Fails the test. */
void gguf_retype(const char *from, const char *to, tkx__dtype dtype);

#endif
