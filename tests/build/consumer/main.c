/* SPDX-License-Identifier: Apache-2.0 */
/* What an outside project does first: link us and ask for the version. */
#include <stdio.h>
#include <string.h>

#include <tkx/version.h>

int main(void)
{
    char expected[32];

    snprintf(expected, sizeof expected, "%d.%d.%d", TKX_VERSION_MAJOR, TKX_VERSION_MINOR,
             TKX_VERSION_PATCH);
    return strcmp(tkx_version(), expected) == 0 ? 0 : 1;
}
