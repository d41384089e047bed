/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - path patterns, compared segment by segment. */
#include "mock_server/route.h"

#include <string.h>

const char *route_api_path(const char *path)
{
    static const char prefix[] = "/api/v1";
    const char *hit = strstr(path, prefix);
    if (!hit || hit[sizeof prefix - 1] != '/')
        return NULL;
    return hit + sizeof prefix - 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

/* Percent-decodes one segment; false when it is too long or holds a zero byte. */
static bool decode_segment(const char *text, size_t size, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%' && size - i > 2) {
            int hi = hex_digit(text[i + 1]), lo = hex_digit(text[i + 2]);
            if (hi >= 0 && lo >= 0) {
                c = (char)(hi << 4 | lo);
                i += 2;
            }
        }
        if (c == '\0' || n + 1 >= ROUTE_MAX_SEGMENT)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}

/* Whether path fits; params[] gets the decoded segments ("" beyond the last). */
static bool fits(const char *pattern, const char *path,
                 char params[ROUTE_MAX_PARAMS][ROUTE_MAX_SEGMENT])
{
    size_t n_params = 0;
    for (size_t i = 0; i < ROUTE_MAX_PARAMS; i++)
        params[i][0] = '\0';
    for (;;) {
        size_t want, have;
        if (*pattern != '/' || *path != '/')
            return *pattern == '\0' && (*path == '\0' || strcmp(path, "/") == 0);
        want = strcspn(pattern + 1, "/");
        have = strcspn(path + 1, "/");
        if (want == 2 && pattern[1] == '{') {
            if (n_params == ROUTE_MAX_PARAMS ||
                !decode_segment(path + 1, have, params[n_params++]))
                return false;
        } else if (want != have || memcmp(pattern + 1, path + 1, want) != 0) {
            return false;
        }
        pattern += 1 + want;
        path += 1 + have;
    }
}

static bool is_offered(const route *r, mock_dialect dialect)
{
    switch (dialect) {
    case DIALECT_HOSTED:
        return true;
    case DIALECT_HOSTED25:
        return !(r->flags & ROUTE_NEW);
    case DIALECT_SKYRL:
        return !(r->flags & (ROUTE_NEW | ROUTE_HOSTED));
    case DIALECT_TWINKLE:
        return !(r->flags & (ROUTE_NEW | ROUTE_HOSTED | ROUTE_NOT_TWINKLE));
    }
    return false;
}

const route *route_find(const route *table, mock_dialect dialect, const char *method,
                        const char *path, bool is_root, bool *has_path,
                        char params[ROUTE_MAX_PARAMS][ROUTE_MAX_SEGMENT])
{
    *has_path = false;
    for (const route *r = table; r->method; r++) {
        if (!(r->flags & ROUTE_ROOT) == is_root || !is_offered(r, dialect) ||
            !fits(r->pattern, path, params))
            continue;
        *has_path = true;
        if (strcmp(r->method, method) == 0)
            return r;
    }
    return NULL;
}
