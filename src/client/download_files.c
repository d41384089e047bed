/* SPDX-License-Identifier: Apache-2.0 */
/*
 * download_files.c - names from a server become files of one folder, and nothing else.
 *
 * Every file is opened relative to the folder's descriptor, component by component and
 * without following links, and is created anew: what stands there already is an error.
 */
#include "client/download_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

#define COMPLETE "checkpoint_complete"
#define MAX_NAME 1024
#define MAX_PART 255
#define MAX_DEPTH 64
#define WRITE_BYTES ((size_t)8 << 20)

/* ---- names ---- */

tkx_status tkx__download_check_name(const char *name, tkx_error **err)
{
    const char *why = NULL;

    if (!*name || strlen(name) > MAX_NAME)
        why = "it is empty or too long";
    else if (*name == '/')
        why = "it is absolute";
    for (const char *p = name; !why && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
            why = "it holds a control character or a backslash";
    for (const char *p = name; !why;) {
        size_t n = strcspn(p, "/");

        if (n == 0 || n > MAX_PART)
            why = "a part of it is empty or too long";
        else if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            why = "it leads to another place";
        if (!p[n])
            break;
        p += n + 1;
    }
    if (!why)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_PARSE, "the service names a file '%.200s': refused, %s",
                     name, why);
}

/* ---- the folder ---- */

tkx_status tkx__download_check_target(const char *target, bool is_forced, tkx_error **err)
{
    struct stat sb;

    if (lstat(target, &sb) != 0)
        return TKX_OK;
    if (!S_ISDIR(sb.st_mode))
        return tkx__fail(err, TKX_ERR_INVALID_STATE, "%s exists and is no folder",
                         target);
    if (is_forced)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_INVALID_STATE,
                     "%s exists already; remove it, or ask for it to be replaced",
                     target);
}

/* mkdir -p of all that stands before the last slash. */
static tkx_status make_parents(char *path, tkx_error **err)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int failed = mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
        if (failed)
            tkx__fail_errno(err, failed, "make the folder %s", path);
        *p = '/';
        if (failed)
            return TKX_ERR_IO;
    }
    return TKX_OK;
}

tkx_status tkx__download_open(tkx__download_dir *dir, tkx_error **err)
{
    size_t size = strlen(dir->target) + sizeof ".part-XXXXXX";
    tkx_status st = make_parents(dir->target, err);

    if (st != TKX_OK)
        return st;
    char *name = tkx__malloc(size);
    if (!name)
        return tkx__fail_memory(err);
    snprintf(name, size, "%s.part-XXXXXX", dir->target);
    if (!mkdtemp(name)) {
        st = tkx__fail_errno(err, errno, "make the folder %s", name);
        tkx__free(name);
        return st;
    }
    dir->temporary = name;
    dir->fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return dir->fd >= 0 ? TKX_OK : tkx__fail_errno(err, errno, "open %s", name);
}

/* The folder of a checked name's last part, made where missing; -1 with err. */
static int open_parent(tkx__download_dir *dir, const char *name, const char **last,
                       tkx_error **err)
{
    int at = dup(dir->fd);

    for (const char *slash; at >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
        char part[MAX_PART + 1];

        snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
        int below = -1;
        if (mkdirat(at, part, 0777) == 0 || errno == EEXIST)
            below = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int failed = errno;
        close(at);
        errno = failed;
        at = below;
    }
    *last = name;
    if (at < 0)
        tkx__fail_errno(err, errno, "make a folder for %s in %s", name, dir->temporary);
    return at;
}

/* That file, as it is or encrypted. */
static bool is_named(const char *name, const char *wanted)
{
    size_t n = strlen(wanted);

    return strncmp(name, wanted, n) == 0 && (!name[n] || strcmp(name + n, ".age") == 0);
}

int tkx__download_create(tkx__download_dir *dir, const char *name, bool *is_skipped,
                         tkx_error **err)
{
    const char *last;
    int parent, fd;

    *is_skipped = strcmp(name, COMPLETE) == 0;
    if (*is_skipped || tkx__download_check_name(name, err) != TKX_OK)
        return -1;
    if (dir->n_files >= TKX__DOWNLOAD_MAX_FILES) {
        tkx__fail(err, TKX_ERR_LIMIT, "the checkpoint has more than %d files",
                  TKX__DOWNLOAD_MAX_FILES);
        return -1;
    }
    parent = open_parent(dir, name, &last, err);
    if (parent < 0)
        return -1;
    fd = openat(parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST)
        tkx__fail(err, TKX_ERR_PARSE, "the service gives the file '%s' twice", name);
    else if (fd < 0)
        tkx__fail_errno(err, errno, "create %s/%s", dir->temporary, name);
    close(parent);
    if (fd < 0)
        return -1;
    dir->n_files++;
    dir->has_config = dir->has_config || is_named(name, "adapter_config.json");
    dir->has_tensors = dir->has_tensors || is_named(name, "adapter_model.safetensors");
    return fd;
}

tkx_status tkx__download_write(tkx__download_dir *dir, int fd, const char *name,
                               const void *bytes, size_t size, tkx_error **err)
{
    const char *from = bytes;

    if (size > dir->max_bytes - dir->n_bytes)
        return tkx__fail(err, TKX_ERR_LIMIT, "the checkpoint has more than %llu bytes",
                         (unsigned long long)dir->max_bytes);
    dir->n_bytes += size;
    while (size > 0) {
        ssize_t n = write(fd, from, size < WRITE_BYTES ? size : WRITE_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tkx__fail_errno(err, errno, "write %s/%s", dir->temporary, name);
        from += n;
        size -= (size_t)n;
    }
    return TKX_OK;
}

tkx_status tkx__download_close_file(int fd, const char *name, tkx_error **err)
{
    int failed = fsync(fd) != 0 ? errno : 0;

    if (close(fd) != 0 && !failed)
        failed = errno;
    return failed ? tkx__fail_errno(err, failed, "write %s", name) : TKX_OK;
}

tkx_status tkx__download_put(tkx__download_dir *dir, const char *name, const void *bytes,
                             size_t size, tkx_error **err)
{
    bool is_skipped;
    tkx_error *ignored = NULL;
    int fd = tkx__download_create(dir, name, &is_skipped, err);
    tkx_status st;

    if (is_skipped)
        return TKX_OK;
    if (fd < 0)
        return err && *err ? tkx_error_status(*err) : TKX_ERR_IO;
    st = tkx__download_write(dir, fd, name, bytes, size, err);
    if (st == TKX_OK)
        return tkx__download_close_file(fd, name, err);
    tkx__download_close_file(fd, name, &ignored);
    tkx_error_free(ignored);
    return st;
}

/* ---- the end ---- */

/* Remove what stands under a name, folders with all they hold; links are not followed. */
static void remove_tree(int at, const char *name, int depth)
{
    struct dirent *entry;
    DIR *dir;
    int fd;

    if (unlinkat(at, name, 0) == 0 || depth > MAX_DEPTH)
        return;
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(fd, entry->d_name, depth + 1);
    closedir(dir);
    unlinkat(at, name, AT_REMOVEDIR);
}

static tkx_status write_marker(tkx__download_dir *dir, tkx_error **err)
{
    int fd = openat(dir->fd, COMPLETE,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);

    if (fd < 0)
        return tkx__fail_errno(err, errno, "create %s/%s", dir->temporary, COMPLETE);
    dir->n_files++;
    return tkx__download_close_file(fd, COMPLETE, err);
}

/* The old folder steps aside, and back when the new one cannot take its place. */
static tkx_status replace(tkx__download_dir *dir, tkx_error **err)
{
    size_t size = strlen(dir->temporary) + sizeof ".old";
    char *aside = tkx__malloc(size);
    int failed = 0;

    if (!aside)
        return tkx__fail_memory(err);
    snprintf(aside, size, "%s.old", dir->temporary);
    if (rename(dir->target, aside) != 0) {
        failed = errno;
    } else if (rename(dir->temporary, dir->target) != 0) {
        failed = errno;
        if (rename(aside, dir->target) != 0)
            failed = errno;
    } else {
        remove_tree(AT_FDCWD, aside, 0);
    }
    tkx__free(aside);
    return failed ? tkx__fail_errno(err, failed, "replace %s", dir->target) : TKX_OK;
}

tkx_status tkx__download_finish(tkx__download_dir *dir, tkx_error **err)
{
    struct stat sb;
    tkx_status st;

    if (!dir->has_config || !dir->has_tensors)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "the service gave %zu files, but no %s among them", dir->n_files,
                         dir->has_config ? "adapter_model.safetensors"
                                         : "adapter_config.json");
    st = write_marker(dir, err);
    if (st == TKX_OK)
        st = tkx__download_check_target(dir->target, dir->is_forced, err);
    if (st != TKX_OK)
        return st;
    fsync(dir->fd);
    fchmod(dir->fd, 0755);
    if (lstat(dir->target, &sb) == 0)
        st = replace(dir, err);
    else if (rename(dir->temporary, dir->target) != 0)
        st = tkx__fail_errno(err, errno, "rename %s to %s", dir->temporary, dir->target);
    if (st == TKX_OK) { /* nothing is left to remove */
        tkx__free(dir->temporary);
        dir->temporary = NULL;
    }
    return st;
}

void tkx__download_clear(tkx__download_dir *dir)
{
    if (dir->fd >= 0)
        close(dir->fd);
    dir->fd = -1;
    if (dir->temporary)
        remove_tree(AT_FDCWD, dir->temporary, 0);
    tkx__free(dir->temporary);
    tkx__free(dir->target);
    dir->temporary = dir->target = NULL;
}
