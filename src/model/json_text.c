/* SPDX-License-Identifier: Apache-2.0 */
/* json_text.c - JSON texts of a model folder as trees, with bounds. */
#include "model/json_text.h"

#include <string.h>

#include "base/error.h"
#include "model/mapped.h"

/* A tree takes some 64 bytes a value: half a GiB at this many. */
#define MAX_VALUES ((size_t)8 << 20)

static bool has_too_many_values(const char *text, size_t n)
{
    size_t n_commas = 0;

    for (size_t i = 0; i < n; i++)
        n_commas += text[i] == ',';
    return n_commas > MAX_VALUES;
}

static bool is_blank(const char *from, const char *end)
{
    while (from < end &&
           (*from == ' ' || *from == '\n' || *from == '\r' || *from == '\t'))
        from++;
    return from == end;
}

/* Nested more deeply than cJSON follows. */
static bool is_too_deep(const char *text, size_t n)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < n && depth <= CJSON_NESTING_LIMIT; i++) {
        if (text[i] == '"')
            in_string = !in_string;
        else if (in_string)
            i += text[i] == '\\';
        else if (text[i] == '[' || text[i] == '{')
            depth++;
        else if (depth > 0 && (text[i] == ']' || text[i] == '}'))
            depth--;
    }
    return depth > CJSON_NESTING_LIMIT;
}

#define EXCERPT 30

/* The text from `at` on, as far as it can be shown. */
static void excerpt(const char *at, const char *end, char out[EXCERPT + 1])
{
    size_t n = 0;

    while (n < EXCERPT && at + n < end && at[n] >= ' ' && at[n] <= '~') {
        out[n] = at[n];
        n++;
    }
    out[n] = '\0';
}

static tkx_status not_json(const char *text, size_t n, const char *at, const char *what,
                           tkx_error **err)
{
    char shown[EXCERPT + 1];

    if (is_too_deep(text, n))
        return tkx__fail(err, TKX_ERR_LIMIT, "%s is nested more than %d deep", what,
                         CJSON_NESTING_LIMIT);
    if (at >= text + n)
        return tkx__fail(err, TKX_ERR_PARSE, "%s is not JSON: it ends too early", what);
    excerpt(at, text + n, shown);
    return tkx__fail(err, TKX_ERR_PARSE, "%s is not JSON, near byte %td%s%s%s", what,
                     at - text, shown[0] ? ": '" : "", shown, shown[0] ? "'" : "");
}

tkx_status tkx__json_text_parse(const void *bytes, size_t n, const char *what,
                                cJSON **out, tkx_error **err)
{
    const char *text = bytes;
    const char *end = text;
    cJSON *tree;

    if (n == 0)
        return tkx__fail(err, TKX_ERR_PARSE, "%s is empty", what);
    if (has_too_many_values(text, n))
        return tkx__fail(err, TKX_ERR_LIMIT, "%s has more than %zu values", what,
                         MAX_VALUES);
    tree = cJSON_ParseWithLengthOpts(text, n, &end, false);
    if (!tree)
        return not_json(text, n, end, what, err);
    if (!cJSON_IsObject(tree) || !is_blank(end, text + n)) {
        cJSON_Delete(tree);
        return tkx__fail(err, TKX_ERR_PARSE, "%s is not one JSON object", what);
    }
    *out = tree;
    return TKX_OK;
}

tkx_status tkx__json_text_read(const char *path, size_t max_size, cJSON **out,
                               tkx_error **err)
{
    tkx__mapped mapped;
    tkx_status st = tkx__mapped_open(&mapped, path, err);

    if (st != TKX_OK)
        return st;
    if (mapped.size > max_size)
        st = tkx__fail(err, TKX_ERR_LIMIT, "%s has %zu bytes, more than %zu", path,
                       mapped.size, max_size);
    else
        st = tkx__json_text_parse(mapped.data, mapped.size, path, out, err);
    tkx__mapped_close(&mapped);
    return st;
}

bool tkx__json_text_size(const cJSON *item, size_t *out)
{
    double value;

    if (!cJSON_IsNumber(item))
        return false;
    value = item->valuedouble;
    if (!(value >= 0) || value > 0x1p53 || value != (double)(uint64_t)value)
        return false;
    *out = (size_t)value;
    return true;
}
