/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - tkx-mock-server.  Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot
 * start, 2 on wrong usage.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "mock_server/server.h"

/* Ten thousand held polls are ten thousand descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int fail(tkx_error *err, int status)
{
    fprintf(stderr, "tkx-mock-server: %s\n", tkx_error_message(err));
    if (status == 2)
        fprintf(stderr, "Try tkx-mock-server --help.\n\n%s", mock_usage);
    tkx_error_free(err);
    return status;
}

int main(int argc, char **argv)
{
    mock_options opt;
    mock_server *srv = NULL;
    tkx_error *err = NULL;
    bool is_clean;

    if (mock_options_parse(argc, argv, &opt, &err) != TKX_OK)
        return fail(err, 2);
    if (opt.wants_help) {
        fputs(mock_usage, stdout);
        return 0;
    }
    raise_descriptor_limit();
    if (server_new(&opt, &srv, &err) != TKX_OK)
        return fail(err, 1);
    printf("listening on %s\n", srv->url);
    fflush(stdout);
    is_clean = server_run(srv);
    if (!is_clean)
        _exit(0); /* a worker is deep in a product; the next start does that work again */
    server_free(srv);
    return 0;
}
