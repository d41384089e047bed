/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credential_file.c - read, change and replace the file of stored keys.
 *
 * Every buffer that held a key is wiped: the file's text, the parsed tree's strings, and
 * the text that is written (printed into one buffer of its final size, since a growing
 * one would leave copies behind).
 */
#include "api/credential_file.h"

#include <cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

#define MAX_FILE ((size_t)1 << 20)

tkx_status tkx__credential_file_path(tkx__buf *out, tkx_error **err)
{
    const char *home = getenv("HOME");

    if (!home || !*home)
        return tkx__fail(err, TKX_ERR_NOT_FOUND,
                         "HOME is not set: there is no place for stored keys");
    tkx__buf_printf(out, "%s/.tinker/credentials.json", home);
    return out->status == TKX_OK ? TKX_OK : tkx__fail_memory(err);
}

/* --- the tree -------------------------------------------------------------------- */

/* Forget every text in the tree: some are keys, and which does not matter. */
static void wipe_tree(cJSON *at)
{
    for (; at; at = at->next) {
        if (at->valuestring)
            tkx__wipe(at->valuestring, strlen(at->valuestring));
        wipe_tree(at->child);
    }
}

static void free_tree(cJSON *root)
{
    wipe_tree(root);
    cJSON_Delete(root);
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* --- reading --------------------------------------------------------------------- */

static tkx_status check_private(int fd, const char *path, tkx_error **err)
{
    struct stat sb;

    if (fstat(fd, &sb) != 0)
        return tkx__fail_errno(err, errno, "look at %s", path);
    if (!S_ISREG(sb.st_mode))
        return tkx__fail(err, TKX_ERR_AUTH, "%s is no plain file", path);
    if (sb.st_uid != geteuid())
        return tkx__fail(err, TKX_ERR_AUTH, "%s belongs to another user; not used", path);
    if (sb.st_mode & 077)
        return tkx__fail(err, TKX_ERR_AUTH,
                         "%s can be read or changed by other users (mode %04o), so its "
                         "keys are not used; run: chmod 600 '%s'",
                         path, (unsigned)(sb.st_mode & 07777), path);
    return TKX_OK;
}

static tkx_status read_all(int fd, const char *path, char *text, size_t *size,
                           tkx_error **err)
{
    for (*size = 0; *size <= MAX_FILE;) {
        ssize_t n = read(fd, text + *size, MAX_FILE + 1 - *size);

        if (n == 0)
            return TKX_OK;
        if (n < 0 && errno != EINTR)
            return tkx__fail_errno(err, errno, "read %s", path);
        *size += n > 0 ? (size_t)n : 0;
    }
    return tkx__fail(err, TKX_ERR_LIMIT, "%s is longer than 1 MiB", path);
}

/* The file as a tree; NOT_FOUND without a file. */
static tkx_status load(const char *path, cJSON **root, tkx_error **err)
{
    tkx_status st;
    size_t size = 0;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "%s does not exist", path);
    if (fd < 0)
        return tkx__fail_errno(err, errno, "open %s", path);
    st = check_private(fd, path, err);
    if (st != TKX_OK)
        goto done;
    text = tkx__malloc(MAX_FILE + 2);
    if (!text) {
        st = tkx__fail_memory(err);
        goto done;
    }
    st = read_all(fd, path, text, &size, err);
    if (st != TKX_OK)
        goto done;
    *root = cJSON_ParseWithLength(text, size);
    if (!cJSON_IsObject(*root)) {
        free_tree(*root);
        *root = NULL;
        st = tkx__fail(err, TKX_ERR_PARSE, "%s is not a JSON object", path);
    }
done:
    if (text)
        tkx__wipe(text, size);
    tkx__free(text);
    close(fd);
    return st;
}

static const cJSON *default_entry(const cJSON *root)
{
    const char *id = text_of(root, "default");
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(root, "keys");

    return id ? cJSON_GetObjectItemCaseSensitive(keys, id) : NULL;
}

/* The fields in the order of tkx__stored_key. */
enum { N_TEXTS = sizeof(tkx__stored_key) / sizeof(const char *) };

static void list_texts(const cJSON *root, const char *texts[N_TEXTS])
{
    const cJSON *entry = default_entry(root);
    const cJSON *details = cJSON_GetObjectItemCaseSensitive(entry, "details");

    texts[0] = text_of(root, "default");
    texts[1] = text_of(entry, "key");
    texts[2] = text_of(entry, "name");
    texts[3] = text_of(entry, "note");
    texts[4] = text_of(cJSON_GetObjectItemCaseSensitive(details, "org_details"), "name");
    texts[5] =
        text_of(cJSON_GetObjectItemCaseSensitive(details, "user_details"), "email");
}

typedef struct block {
    tkx__stored_key key; /* first */
    size_t size;         /* of bytes */
    char bytes[];
} block;

tkx_status tkx__credential_file_read(const char *path, tkx__stored_key **out,
                                     tkx_error **err)
{
    cJSON *root = NULL;
    const char *texts[N_TEXTS], *copies[N_TEXTS] = {NULL};
    size_t size = 0;
    block *b;
    char *at;
    tkx_status st = load(path, &root, err);

    if (st != TKX_OK)
        return st;
    list_texts(root, texts);
    if (!texts[1]) {
        free_tree(root);
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "%s has no default key", path);
    }
    for (size_t i = 0; i < N_TEXTS; i++)
        size += texts[i] ? strlen(texts[i]) + 1 : 0;
    b = tkx__malloc(sizeof *b + size);
    if (!b) {
        free_tree(root);
        return tkx__fail_memory(err);
    }
    b->size = size;
    at = b->bytes;
    for (size_t i = 0; i < N_TEXTS; i++) {
        size_t n = texts[i] ? strlen(texts[i]) + 1 : 0;

        if (n > 0)
            copies[i] = memcpy(at, texts[i], n);
        at += n;
    }
    b->key = (tkx__stored_key){copies[0], copies[1], copies[2],
                               copies[3], copies[4], copies[5]};
    *out = &b->key;
    free_tree(root);
    return TKX_OK;
}

void tkx__credential_file_free(tkx__stored_key *key)
{
    block *b = (block *)key;

    if (!b)
        return;
    tkx__wipe(b->bytes, b->size);
    tkx__free(b);
}

/* --- writing --------------------------------------------------------------------- */

static tkx_status make_folder(const char *path, tkx_error **err)
{
    char *folder = tkx__strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    tkx_status st = folder ? TKX_OK : tkx__fail_memory(err);

    if (slash && slash > folder) {
        *slash = '\0';
        if (mkdir(folder, 0700) != 0 && errno != EEXIST)
            st = tkx__fail_errno(err, errno, "create %s", folder);
    }
    tkx__free(folder);
    return st;
}

static tkx_status write_all(int fd, const char *path, const char *text, size_t size,
                            tkx_error **err)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, text + at, size - at);

        if (n < 0 && errno != EINTR)
            return tkx__fail_errno(err, errno, "write %s", path);
        at += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0 ? TKX_OK : tkx__fail_errno(err, errno, "write %s", path);
}

/* Under another name first: after a crash the old file or the new one is there. */
static tkx_status replace_file(const char *path, const char *text, size_t size,
                               tkx_error **err)
{
    tkx__buf aside;
    tkx_status st;
    int fd;

    tkx__buf_init(&aside, (size_t)1 << 16);
    tkx__buf_printf(&aside, "%s.XXXXXX", path);
    if (aside.status != TKX_OK)
        return tkx__fail_memory(err);
    fd = mkstemp(aside.data); /* mode 0600 */
    if (fd < 0) {
        st = tkx__fail_errno(err, errno, "create %s", aside.data);
        goto done;
    }
    st = write_all(fd, aside.data, text, size, err);
    close(fd);
    if (st == TKX_OK && rename(aside.data, path) != 0)
        st = tkx__fail_errno(err, errno, "rename %s to %s", aside.data, path);
    if (st != TKX_OK)
        unlink(aside.data);
done:
    tkx__buf_clear(&aside);
    return st;
}

static tkx_status save(const char *path, const cJSON *root, tkx_error **err)
{
    char *text = tkx__malloc(MAX_FILE);
    tkx_status st = text ? make_folder(path, err) : tkx__fail_memory(err);

    if (st == TKX_OK && !cJSON_PrintPreallocated((cJSON *)root, text, (int)MAX_FILE, 1))
        st = tkx__fail(err, TKX_ERR_LIMIT, "%s would be longer than 1 MiB", path);
    else if (st == TKX_OK)
        st = replace_file(path, text, strlen(text), err);
    if (text)
        tkx__wipe(text, MAX_FILE);
    tkx__free(text);
    return st;
}

static bool add_text(cJSON *object, const char *name, const char *text)
{
    return !text || cJSON_AddStringToObject(object, name, text);
}

static cJSON *make_entry(const tkx__stored_key *key)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON *details, *org, *user;
    bool ok = add_text(entry, "type", "manual") && add_text(entry, "key", key->key) &&
              add_text(entry, "name", key->name ? key->name : "") &&
              add_text(entry, "note", key->note);

    if (ok && key->org_name && key->user_email) {
        details = cJSON_AddObjectToObject(entry, "details");
        org = cJSON_AddObjectToObject(details, "org_details");
        user = cJSON_AddObjectToObject(details, "user_details");
        ok = add_text(org, "name", key->org_name) &&
             add_text(user, "email", key->user_email);
    }
    if (ok)
        return entry;
    free_tree(entry);
    return NULL;
}

static bool set_member(cJSON *object, const char *name, cJSON *value)
{
    cJSON *old = cJSON_DetachItemFromObjectCaseSensitive(object, name);

    free_tree(old);
    if (value && cJSON_AddItemToObject(object, name, value))
        return true;
    free_tree(value);
    return false;
}

static bool put(cJSON *root, const tkx__stored_key *key)
{
    cJSON *keys = cJSON_GetObjectItemCaseSensitive(root, "keys");

    if (!cJSON_IsObject(keys)) {
        keys = cJSON_CreateObject();
        if (!set_member(root, "keys", keys))
            return false;
    }
    return set_member(keys, key->id, make_entry(key)) &&
           set_member(root, "default", cJSON_CreateString(key->id)) &&
           set_member(root, "version", cJSON_CreateNumber(1));
}

tkx_status tkx__credential_file_put(const char *path, const tkx__stored_key *key,
                                    tkx_error **err)
{
    cJSON *root = NULL;
    tkx_error *why = NULL;
    tkx_status st = load(path, &root, &why);

    if (st != TKX_OK && st != TKX_ERR_NOT_FOUND) {
        tkx__fail_with(err, why);
        return st;
    }
    tkx_error_free(why);
    if (!root)
        root = cJSON_CreateObject();
    st = root && put(root, key) ? save(path, root, err) : tkx__fail_memory(err);
    free_tree(root);
    return st;
}

tkx_status tkx__credential_file_remove(const char *path, tkx_error **err)
{
    cJSON *root = NULL, *keys;
    tkx_status st = load(path, &root, err);

    if (st != TKX_OK)
        return st;
    keys = cJSON_GetObjectItemCaseSensitive(root, "keys");
    if (!default_entry(root)) {
        free_tree(root);
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "%s has no default key", path);
    }
    free_tree(cJSON_DetachItemFromObjectCaseSensitive(keys, text_of(root, "default")));
    free_tree(cJSON_DetachItemFromObjectCaseSensitive(root, "default"));
    if (cJSON_GetArraySize(keys) > 0)
        st = save(path, root, err);
    else if (unlink(path) != 0)
        st = tkx__fail_errno(err, errno, "remove %s", path);
    free_tree(root);
    return st;
}
