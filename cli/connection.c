/* SPDX-License-Identifier: Apache-2.0 */
/* connection.c - see connection.h. */
#include "connection.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command.h"
#include "output.h"

static volatile sig_atomic_t n_interrupts;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    if (++n_interrupts > 1)
        _Exit(CLI_INTERRUPTED);
}

static void catch_signal(int signal_number)
{
    struct sigaction action = {0};

    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

void cli_catch_interrupts(void)
{
    catch_signal(SIGINT);
}

void cli_catch_termination(void)
{
    catch_signal(SIGTERM);
}

int cli_is_interrupted(void)
{
    return n_interrupts > 0;
}

void cli_clear_interrupts(void)
{
    n_interrupts = 0;
}

cli_option *cli_connection_options(cli_connection *c, cli_option *rows)
{
    const cli_option ours[] = {
        {"base-url", CLI_STRING, &c->base_url, "URL",
         "the service; else $TINKER_BASE_URL", 0, 0, NULL},
        {"api-key", CLI_STRING, &c->api_key, "KEY", "else $TINKER_API_KEY", 0, 0, NULL},
        {"timeout", CLI_NUMBER, &c->timeout_s, "SECONDS",
         "give an operation up after that long", 0, 0, NULL},
        {"verbose", CLI_FLAG, &c->is_verbose, NULL, "log to stderr", 0, 0, NULL},
    };

    return cli_watch_options(&c->watch,
                             cli_options_add(rows, ours, sizeof ours / sizeof *ours));
}

static void log_line(tkx_log_level level, const char *subject, const char *message,
                     void *user_data)
{
    (void)user_data;
    fprintf(stderr, "%s: %s: %s\n", tkx_log_level_name(level), subject, message);
}

int cli_connection_open(cli_connection *connection)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_error *err = NULL;

    if (connection->timeout_s < 0) {
        cli_error("--timeout %g: expected 0 or more seconds", connection->timeout_s);
        return CLI_USAGE;
    }
    if (cli_watch_apply(&connection->watch, &options) != CLI_OK)
        return CLI_USAGE;
    options.base_url = connection->base_url;
    options.api_key = connection->api_key;
    options.log_fn = log_line;
    options.max_log_level = connection->is_verbose ? TKX_LOG_DEBUG : TKX_LOG_WARNING;
    if (tkx_context_new(&options, &connection->context, &err) != TKX_OK)
        return cli_fail(err, "cannot set up the client");
    if (tkx_service_new(connection->context, NULL, &connection->service, &err) !=
        TKX_OK) {
        tkx_status status = tkx_error_status(err);

        cli_fail(err, "cannot use the service");
        if (status == TKX_ERR_AUTH)
            cli_hint("give a key with --api-key KEY or TINKER_API_KEY, or store one with "
                     "`tkx auth login`");
        return CLI_FAILED;
    }
    return CLI_OK;
}

void cli_connection_close(cli_connection *connection)
{
    tkx_service_free(connection->service);
    connection->service = NULL;
    if (connection->context)
        tkx_context_close(connection->context, 0, 2000, NULL);
    cli_watch_report(&connection->watch, connection->context);
    tkx_context_free(connection->context);
    connection->context = NULL;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int cli_wait_end(const cli_connection *connection, tkx_future *future,
                 int is_interruptible, const char *what)
{
    double started = now_s();

    for (;;) {
        tkx_error *err = NULL;
        tkx_status status = tkx_future_wait(future, 200, &err);

        if (status == TKX_OK)
            return CLI_OK;
        if (status != TKX_ERR_TIMEOUT)
            return cli_fail(err, "%s", what);
        if (is_interruptible && cli_is_interrupted()) {
            tkx_error_free(err);
            return CLI_INTERRUPTED;
        }
        if (connection->timeout_s > 0 && now_s() - started >= connection->timeout_s) {
            char text[512];

            tkx_future_describe(future, text, sizeof text);
            return cli_fail(err, "%s: gave up after %g s; %s", what,
                            connection->timeout_s, text);
        }
        tkx_error_free(err);
    }
}

int cli_outcome(const tkx_future *future, const char *what)
{
    const tkx_error *error = tkx_future_error(future);

    if (!error)
        return CLI_OK;
    cli_error("%s: %s", what, tkx_error_message(error));
    if (tkx_error_trace_id(error))
        cli_hint("trace: %s", tkx_error_trace_id(error));
    for (error = tkx_error_cause(error); error; error = tkx_error_cause(error))
        cli_hint("cause: %s", tkx_error_message(error));
    return CLI_FAILED;
}

int cli_wait(const cli_connection *connection, tkx_future *future, int is_interruptible,
             const char *what)
{
    int status = cli_wait_end(connection, future, is_interruptible, what);

    return status == CLI_OK ? cli_outcome(future, what) : status;
}
