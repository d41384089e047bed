/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_options.c - copies of a service's options, completed from the environment.
 *
 * All texts are kept in one list of blocks that goes with the service.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/service.h"

static const char *keep(tkx_service *s, const char *text)
{
    if (!text)
        return NULL;
    char **texts = tkx__realloc(s->texts, s->n_texts + 1, sizeof *texts);
    if (!texts)
        return NULL;
    s->texts = texts;
    char *copy = tkx__strdup(text);
    if (copy)
        s->texts[s->n_texts++] = copy;
    return copy;
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* A block of memory that free_service() frees with the texts. */
static void *keep_block(tkx_service *s, size_t count, size_t size)
{
    char **texts = tkx__realloc(s->texts, s->n_texts + 1, sizeof *texts);

    if (!texts)
        return NULL;
    s->texts = texts;
    void *block = tkx__calloc(count ? count : 1, size);
    if (block)
        s->texts[s->n_texts++] = block;
    return block;
}

static bool has_tag(const char *const *tags, size_t n, const char *tag)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(tags[i], tag) == 0)
            return true;
    return false;
}

/* "a,b,,a" gives a and b. */
static bool tags_of_environment(tkx_service *s, const char *list)
{
    char *copy = (char *)(uintptr_t)keep(s, list);
    const char **tags = keep_block(s, strlen(list) + 1, sizeof *tags);
    char *rest = NULL;

    if (!copy || !tags)
        return false;
    s->options.n_tags = 0;
    for (char *tag = strtok_r(copy, ",", &rest); tag; tag = strtok_r(NULL, ",", &rest))
        if (!has_tag(tags, s->options.n_tags, tag))
            tags[s->options.n_tags++] = tag;
    s->options.tags = tags;
    return true;
}

static bool copy_tags(tkx_service *s, const tkx_service_options *from)
{
    const char *list = from->tags ? NULL : from_environment("TINKER_TAGS");

    s->options.tags = NULL;
    s->options.n_tags = 0;
    if (!from->tags)
        return !list || tags_of_environment(s, list);
    const char **tags = keep_block(s, from->n_tags, sizeof *tags);
    if (!tags)
        return false;
    for (size_t i = 0; i < from->n_tags; i++)
        if (!(tags[i] = keep(s, from->tags[i])))
            return false;
    s->options.tags = tags;
    s->options.n_tags = from->n_tags;
    return true;
}

static bool copy_metadata(tkx_service *s, const tkx_service_options *from)
{
    tkx_pair *pairs = keep_block(s, from->n_user_metadata, sizeof *pairs);

    if (!pairs)
        return false;
    for (size_t i = 0; i < from->n_user_metadata; i++) {
        pairs[i].key = keep(s, from->user_metadata[i].key);
        pairs[i].value = keep(s, from->user_metadata[i].value);
        if (!pairs[i].key || !pairs[i].value)
            return false;
    }
    s->options.user_metadata = pairs;
    return true;
}

static bool copy_text(tkx_service *s, const char **to, const char *from)
{
    *to = keep(s, from);
    return *to || !from;
}

static bool copy_extra(tkx_service *s, const tkx_service_options *from)
{
    size_t n = from->extra_json.count;
    tkx_json_member *members = keep_block(s, n, sizeof *members);
    const char **headers = keep_block(s, from->n_extra_headers, sizeof *headers);

    for (size_t i = 0; members && i < n; i++) {
        members[i].name = keep(s, from->extra_json.items[i].name);
        members[i].json = keep(s, from->extra_json.items[i].json);
        if (!members[i].name || !members[i].json)
            return false;
    }
    for (size_t i = 0; headers && i < from->n_extra_headers; i++)
        if (!(headers[i] = keep(s, from->extra_headers[i])))
            return false;
    s->options.extra_json = (tkx_json_member_list){members, n};
    s->options.extra_headers = headers;
    return members && headers;
}

bool tkx__service_wants_telemetry(const tkx_service_options *options)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    const char *value = from_environment("TINKER_TELEMETRY");

    if (options->telemetry != 0 || !value)
        return options->telemetry > 0;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (tkx__equals_nocase(value, yes[i]))
            return true;
    return false;
}

bool tkx__service_copy_options(tkx_service *s, const tkx_service_options *from)
{
    const char *project =
        from->project_id ? from->project_id : from_environment("TINKER_PROJECT_ID");

    s->options = *from;
    return copy_tags(s, from) && copy_metadata(s, from) &&
           copy_text(s, &s->options.project_id, project) &&
           copy_text(s, &s->options.display_name, from->display_name) &&
           copy_text(s, &s->options.sdk_version, from->sdk_version) &&
           copy_text(s, &s->options.api_prefix, from->api_prefix) &&
           copy_text(s, &s->options.session_id, from->session_id) && copy_extra(s, from);
}

/* Passes of a proxy that guards some services. */
static const struct {
    const char *variable;
    const char *header;
} proxy_passes[] = {
    {"CLOUDFLARE_ACCESS_CLIENT_ID", "CF-Access-Client-Id"},
    {"CLOUDFLARE_ACCESS_CLIENT_SECRET", "CF-Access-Client-Secret"},
};

/* Each goes out when its variable is set and the caller gave no such header. */
static bool add_passes(tkx_service *s, tkx__header *headers, size_t *n)
{
    size_t n_given = *n;

    for (size_t k = 0; k < sizeof proxy_passes / sizeof *proxy_passes; k++) {
        const char *value = from_environment(proxy_passes[k].variable);
        bool is_given = false;

        for (size_t i = 0; i < n_given; i++)
            is_given |= tkx__equals_nocase(headers[i].name, proxy_passes[k].header);
        if (!value || is_given || strpbrk(value, "\r\n"))
            continue;
        headers[*n].name = proxy_passes[k].header;
        headers[*n].value = keep(s, value);
        if (!headers[(*n)++].value)
            return false;
    }
    return true;
}

/* "Name: value" lines as pairs, the later of one name in place of the earlier; the lines
   are cut in the copies. */
static bool add_lines(tkx_service *s, const char *const *lines, size_t n_lines,
                      tkx__header *headers, size_t *n)
{
    for (size_t i = 0; i < n_lines; i++) {
        char *line = (char *)(uintptr_t)keep(s, lines[i]);
        char *colon = line ? strchr(line, ':') : NULL;
        size_t at = 0;

        if (!colon)
            return false;
        *colon = '\0';
        while (at < *n && !tkx__equals_nocase(headers[at].name, line))
            at++;
        *n += at == *n;
        headers[at] = (tkx__header){line, colon + 1 + strspn(colon + 1, " \t")};
    }
    return true;
}

tkx__header *tkx__service_headers(tkx_service *s, const tkx_context_options *o, size_t *n)
{
    const size_t n_passes = sizeof proxy_passes / sizeof *proxy_passes;
    const tkx_service_options *own = &s->options;
    tkx__header *headers = keep_block(
        s, o->n_extra_headers + own->n_extra_headers + n_passes, sizeof *headers);

    *n = 0;
    if (!headers || !add_lines(s, o->extra_headers, o->n_extra_headers, headers, n) ||
        !add_lines(s, own->extra_headers, own->n_extra_headers, headers, n))
        return NULL;
    return add_passes(s, headers, n) ? headers : NULL;
}
