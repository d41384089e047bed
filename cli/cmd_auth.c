/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_auth.c - tkx auth login, status, logout: the stored API key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <tkx/credentials.h>

#include "command.h"
#include "connection.h"
#include "output.h"

#define MAX_KEY 65536

typedef struct auth_run {
    cli_connection connection;
    int is_unchecked;
    int as_json;
    char key[MAX_KEY];
} auth_run;

static const cli_option json_option = {
    .name = "json", .kind = CLI_FLAG, .help = "one JSON object"};

/* A compiler may not leave this out, as it may a memset() of what is not read again. */
static void wipe(char *text, size_t size)
{
    volatile char *at = text;

    while (size-- > 0)
        *at++ = 0;
}

/* One line from stdin; what is typed on a terminal does not show. */
static int read_key(auth_run *run)
{
    struct termios before, quiet;
    int is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    size_t n;

    setvbuf(stdin, NULL, _IONBF, 0); /* no copy of it in a buffer of stdio's */
    if (is_terminal) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fputs("API key: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    if (!fgets(run->key, sizeof run->key, stdin))
        run->key[0] = '\0';
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    n = strcspn(run->key, "\r\n");
    run->key[n] = '\0';
    if (n > 0)
        return CLI_OK;
    cli_error("auth login: no key was given");
    cli_hint("write it to standard input, or give --api-key KEY");
    return CLI_USAGE;
}

/* What the service says about the key; *info stays NULL when it has no such route. */
static int check_key(auth_run *run, const char *key, tkx_api_key_info **info)
{
    tkx_rest *rest = NULL;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int status;

    run->connection.api_key = key;
    status = cli_connection_open(&run->connection);
    if (status != CLI_OK)
        return status;
    if (tkx_rest_new(run->connection.context, NULL, &rest, &err) != TKX_OK ||
        tkx_rest_get_api_key(rest, key, &future, &err) != TKX_OK) {
        status = cli_fail(err, "cannot check the key");
    } else {
        status = cli_wait_end(&run->connection, future, 1, "checking the key");
        if (status == CLI_OK && tkx_error_http_status(tkx_future_error(future)) != 404)
            status = cli_outcome(future, "checking the key");
        if (status == CLI_OK && !tkx_future_error(future) &&
            tkx_future_take_api_key_info(future, info, &err) != TKX_OK)
            status = cli_fail(err, "cannot check the key");
    }
    tkx_future_unref(future);
    tkx_rest_free(rest);
    cli_connection_close(&run->connection);
    return status;
}

static void add_text(cJSON *object, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(object, name, text);
}

static void say_stored(const auth_run *run, const tkx_api_key_info *info)
{
    tkx_credential_info *where = NULL;

    if (tkx_credentials_find(&where, NULL) != TKX_OK)
        where = NULL;
    if (run->as_json) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "status", "logged_in");
        add_text(object, "path", where ? where->path : NULL);
        add_text(object, "name", info ? info->name : NULL);
        add_text(object, "email", info ? info->user_email : NULL);
        cli_json_line(object);
    } else {
        printf("stored %s%s%s%s in %s\n", info ? info->name : "the key", info ? " (" : "",
               info ? info->user_email : "", info ? ")" : "",
               where && where->path ? where->path : "the file of keys");
    }
    if (where && where->source != TKX_CREDENTIAL_FILE)
        cli_hint("%s is set and comes before the stored key",
                 where->source == TKX_CREDENTIAL_COMMAND ? "TINKER_CREDENTIAL_CMD"
                                                         : "TINKER_API_KEY");
    tkx_credential_info_free(where);
}

static int login(auth_run *run)
{
    const char *key = run->connection.api_key;
    tkx_api_key_info *info = NULL;
    tkx_error *err = NULL;
    int status = CLI_OK;

    if (!key) {
        status = read_key(run);
        key = run->key;
    }
    if (status == CLI_OK && !run->is_unchecked)
        status = check_key(run, key, &info);
    if (status == CLI_OK && tkx_credentials_store(key, info, &err) != TKX_OK)
        status = cli_fail(err, "cannot store the key");
    if (status == CLI_OK)
        say_stored(run, info);
    tkx_api_key_info_free(info);
    return status;
}

int cmd_auth_login(int argc, char **argv)
{
    static auth_run run;
    cli_option options[CLI_MAX_OPTIONS];
    cli_option ours[] = {
        {.name = "no-check",
         .kind = CLI_FLAG,
         .value = &run.is_unchecked,
         .help = "store the key without asking the service"},
        json_option,
    };
    const cli_syntax syntax = {
        "auth login [--api-key KEY] [options]",
        "Store an API key in ~/.tinker/credentials.json, for all later commands. "
        "Without --api-key it is read from standard input. The service is asked "
        "whether it takes the key.",
        options, 0, 0};
    int status;

    ours[1].value = &run.as_json;
    cli_connection_options(&run.connection,
                           cli_options_add(options, ours, sizeof ours / sizeof *ours));
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status >= 0)
        return status;
    cli_catch_interrupts();
    status = login(&run);
    wipe(run.key, sizeof run.key);
    return status;
}

/* Does the service let us in?  It is asked what it offers, without a session. */
static int check_access(auth_run *run)
{
    tkx_service_options sessionless = TKX_SERVICE_OPTIONS_INIT;
    tkx_service *service = NULL;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int status = cli_connection_open(&run->connection);

    if (status != CLI_OK)
        return status;
    sessionless.is_sessionless = 1;
    if (tkx_service_new(run->connection.context, &sessionless, &service, &err) !=
            TKX_OK ||
        tkx_service_get_capabilities(service, &future, &err) != TKX_OK)
        status = cli_fail(err, "cannot ask the service");
    else
        status = cli_wait(&run->connection, future, 1, "asking the service");
    tkx_future_unref(future);
    tkx_service_free(service);
    cli_connection_close(&run->connection);
    return status;
}

static const char *source_text(const auth_run *run, const tkx_credential_info *info)
{
    static const char *const texts[] = {[TKX_CREDENTIAL_NONE] = "none",
                                        [TKX_CREDENTIAL_ENVIRONMENT] = "TINKER_API_KEY",
                                        [TKX_CREDENTIAL_COMMAND] =
                                            "TINKER_CREDENTIAL_CMD",
                                        [TKX_CREDENTIAL_FILE] = "stored"};

    return run->connection.api_key ? "--api-key" : texts[info->source];
}

static void say_status(const auth_run *run, const tkx_credential_info *info,
                       int has_access)
{
    const char *source = source_text(run, info);
    cJSON *object;

    if (!run->as_json) {
        printf("key      %s%s%s\n", source, info->name ? " " : "",
               info->name ? info->name : "");
        if (info->user_email)
            printf("user     %s, %s\n", info->user_email,
                   info->org_name ? info->org_name : "");
        printf("file     %s\naccess   %s\n", info->path ? info->path : "none",
               has_access ? "yes" : "no");
        return;
    }
    object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "source", source);
    add_text(object, "path", info->path);
    add_text(object, "key_id", info->key_id);
    add_text(object, "name", info->name);
    add_text(object, "organization", info->org_name);
    add_text(object, "email", info->user_email);
    cJSON_AddBoolToObject(object, "access", has_access);
    cli_json_line(object);
}

int cmd_auth_status(int argc, char **argv)
{
    static auth_run run;
    cli_option options[CLI_MAX_OPTIONS];
    cli_option ours[] = {json_option};
    const cli_syntax syntax = {
        "auth status [options]",
        "Where the API key comes from, and whether the service takes it.", options, 0, 0};
    tkx_credential_info *info = NULL;
    tkx_error *err = NULL;
    int status;

    ours[0].value = &run.as_json;
    cli_connection_options(&run.connection, cli_options_add(options, ours, 1));
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status >= 0)
        return status;
    cli_catch_interrupts();
    if (tkx_credentials_find(&info, &err) != TKX_OK)
        return cli_fail(err, "the stored key cannot be used");
    status = check_access(&run);
    say_status(&run, info, status == CLI_OK);
    tkx_credential_info_free(info);
    return status;
}

int cmd_auth_logout(int argc, char **argv)
{
    int as_json = 0;
    cli_option options[] = {json_option, {.name = NULL}};
    const cli_syntax syntax = {
        "auth logout [--json]",
        "Take the stored API key out of ~/.tinker/credentials.json. "
        "The key itself stays valid.",
        options, 0, 0};
    tkx_error *err = NULL;
    int status;

    options[0].value = &as_json;
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status >= 0)
        return status;
    if (tkx_credentials_forget(&err) != TKX_OK)
        return cli_fail(err, "cannot log out");
    if (as_json) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "status", "logged_out");
        cli_json_line(object);
    } else {
        puts("the stored key was removed");
    }
    return CLI_OK;
}
