/* SPDX-License-Identifier: Apache-2.0 */
/* roof.h - what the machine itself can do, measured in the run that is compared with it.
 */
#ifndef TESTS_BENCH_ROOF_H
#define TESTS_BENCH_ROOF_H

#include <stddef.h>

double bench_now(void); /* seconds, monotonic */

/* Bytes per second that n_threads read from a buffer far larger than the caches, each in
   8 streams; the best of some passes.  0 when memory is short. */
double roof_read(size_t n_threads);

/* Multiply-adds of float32 per second, times 2; 0 where there is no vector loop for it.
 */
double roof_fma(size_t n_threads);

#endif
