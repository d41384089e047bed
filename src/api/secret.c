/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret.c - counted texts that are wiped when the last holder lets go.
 */
#include <string.h>

#include "api/auth.h"
#include "base/mem.h"

tkx__secret *tkx__secret_new(const char *text)
{
    size_t n = strlen(text);
    tkx__secret *secret = tkx__malloc(sizeof *secret + n + 1);

    if (!secret)
        return NULL;
    secret->n_refs = 1;
    secret->size = n;
    memcpy(secret->text, text, n + 1);
    return secret;
}

tkx__secret *tkx__secret_ref(tkx__secret *secret)
{
    if (secret)
        secret->n_refs++;
    return secret;
}

void tkx__secret_unref(tkx__secret *secret)
{
    if (!secret || --secret->n_refs > 0)
        return;
    tkx__wipe(secret->text, secret->size);
    tkx__free(secret);
}
