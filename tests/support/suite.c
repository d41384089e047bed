/* SPDX-License-Identifier: Apache-2.0 */
/* suite.c - run one suite of Check. */
#include "support/suite.h"

#include <stdlib.h>

/* For what hangs: a busy machine makes a test slow, not wrong.  Check reads it when a
   case is made, before run_suite(). */
__attribute__((constructor)) static void set_patience(void)
{
    setenv("CK_DEFAULT_TIMEOUT", "600", 0);
}

/* What the user has set is not for the servers and clients of the tests. */
__attribute__((constructor)) static void forget_surroundings(void)
{
    static const char *const names[] = {
        "TINKER_API_KEY", "TINKER_BASE_URL",   "TINKER_CREDENTIAL_CMD",
        "TINKER_TAGS",    "TINKER_PROJECT_ID", "TINKER_TELEMETRY",
        "http_proxy",     "https_proxy",       "HTTPS_PROXY",
        "all_proxy",      "ALL_PROXY",         "SSL_CERT_FILE"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
