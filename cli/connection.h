/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.h - the options that every command with a service takes, and the context and
 * service made from them.
 */
#ifndef CLI_CONNECTION_H
#define CLI_CONNECTION_H

#include <tkx/service.h>

#include "args.h"
#include "watch.h"

typedef struct cli_connection {
    const char *base_url; /* --base-url, else TINKER_BASE_URL, else the hosted service */
    const char *api_key;  /* --api-key, else TINKER_API_KEY */
    double timeout_s;     /* --timeout: of one operation; 0: none */
    int is_verbose;
    cli_watch watch;
    tkx_context *context;
    tkx_service *service;
} cli_connection;

/* Write the connection's rows at @p rows; returns the place after them. */
cli_option *cli_connection_options(cli_connection *connection, cli_option *rows);

/* Open the context and the service.  CLI_OK, or CLI_FAILED after saying why. */
int cli_connection_open(cli_connection *connection);
void cli_connection_close(cli_connection *connection);

/*
 * Wait until a future has completed, whatever came of it, --timeout at most, or until
 * Ctrl-C when is_interruptible.  CLI_OK, CLI_FAILED after saying "<what>: why", or
 * CLI_INTERRUPTED.
 */
int cli_wait_end(const cli_connection *connection, tkx_future *future,
                 int is_interruptible, const char *what);
/* CLI_OK, or CLI_FAILED after saying "<what>: why". */
int cli_outcome(const tkx_future *future, const char *what);

/* Both. */
int cli_wait(const cli_connection *connection, tkx_future *future, int is_interruptible,
             const char *what);

/* From now on Ctrl-C is noted instead of ending the program (a second one ends it). */
void cli_catch_interrupts(void);
/* SIGTERM as well, which job schedulers send before they kill. */
void cli_catch_termination(void);
int cli_is_interrupted(void);
void cli_clear_interrupts(void); /* the one noted was meant for what has ended */

#endif
