/* SPDX-License-Identifier: Apache-2.0 */
/* tinker_path.c - taking checkpoint paths apart; every part must have a byte at least. */
#include <string.h>

#include <tkx/types/tinker_path.h>

#include "base/error.h"
#include "base/str.h"

static tkx_status refuse(const char *text, const char *why, tkx_error **err)
{
    return tkx__fail(
        err, TKX_ERR_INVALID_ARGUMENT,
        "path \"%.200s\": %s; expected tinker://RUN/KIND/NAME with KIND weights, "
        "sampler_weights or external_weights",
        text, why);
}

static bool find_kind(const char *part, size_t size, tkx_path_kind *kind)
{
    static const char *const names[] = {"weights", "sampler_weights", "external_weights"};

    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == size && memcmp(part, names[i], size) == 0) {
            *kind = (tkx_path_kind)i;
            return true;
        }
    return false;
}

tkx_status tkx_tinker_path_parse(const char *text, tkx_tinker_path *out, tkx_error **err)
{
    const char *part;
    const char *slash;

    memset(out, 0, sizeof *out);
    if (!text ||
        !(tkx__starts_with(text, "tinker://") || tkx__starts_with(text, "twinkle://")))
        return refuse(text ? text : "", "the prefix tinker:// is missing", err);
    part = strstr(text, "://") + 3;
    slash = strchr(part, '/');
    if (!slash || slash == part || !slash[1])
        return refuse(text, "a part is missing or empty", err);
    out->run_id = part;
    out->run_id_size = (size_t)(slash - part);
    out->checkpoint_id = slash + 1;
    out->checkpoint_id_size = strlen(slash + 1);
    part = slash + 1;
    slash = strchr(part, '/');
    if (!slash) {
        out->is_two_part = true;
        out->kind = TKX_PATH_SAMPLER_WEIGHTS;
        out->name = part;
        out->name_size = strlen(part);
        return TKX_OK;
    }
    if (!find_kind(part, (size_t)(slash - part), &out->kind))
        return refuse(text, "unknown kind of checkpoint", err);
    if (!slash[1] || strchr(slash + 1, '/'))
        return refuse(text, "the name is empty or has a slash", err);
    out->name = slash + 1;
    out->name_size = strlen(slash + 1);
    return TKX_OK;
}
