/* SPDX-License-Identifier: Apache-2.0 */
/*
 * download_unpack.c - the plain files of a tar or gzipped tar, and nothing else.
 *
 * libarchive only reads the members; names are checked and files are made by us.  A link,
 * a device or a name that leads elsewhere ends the download: no honest archive has one.
 */
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/download_files.h"

#define MAX_MEMBERS (2 * TKX__DOWNLOAD_MAX_FILES)
#define READ_BYTES ((size_t)256 << 10)

static tkx_status archive_failed(struct archive *a, tkx_error **err)
{
    const char *reason = archive_error_string(a);

    return tkx__fail(err, TKX_ERR_PARSE, "the archive cannot be read: %s",
                     reason ? reason : "no reason given");
}

static tkx_status copy_data(struct archive *a, tkx__download_dir *dir, int fd,
                            const char *name, char *room, tkx_error **err)
{
    for (;;) {
        la_ssize_t n = archive_read_data(a, room, READ_BYTES);

        if (n < 0)
            return archive_failed(a, err);
        if (n == 0)
            return TKX_OK;
        tkx_status st = tkx__download_write(dir, fd, name, room, (size_t)n, err);
        if (st != TKX_OK)
            return st;
    }
}

static tkx_status unpack_entry(struct archive *a, struct archive_entry *entry,
                               tkx__download_dir *dir, char *room, tkx_error **err)
{
    const char *name = archive_entry_pathname(entry);
    tkx_error *second = NULL;
    bool is_skipped;
    tkx_status st;

    if (!name)
        return tkx__fail(err, TKX_ERR_PARSE, "the archive has a member without a name");
    if (archive_entry_filetype(entry) == AE_IFDIR)
        return TKX_OK; /* folders come with their files */
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
        return tkx__fail(err, TKX_ERR_PARSE,
                         "the archive's member '%.200s' is no plain file: refused", name);
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    int fd = tkx__download_create(dir, name, &is_skipped, err);
    if (is_skipped)
        return TKX_OK;
    if (fd < 0)
        return err && *err ? tkx_error_status(*err) : TKX_ERR_IO;
    st = copy_data(a, dir, fd, name, room, err);
    if (st == TKX_OK)
        return tkx__download_close_file(fd, name, err);
    tkx__download_close_file(fd, name, &second);
    tkx_error_free(second);
    return st;
}

static tkx_status unpack_all(struct archive *a, tkx__download_dir *dir, char *room,
                             tkx_error **err)
{
    struct archive_entry *entry;

    for (size_t n = 0; n < MAX_MEMBERS; n++) {
        int rc = archive_read_next_header(a, &entry);

        if (rc == ARCHIVE_EOF)
            return TKX_OK;
        if (rc < ARCHIVE_WARN)
            return archive_failed(a, err);
        tkx_status st = unpack_entry(a, entry, dir, room, err);
        if (st != TKX_OK)
            return st;
    }
    return tkx__fail(err, TKX_ERR_LIMIT, "the archive has more than %d members",
                     MAX_MEMBERS);
}

tkx_status tkx__download_unpack(tkx__download_dir *dir, const void *bytes, size_t size,
                                tkx_error **err)
{
    struct archive *a = archive_read_new();
    char *room = tkx__malloc(READ_BYTES);
    tkx_status st;

    if (!a || !room) {
        st = tkx__fail_memory(err);
    } else if (archive_read_support_filter_gzip(a) < ARCHIVE_WARN ||
               archive_read_support_format_tar(a) < ARCHIVE_WARN ||
               archive_read_open_memory(a, bytes, size) < ARCHIVE_WARN) {
        st = archive_failed(a, err);
    } else {
        st = unpack_all(a, dir, room, err);
    }
    tkx__free(room);
    if (a)
        archive_read_free(a);
    return st;
}
