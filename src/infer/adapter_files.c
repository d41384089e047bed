/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_files.c - the files of an adapter from a folder, a tar or a gzipped tar.
 *
 * Nothing is unpacked to disk: the two members that matter are read into bounded memory,
 * everything else is passed over.  Members may stand in any order and be named with a
 * leading "/" or "./", or stand in a folder of the archive (one folder: of several pairs
 * the one nearest to the root counts).  A member that is no plain file, or leads upwards,
 * never counts.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/adapter_in.h"
#include "infer/hw_limits.h"

#define CONFIG_NAME "adapter_config.json"
#define TENSORS_NAME "adapter_model.safetensors"
#define MAX_CONFIG_BYTES ((size_t)4 << 20)
#define MAX_TENSOR_BYTES ((size_t)64 << 30)
#define MAX_MEMBERS 10000
#define READ_BYTES ((size_t)256 << 10)

/* ---- a folder ---- */

static tkx_status map_in(const char *dir, const char *name, tkx__mapped *out,
                         tkx_error **err)
{
    tkx__buf path;
    tkx_status st;

    tkx__buf_init(&path, 1 << 16);
    tkx__buf_printf(&path, "%s/%s", dir, name);
    if (path.status != TKX_OK)
        st = tkx__fail(err, path.status, "the path of %s is too long", name);
    else
        st = tkx__mapped_open(out, path.data, err);
    tkx__buf_clear(&path);
    return st;
}

static tkx_status open_folder(const char *dir, adapter_files *files, tkx_error **err)
{
    tkx__mapped config = {NULL, 0};
    tkx_error *cause = NULL;
    tkx_status st = map_in(dir, CONFIG_NAME, &config, &cause);

    if (st == TKX_ERR_NOT_FOUND)
        st = tkx__fail_cause(err, st, NULL, &cause,
                             "%s holds no " CONFIG_NAME ": is it an adapter's folder?",
                             dir);
    else if (st != TKX_OK && err)
        *err = cause, cause = NULL;
    tkx_error_free(cause);
    cause = NULL;
    if (st != TKX_OK)
        return st;
    tkx__buf_append(&files->config, config.data, config.size);
    tkx__mapped_close(&config);
    if (files->config.status != TKX_OK)
        return tkx__fail(err, files->config.status, "%s/%s is too large", dir,
                         CONFIG_NAME);
    st = map_in(dir, TENSORS_NAME, &files->mapped, &cause);
    if (st == TKX_ERR_NOT_FOUND)
        st =
            tkx__fail_cause(err, st, NULL, &cause,
                            "%s holds no " TENSORS_NAME "; .bin files are not read", dir);
    else if (st != TKX_OK && err)
        *err = cause, cause = NULL;
    tkx_error_free(cause);
    return st;
}

/* ---- an archive ---- */

/* The name without "/" and "./" in front; NULL when it leads out of the archive. */
static const char *clean_name(const char *name)
{
    while (*name == '/' || (name[0] == '.' && name[1] == '/'))
        name += *name == '/' ? 1 : 2;
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.')
            return NULL;
        p += n + (p[n] == '/');
    }
    return name;
}

static tkx_status archive_failed(struct archive *a, const char *path, tkx_error **err)
{
    const char *reason = archive_error_string(a);

    return tkx__fail(err, TKX_ERR_PARSE, "%s cannot be read as a tar archive: %.200s",
                     path, reason ? reason : "unknown reason");
}

/* One of the two members: where it goes, and the folder it was found in. */
typedef struct slot {
    const char *name;
    tkx__buf *out;
    char *folder;  /* "" for the root, else with a "/" at its end; NULL: not found yet */
    bool is_twice; /* another one is as near to the root */
} slot;

static size_t depth_of(const char *folder)
{
    size_t n = 0;

    for (; *folder; folder++)
        n += *folder == '/';
    return n;
}

/* "adapter/adapter_config.json" is that member in the folder "adapter/". */
static slot *find_slot(slot *slots, const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash ? slash + 1 : name;

    for (size_t i = 0; i < 2; i++) {
        if (strcmp(slots[i].name, last) == 0)
            return &slots[i];
    }
    return NULL;
}

/* Not taken when one as near to the root is there already; takes `folder`. */
static bool take_slot(slot *s, char *folder)
{
    if (s->folder && depth_of(s->folder) <= depth_of(folder)) {
        s->is_twice = s->is_twice || depth_of(s->folder) == depth_of(folder);
        tkx__free(folder);
        return false;
    }
    tkx__free(s->folder);
    tkx__buf_clear(s->out);
    s->folder = folder;
    s->is_twice = false;
    return true;
}

static tkx_status read_member(struct archive *a, const char *path, const char *name,
                              tkx__buf *out, tkx_error **err)
{
    for (;;) {
        char *room = tkx__buf_reserve(out, READ_BYTES);
        la_ssize_t n;

        if (!room)
            break;
        n = archive_read_data(a, room, READ_BYTES);
        if (n < 0)
            return archive_failed(a, path, err);
        tkx__buf_grew(out, (size_t)n);
        if (n == 0)
            return TKX_OK;
    }
    return tkx__fail(err, out->status,
                     "%s: %s has more than %zu bytes or does not fit into memory", path,
                     name, out->max_size);
}

static tkx_status read_entry(struct archive *a, struct archive_entry *entry,
                             const char *path, slot *slots, tkx_error **err)
{
    const char *raw = archive_entry_pathname(entry);
    const char *name = raw ? clean_name(raw) : NULL;
    slot *found = name ? find_slot(slots, name) : NULL;
    char *folder;

    if (!name)
        return tkx__fail(err, TKX_ERR_PARSE, "%s holds a member with the name '%.200s'",
                         path, raw ? raw : "");
    if (!found)
        return TKX_OK;
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
        return tkx__fail(err, TKX_ERR_PARSE, "%s: %s is not a plain file", path, name);
    folder = tkx__strndup(name, strlen(name) - strlen(found->name));
    if (!folder)
        return tkx__fail_memory(err);
    return take_slot(found, folder) ? read_member(a, path, name, found->out, err)
                                    : TKX_OK;
}

static tkx_status check_found(const slot *slots, const char *path, tkx_error **err)
{
    for (size_t i = 0; i < 2; i++) {
        if (!slots[i].folder)
            return tkx__fail(err, TKX_ERR_NOT_FOUND,
                             "%s holds no %s; .bin files are not read", path,
                             slots[i].name);
        if (slots[i].is_twice)
            return tkx__fail(err, TKX_ERR_PARSE,
                             "%s holds %s twice, one of them as '%s%s'", path,
                             slots[i].name, slots[i].folder, slots[i].name);
    }
    if (strcmp(slots[0].folder, slots[1].folder) != 0)
        return tkx__fail(err, TKX_ERR_NOT_FOUND,
                         "%s holds '%s%s' and '%s%s', which are not in one folder", path,
                         slots[0].folder, slots[0].name, slots[1].folder, slots[1].name);
    return TKX_OK;
}

static tkx_status read_entries(struct archive *a, const char *path, slot *slots,
                               tkx_error **err)
{
    struct archive_entry *entry;
    tkx_status st = TKX_OK;

    for (size_t n = 0; st == TKX_OK; n++) {
        int rc = archive_read_next_header(a, &entry);

        if (rc == ARCHIVE_EOF)
            break;
        if (rc < ARCHIVE_WARN)
            return archive_failed(a, path, err);
        if (n == MAX_MEMBERS)
            return tkx__fail(err, TKX_ERR_LIMIT, "%s has more than %d members", path,
                             MAX_MEMBERS);
        st = read_entry(a, entry, path, slots, err);
    }
    return st == TKX_OK ? check_found(slots, path, err) : st;
}

/* From the file at path, or from memory when bytes are given; path names either. */
static tkx_status open_archive(const char *path, const void *bytes, size_t size,
                               adapter_files *files, tkx_error **err)
{
    struct archive *a = archive_read_new();
    slot slots[2] = {{.name = CONFIG_NAME, .out = &files->config},
                     {.name = TENSORS_NAME, .out = &files->tensors}};
    tkx_status st;
    int rc;

    if (!a)
        return tkx__fail_memory(err);
    rc = archive_read_support_filter_gzip(a);
    if (rc >= ARCHIVE_WARN)
        rc = archive_read_support_format_tar(a);
    if (rc >= ARCHIVE_WARN)
        rc = bytes ? archive_read_open_memory(a, bytes, size)
                   : archive_read_open_filename(a, path, READ_BYTES);
    st = rc < ARCHIVE_WARN ? archive_failed(a, path, err)
                           : read_entries(a, path, slots, err);
    archive_read_free(a);
    tkx__free(slots[0].folder);
    tkx__free(slots[1].folder);
    return st;
}

static void init(adapter_files *files)
{
    uint64_t half = tkx__hw_memory_limit() / 2; /* a buffer that grows is there twice */

    memset(files, 0, sizeof *files);
    tkx__buf_init(&files->config, MAX_CONFIG_BYTES);
    tkx__buf_init(&files->tensors,
                  half != 0 && half < MAX_TENSOR_BYTES ? (size_t)half : MAX_TENSOR_BYTES);
}

tkx_status tkx__adapter_files_parse(const void *bytes, size_t size, const char *what,
                                    adapter_files *files, tkx_error **err)
{
    init(files);
    return open_archive(what, bytes, size, files, err);
}

tkx_status tkx__adapter_files_open(const char *path, adapter_files *files,
                                   tkx_error **err)
{
    struct stat sb;

    init(files);
    if (stat(path, &sb) != 0)
        return tkx__fail_errno(err, errno, "open the adapter %s", path);
    if (S_ISDIR(sb.st_mode))
        return open_folder(path, files, err);
    if (!S_ISREG(sb.st_mode))
        return tkx__fail(err, TKX_ERR_IO, "%s is neither a folder nor a file", path);
    return open_archive(path, NULL, 0, files, err);
}

void tkx__adapter_files_close(adapter_files *files)
{
    tkx__buf_clear(&files->config);
    tkx__buf_clear(&files->tensors);
    tkx__mapped_close(&files->mapped);
}
