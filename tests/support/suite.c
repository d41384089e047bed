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

int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
