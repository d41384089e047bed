/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_doctor.c - tkx doctor: is everything here that tkx needs. */
#include <stdio.h>
#include <stdlib.h>

#include <tkx/hw.h>
#include <tkx/version.h>

#include "args.h"
#include "command.h"
#include "hw_text.h"
#include "output.h"

/* Whether a variable of the environment is set; never what it holds. */
static int is_set(const char *name)
{
    const char *value = getenv(name);

    return value && *value;
}

int cmd_doctor(int argc, char **argv)
{
    int as_json = 0;
    const cli_option options[] = {
        {"json", CLI_FLAG, &as_json, NULL, "print one JSON object", 0, 0, NULL},
        {NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_syntax syntax = {
        "doctor [--json]", "Check this machine and this installation.", options, 0, 0};
    tkx_hw_info info = TKX_HW_INFO_INIT;
    tkx_error *err = NULL;
    int status = cli_parse(&syntax, argc, argv, NULL, NULL);

    if (status >= 0)
        return status;
    if (tkx_hw_probe(TKX_HW_MEASURE, &info, &err) != TKX_OK)
        return cli_fail(err, "look at this machine");
    if (as_json) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "version", tkx_version());
        cJSON_AddBoolToObject(object, "has_api_key", is_set("TINKER_API_KEY"));
        cJSON_AddBoolToObject(object, "has_base_url", is_set("TINKER_BASE_URL"));
        cJSON_AddItemToObject(object, "hw", hw_to_json(&info));
        cli_json_line(object);
        return CLI_OK;
    }
    printf("tkx        %s\n", tkx_version());
    printf("key        TINKER_API_KEY is %s\n",
           is_set("TINKER_API_KEY") ? "set" : "not set");
    hw_print(&info);
    if (hw_print_warnings(&info) == 0)
        printf("nothing to complain about\n");
    return CLI_OK;
}
