/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/hw_limits.h - what this process may use: CPUs and memory, cgroup included.
 */
#ifndef TKX_INFER_HW_LIMITS_H
#define TKX_INFER_HW_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* CPUs of the affinity mask, at most what the cgroup's quota pays for; at least 1. */
size_t tkx__hw_usable_cpus(void);

/* Physical memory, and what the process may have of it (the smallest limit of its cgroup
   and those above).  0 where the system does not say. */
uint64_t tkx__hw_memory_bytes(void);
uint64_t tkx__hw_memory_limit(void);
/* What a model may take of such a limit.  The margin for everything else is 5 %, at least
   1 GiB, at most a tenth. */
uint64_t tkx__hw_memory_room(uint64_t limit);
/* Free within that limit now: memory that others could give back counted. */
uint64_t tkx__hw_memory_available(void);

#endif
