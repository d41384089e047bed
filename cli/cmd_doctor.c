/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_doctor.c - tkx doctor: is everything here that tkx needs. */
#include <stdio.h>
#include <stdlib.h>

#include <tkx/credentials.h>
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

/* Where a key comes from, or why none can be used. */
typedef struct key_state {
    const char *source; /* NULL: there is none */
    tkx_error *problem;
} key_state;

static key_state find_key(void)
{
    static const char *const sources[] = {NULL, "TINKER_API_KEY", "TINKER_CREDENTIAL_CMD",
                                          "tkx auth login"};
    tkx_credential_info *info = NULL;
    key_state key = {NULL, NULL};

    if (tkx_credentials_find(&info, &key.problem) == TKX_OK)
        key.source = sources[info->source];
    tkx_credential_info_free(info);
    return key;
}

static void print_json(const key_state *key, const tkx_hw_info *info)
{
    cJSON *object = cJSON_CreateObject();

    cJSON_AddStringToObject(object, "version", tkx_version());
    cJSON_AddBoolToObject(object, "has_api_key", key->source != NULL);
    if (key->source)
        cJSON_AddStringToObject(object, "api_key_source", key->source);
    if (key->problem)
        cJSON_AddStringToObject(object, "api_key_problem",
                                tkx_error_message(key->problem));
    cJSON_AddBoolToObject(object, "has_base_url", is_set("TINKER_BASE_URL"));
    cJSON_AddItemToObject(object, "hw", hw_to_json(info));
    cli_json_line(object);
}

static void print_text(const key_state *key, const tkx_hw_info *info)
{
    printf("tkx        %s\n", tkx_version());
    printf("key        %s%s\n", key->source ? "from " : "none",
           key->source ? key->source : "");
    printf("service    %s\n",
           is_set("TINKER_BASE_URL") ? "TINKER_BASE_URL" : "the hosted one");
    hw_print(info);
    if (key->problem)
        printf("warning: no key can be used: %s\n", tkx_error_message(key->problem));
    if (hw_print_warnings(info) == 0 && !key->problem)
        printf("nothing to complain about\n");
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
    key_state key;
    int status = cli_parse(&syntax, argc, argv, NULL, NULL);

    if (status >= 0)
        return status;
    if (tkx_hw_probe(TKX_HW_MEASURE, &info, &err) != TKX_OK)
        return cli_fail(err, "look at this machine");
    key = find_key();
    (as_json ? print_json : print_text)(&key, &info);
    tkx_error_free(key.problem);
    return CLI_OK;
}
