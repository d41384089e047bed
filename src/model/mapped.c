/* SPDX-License-Identifier: Apache-2.0 */
/* mapped.c - a whole file mapped read-only. */
#include "model/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static tkx_status map(tkx__mapped *mapped, int fd, const char *path, tkx_error **err)
{
    struct stat sb;
    void *data;

    if (fstat(fd, &sb) != 0)
        return tkx__fail_errno(err, errno, "examine %s", path);
    if (!S_ISREG(sb.st_mode))
        return tkx__fail(err, TKX_ERR_IO, "%s is not a regular file", path);
    if (sb.st_size == 0)
        return TKX_OK;
    if ((uintmax_t)sb.st_size > SIZE_MAX)
        return tkx__fail(err, TKX_ERR_LIMIT, "%s is too large to be mapped", path);
    data = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return tkx__fail_errno(err, errno, "map %s", path);
    mapped->data = data;
    mapped->size = (size_t)sb.st_size;
    return TKX_OK;
}

tkx_status tkx__mapped_open(tkx__mapped *mapped, const char *path, tkx_error **err)
{
    /* O_NONBLOCK: opening a pipe that nobody writes would wait for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    tkx_status st;

    mapped->data = NULL;
    mapped->size = 0;
    if (fd < 0)
        return tkx__fail_errno(err, errno, "open %s", path);
    st = map(mapped, fd, path, err);
    close(fd); /* the mapping does not need it */
    return st;
}

tkx_status tkx__mapped_anonymous(tkx__mapped *mapped, size_t size, tkx_error **err)
{
    void *data =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    mapped->data = NULL;
    mapped->size = 0;
    if (data == MAP_FAILED)
        return tkx__fail(err, TKX_ERR_NO_MEMORY, "no memory for %zu bytes", size);
    mapped->data = data;
    mapped->size = size;
    return TKX_OK;
}

bool tkx__mapped_holds(const tkx__mapped *mapped, const void *byte)
{
    return mapped->data && (uintptr_t)byte >= (uintptr_t)mapped->data &&
           (uintptr_t)byte - (uintptr_t)mapped->data < mapped->size;
}

void tkx__mapped_forget(const tkx__mapped *mapped, const void *bytes, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)bytes;
    uintptr_t end = start + size;

    if (!mapped->data || start < (uintptr_t)mapped->data ||
        end > (uintptr_t)mapped->data + mapped->size)
        return;
    start = (start + page - 1) / page * page;
    end = end / page * page;
    if (start < end) /* advice: no harm when it is not taken */
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
}

void tkx__mapped_close(tkx__mapped *mapped)
{
    if (mapped->data)
        munmap((void *)mapped->data, mapped->size);
    mapped->data = NULL;
    mapped->size = 0;
}
