/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/work.h - scratch memory of one thread: a block that is handed out front to back.
 *
 * Blocks are kept between calls in the engine, so that a training step does not fault in
 * hundreds of MiB of fresh pages each time.
 */
#ifndef MOCK_NN_WORK_H
#define MOCK_NN_WORK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct nn_work {
    char *data;
    size_t capacity;
    size_t used; /* what was asked for, also beyond the capacity */
    struct nn_work *next;
} nn_work;

typedef struct nn_work_list nn_work_list;

nn_work_list *nn_work_list_new(void);
void nn_work_list_free(nn_work_list *list);

/* A block of at least size bytes, all free; NULL when memory is short. */
nn_work *nn_work_get(nn_work_list *list, size_t size);
void nn_work_put(nn_work_list *list, nn_work *work); /* accepts NULL */

/*
 * count * size bytes at a multiple of 64, not zeroed.  With data NULL (measuring) or no
 * room left it only counts, and returns NULL: plan with an empty work, then run with one
 * of work.used bytes.
 */
void *nn_take(nn_work *work, size_t count, size_t size);

static inline float *nn_take_floats(nn_work *work, size_t rows, size_t columns)
{
    size_t n;

    if (__builtin_mul_overflow(rows, columns, &n))
        n = (size_t)-1;
    return nn_take(work, n, sizeof(float));
}

#endif
