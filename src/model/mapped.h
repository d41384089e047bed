/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/mapped.h - a whole file mapped read-only.
 *
 * The file must not be cut short while it is mapped: reading past its new end raises
 * SIGBUS, as with every mapping.  Replacing it by rename is safe.
 */
#ifndef TKX_MODEL_MAPPED_H
#define TKX_MODEL_MAPPED_H

#include <stdbool.h>
#include <stddef.h>

#include <tkx/error.h>

typedef struct tkx__mapped {
    const unsigned char *data; /* NULL for an empty file */
    size_t size;
} tkx__mapped;

/* IO or NOT_FOUND; a folder, pipe or device is refused. */
tkx_status tkx__mapped_open(tkx__mapped *mapped, const char *path, tkx_error **err);
bool tkx__mapped_holds(const tkx__mapped *mapped, const void *byte);
/* These bytes were copied elsewhere: whole pages of them leave this process's memory
   until somebody reads them again.  Bytes outside the mapping are left alone. */
void tkx__mapped_forget(const tkx__mapped *mapped, const void *bytes, size_t size);
/* Memory of our own that can be forgotten likewise, zeroed and writable; what is
   forgotten reads as zero.  NO_MEMORY. */
tkx_status tkx__mapped_anonymous(tkx__mapped *mapped, size_t size, tkx_error **err);
void tkx__mapped_close(tkx__mapped *mapped);

#endif
