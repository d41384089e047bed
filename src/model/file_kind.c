/* SPDX-License-Identifier: Apache-2.0 */
/* file_kind.c - files that stand where weights should, by their first bytes. */
#include "model/file_kind.h"

#include <string.h>

static const struct kind {
    const char *magic;
    const char *hint;
} kinds[] = {
    {"version https://git-lfs.github.com/spec/",
     "it is a git-lfs pointer, not the file itself: fetch that with git lfs pull"},
    {"GGUF", "it is a GGUF file: name it by itself, ending in .gguf"},
    {"PK\x03\x04", "it is a zip file, perhaps of PyTorch: convert it to safetensors"},
    {"\x80\x02", "it is a pickle of PyTorch: convert it to safetensors"},
    {"<", "it is a web page: the download did not work"},
    {"{", "it begins as JSON: is it an index, or was the download refused?"},
};

const char *tkx__file_kind_hint(const void *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = strlen(kinds[i].magic);

        if (size >= n && memcmp(bytes, kinds[i].magic, n) == 0)
            return kinds[i].hint;
    }
    return NULL;
}
