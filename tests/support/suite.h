/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suite.h - the main() of a test program: run cases, print the summary, exit status.
 *
 * Every test may take ten minutes; waits inside of it need no limits of their own.
 */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include <check.h>

/* Run a suite (freed here).  Returns the exit status for main(). */
int run_suite(Suite *suite);

#endif
