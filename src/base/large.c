/* SPDX-License-Identifier: Apache-2.0 */
/* large.c - aligned memory, with advice to the kernel. */
#include "base/large.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

#define LINE ((size_t)64)
#define PAGE ((size_t)4096)
#define LARGE_PAGE ((size_t)2 << 20)
#define MIN_LARGE (LARGE_PAGE / 2)

void tkx__large_advise(void *memory, size_t size)
{
    size_t skip = (PAGE - (uintptr_t)memory % PAGE) % PAGE;

    if (size < MIN_LARGE)
        return;
    /* advice: no harm when it is not taken */
    (void)madvise((char *)memory + skip, (size - skip) / PAGE * PAGE, MADV_HUGEPAGE);
}

void *tkx__large_alloc(size_t size, bool is_zeroed, void **block)
{
    const size_t step = size < MIN_LARGE ? LINE : LARGE_PAGE;
    size_t whole, skip;

    *block = NULL;
    if (!tkx__add(size, step, &whole) || !tkx__add(whole, step, &whole))
        return NULL;
    *block = tkx__malloc(whole);
    if (!*block)
        return NULL;
    skip = (step - (uintptr_t)*block % step) % step;
    if (step == LARGE_PAGE) /* to the end of the last page, or it would be small ones */
        tkx__large_advise((char *)*block + skip,
                          (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
    if (is_zeroed) /* now, not by calloc, which may write before the advice */
        memset((char *)*block + skip, 0, size);
    return (char *)*block + skip;
}
