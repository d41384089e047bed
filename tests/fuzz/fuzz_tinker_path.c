/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tinker_path.c - checkpoint paths: parts lie inside the text and are not empty. */
#include <stdlib.h>
#include <string.h>

#include <tkx/types/tinker_path.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tkx_tinker_path path;
    tkx_error *err = NULL;
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (tkx_tinker_path_parse(text, &path, &err) == TKX_OK &&
        (!path.run_id_size || !path.name_size ||
         path.name + path.name_size > text + strlen(text)))
        abort();
    tkx_error_free(err);
    free(text);
    return 0;
}
