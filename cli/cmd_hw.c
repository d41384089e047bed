/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_hw.c - tkx hw, tkx hw fit: the machine, and whether a model fits. */
#include <stdio.h>
#include <string.h>

#include <tkx/hw.h>

#include "args.h"
#include "command.h"
#include "hw_text.h"
#include "output.h"

int cmd_hw(int argc, char **argv)
{
    int as_json = 0;
    int is_quick = 0;
    const cli_option options[] = {
        {"json", CLI_FLAG, &as_json, NULL, "print one JSON object", 0, 0, NULL},
        {"quick", CLI_FLAG, &is_quick, NULL, "do not measure memory bandwidth", 0, 0,
         NULL},
        {NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_syntax syntax = {"hw [--json] [--quick]",
                               "Show what this machine offers a local model.", options, 0,
                               0};
    tkx_hw_info info = TKX_HW_INFO_INIT;
    tkx_error *err = NULL;
    int status = cli_parse(&syntax, argc, argv, NULL, NULL);

    if (status >= 0)
        return status;
    if (tkx_hw_probe(is_quick ? 0 : TKX_HW_MEASURE, &info, &err) != TKX_OK)
        return cli_fail(err, "look at this machine");
    if (as_json)
        cli_json_line(hw_to_json(&info));
    else
        hw_print(&info);
    return CLI_OK;
}

/* How the model comes to be in that type. */
static const char *way_to(const tkx_hw_fit *fits, size_t i)
{
    static const char *const floats[] = {"F32", "F16", "BF16"};
    const char *type = fits[i].weight_type;
    int is_float = 0;

    for (int f = 0; f < 3; f++)
        is_float |= strcmp(fits[0].weight_type, floats[f]) == 0;
    if (fits[i].is_stored)
        return "as stored";
    if (is_float && strcmp(type, "Q8_0") == 0)
        return "--weights q8_0";
    if (is_float && strcmp(type, "Q4_0") == 0)
        return "--weights q4_0";
    return "another file";
}

static void print_fits(const tkx_hw_fit *fits, size_t n)
{
    printf("%-8s %10s %-14s %12s %10s\n", "type", "weights", "verdict", "context",
           "tokens/s");
    for (size_t i = 0; i < n; i++) {
        char speed[32] = "-";

        if (fits[i].tokens_per_s > 0)
            snprintf(speed, sizeof speed, "<= %.1f", fits[i].tokens_per_s);
        printf("%-8s %7.2f GB %-14s %12zu %10s  (%s)\n", fits[i].weight_type,
               (double)fits[i].weight_bytes / 1e9, fits[i].fits ? "fits" : "does not fit",
               fits[i].max_context, speed, way_to(fits, i));
    }
}

static cJSON *fits_to_json(const char *model, const tkx_hw_fit *fits, size_t n)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(object, "fits");

    cJSON_AddStringToObject(object, "model", model);
    for (size_t i = 0; i < n; i++) {
        cJSON *fit = cJSON_CreateObject();

        cJSON_AddStringToObject(fit, "weight_type", fits[i].weight_type);
        cJSON_AddBoolToObject(fit, "is_stored", fits[i].is_stored);
        cJSON_AddStringToObject(fit, "how", way_to(fits, i));
        cJSON_AddNumberToObject(fit, "weight_bytes", (double)fits[i].weight_bytes);
        cJSON_AddBoolToObject(fit, "fits", fits[i].fits);
        cJSON_AddNumberToObject(fit, "max_context", (double)fits[i].max_context);
        cJSON_AddNumberToObject(fit, "tokens_per_s", fits[i].tokens_per_s);
        cJSON_AddItemToArray(list, fit);
    }
    return object;
}

int cmd_hw_fit(int argc, char **argv)
{
    int as_json = 0;
    const cli_option options[] = {
        {"json", CLI_FLAG, &as_json, NULL, "print one JSON object", 0, 0, NULL},
        {NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_syntax syntax = {
        "hw fit [--json] MODEL",
        "Say whether a model (GGUF file or Hugging Face folder) fits, per weight type.",
        options, 1, 1};
    tkx_hw_info info = TKX_HW_INFO_INIT;
    tkx_hw_fit fits[TKX_HW_MAX_FITS];
    const char *model = NULL;
    size_t n_operands = 0;
    size_t n = 0;
    tkx_error *err = NULL;
    int status = cli_parse(&syntax, argc, argv, &model, &n_operands);

    if (status >= 0)
        return status;
    if (tkx_hw_probe(TKX_HW_MEASURE, &info, &err) != TKX_OK ||
        tkx_hw_fit_model(model, &info, fits, &n, &err) != TKX_OK)
        return cli_fail(err, "hw fit %s", model);
    if (as_json)
        cli_json_line(fits_to_json(model, fits, n));
    else
        print_fits(fits, n);
    return CLI_OK;
}
