/* SPDX-License-Identifier: Apache-2.0 */
/* archive.c - tar files through libarchive, and byte ranges. */
#include "mock_server/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"

static la_ssize_t on_bytes(struct archive *a, void *user_data, const void *bytes,
                           size_t n)
{
    tkx__buf *out = user_data;
    tkx__buf_append(out, bytes, n);
    if (out->status == TKX_OK)
        return (la_ssize_t)n;
    archive_set_error(a, -1, "out of memory");
    return -1;
}

static int write_entry(struct archive *a, const char *name, unsigned type,
                       const void *data, size_t size, int64_t time_s)
{
    struct archive_entry *entry = archive_entry_new();
    int rc = ARCHIVE_FATAL;
    if (!entry)
        return rc;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, type == AE_IFDIR ? 0755 : 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_mtime(entry, (time_t)time_s, 0);
    rc = archive_write_header(a, entry);
    if (rc == ARCHIVE_OK && size && archive_write_data(a, data, size) != (la_ssize_t)size)
        rc = ARCHIVE_FATAL;
    archive_entry_free(entry);
    return rc;
}

static int choose_form(struct archive *a, archive_form form)
{
    archive_write_set_bytes_in_last_block(a, 1);
    if (form == ARCHIVE_TAR)
        return archive_write_set_format_ustar(a);
    archive_write_set_format_pax(a);
    archive_write_add_filter_gzip(a);
    archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
    return archive_write_set_filter_option(a, "gzip", "compression-level", "0");
}

tkx_status archive_write_members(const archive_member *members, size_t n,
                                 archive_form form, int64_t time_s, tkx__buf *out,
                                 tkx_error **err)
{
    struct archive *a = archive_write_new();
    tkx_status st = TKX_OK;
    int rc;
    if (!a)
        return tkx__fail_memory(err);
    choose_form(a, form);
    rc = archive_write_open2(a, out, NULL, on_bytes, NULL, NULL);
    if (rc == ARCHIVE_OK && form == ARCHIVE_STORED_GZ)
        rc = write_entry(a, "/", AE_IFDIR, NULL, 0, time_s);
    for (size_t i = 0; i < n && rc == ARCHIVE_OK; i++)
        rc = write_entry(a, members[i].name, AE_IFREG, members[i].data, members[i].size,
                         time_s);
    if (rc == ARCHIVE_OK)
        rc = archive_write_close(a);
    if (rc != ARCHIVE_OK)
        st = tkx__fail(err, TKX_ERR_IO, "archive: %s",
                       archive_error_string(a) ? archive_error_string(a)
                                               : "cannot be written");
    archive_write_free(a);
    return st;
}

static bool read_digits(const char **at, size_t *out)
{
    char text[24];
    size_t n = strspn(*at, "0123456789");
    uint64_t value;
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, *at, n);
    text[n] = '\0';
    *at += n;
    if (!tkx__parse_u64(text, &value))
        return false;
    *out = (size_t)value;
    return true;
}

range_result archive_range(const char *header, size_t size, size_t *from, size_t *to)
{
    const char *at = header;
    size_t n;
    *from = 0;
    *to = size ? size - 1 : 0;
    if (!header || !tkx__starts_with(header, "bytes=") || strchr(header, ','))
        return RANGE_NONE;
    at += strlen("bytes=");
    if (*at == '-') { /* the last n bytes */
        at++;
        if (!read_digits(&at, &n) || *at)
            return RANGE_NONE;
        if (n == 0 || size == 0)
            return RANGE_BAD;
        *from = n < size ? size - n : 0;
        return RANGE_PART;
    }
    if (!read_digits(&at, from) || *at++ != '-')
        return RANGE_NONE;
    if (*at && (!read_digits(&at, to) || *at || *to < *from))
        return RANGE_NONE;
    if (*from >= size)
        return RANGE_BAD;
    if (*to >= size)
        *to = size - 1;
    return RANGE_PART;
}
