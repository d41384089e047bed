/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - what a fuzz target defines. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Feed the bytes to a decoder; always 0.  Wrong behaviour is a crash or an abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
