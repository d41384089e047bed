/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_version.c - tkx version. */
#include <stdio.h>

#include <tkx/version.h>

#include "args.h"
#include "command.h"
#include "output.h"

int cmd_version(int argc, char **argv)
{
    int as_json = 0;
    const cli_option options[] = {
        {"json", CLI_FLAG, &as_json, NULL, "print one JSON object", 0, 0, NULL},
        {NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_syntax syntax = {"version [--json]", "Print the version.", options, 0, 0};
    int status = cli_parse(&syntax, argc, argv, NULL, NULL);

    if (status >= 0)
        return status;
    if (as_json) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "version", tkx_version());
        cli_json_line(object);
    } else {
        printf("tkx %s\n", tkx_version());
    }
    return CLI_OK;
}
