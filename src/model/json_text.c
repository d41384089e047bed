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
        return tkx__fail(err, TKX_ERR_PARSE, "%s is not JSON, near byte %td", what,
                         end - text);
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
