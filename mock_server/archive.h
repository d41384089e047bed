/* SPDX-License-Identifier: Apache-2.0 */
/* archive.h - checkpoint files as a client downloads them. */
#ifndef MOCK_ARCHIVE_H
#define MOCK_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/buf.h"

typedef struct archive_member {
    const char *name;
    const void *data;
    size_t size;
} archive_member;

typedef enum archive_form {
    ARCHIVE_TAR = 0,  /* uncompressed, members at the root */
    ARCHIVE_STORED_GZ /* gzip with stored blocks, pax headers, first a directory "/" */
} archive_form;

/* The same members and time give the same bytes.  Appended to out. */
tkx_status archive_write_members(const archive_member *members, size_t n,
                                 archive_form form, int64_t time_s, tkx__buf *out,
                                 tkx_error **err);

typedef enum range_result { RANGE_NONE, RANGE_PART, RANGE_BAD } range_result;

/* A Range header against a body of size bytes: from..to, both included. */
range_result archive_range(const char *header, size_t size, size_t *from, size_t *to);

#endif
