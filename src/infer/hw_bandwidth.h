/* SPDX-License-Identifier: Apache-2.0 */
/* infer/hw_bandwidth.h - memory bandwidth, measured. */
#ifndef TKX_INFER_HW_BANDWIDTH_H
#define TKX_INFER_HW_BANDWIDTH_H

#include <stddef.h>

/*
 * Bytes per second that n_threads read, each its own bytes_per_thread in 8 streams; the
 * best of n_passes.  0 when memory is short.
 */
double tkx__hw_read_bandwidth(size_t n_threads, size_t bytes_per_thread, int n_passes);

#endif
