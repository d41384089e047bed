/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.h - what the kinds of tkx-conformance share: options, and the report.
 *
 * A kind walks a folder and reports each case once.  Failures print one line
 * "FAIL name: what differs"; skips "SKIP name: why".
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <stddef.h>

#include <tkx/export.h>

typedef struct conf_options {
    const char *vocab_dir; /* --vocab-dir: real vocabularies; NULL when not given */
    int is_verbose;        /* --verbose: print passes too */
} conf_options;

typedef struct conf_report {
    size_t n_passed;
    size_t n_failed;
    size_t n_skipped;
    int is_verbose;
} conf_report;

void conf_pass(conf_report *report, const char *name);
void conf_fail(conf_report *report, const char *name, const char *fmt, ...)
    TKX_PRINTF(3, 4);
void conf_skip(conf_report *report, const char *name, const char *fmt, ...)
    TKX_PRINTF(3, 4);

/* Runs every case below dir.  Nonzero when dir cannot be read (after saying why). */
typedef int conf_kind_fn(const char *dir, const conf_options *options,
                         conf_report *report);

#endif
