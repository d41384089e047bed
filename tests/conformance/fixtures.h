/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures.h - recorded bytes of the wire: what the parts of this kind share.
 *
 * A case is one object of a manifest.  Requests: our codec builds the body from call.args
 * and the values are compared.  Responses: our codec decodes the reply's bytes and the
 * values are compared with expect.result, or the failure with expect.error.
 */
#ifndef TESTS_CONFORMANCE_FIXTURES_H
#define TESTS_CONFORMANCE_FIXTURES_H

#include <tkx/types/custom_loss.h>
#include <tkx/types/forward_backward.h>
#include <tkx/types/model.h>
#include <tkx/types/sample.h>
#include <tkx/types/session.h>

#include "base/buf.h"
#include "conformance.h"
#include "support/jdom.h"
#include "json/writer.h"

typedef struct fixture {
    const jdom *root; /* the case */
    const char *name;
    const char *op;
    const char *group;
    const jdom *context;
    const jdom *args;
    const char *dir; /* folder of its files */
    tkx__arena *arena;
    bool only_codecs; /* leave out what takes a client */
    char why[400];    /* what differs */
} fixture;

typedef enum fixture_verdict {
    FIXTURE_PASSED = 0,
    FIXTURE_FAILED,  /* why says what differs */
    FIXTURE_NOT_HERE /* needs more than codecs */
} fixture_verdict;

fixture_verdict fixture_differs(fixture *f, const char *fmt, ...) TKX_PRINTF(2, 3);

/* A file of the folder in the arena; NULL (and why) when it cannot be read. */
const char *fixture_file(fixture *f, const char *name, size_t *size);
const char *fixture_text(const fixture *f, const jdom *from, const char *key);

/* Values for our codecs out of call.args; NULL or false (and why) when not understood. */
bool fixture_training(fixture *f, tkx_forward_backward_request *to);
bool fixture_sample(fixture *f, tkx_sample_request *to);
tkx_pair_list fixture_pairs(fixture *f, const jdom *from);
tkx_string_list fixture_strings(fixture *f, const jdom *from);

void fixture_search(fixture *f, tkx_session_search *to);

/* The same for what fixtures_options.c knows; what the arguments leave out stays. */
const char *fixture_json(fixture *f, const jdom *value);
tkx_optimizer_config fixture_optimizer(fixture *f, const jdom *from);
void fixture_lora(fixture *f, tkx_lora_config *to);
void fixture_adam(fixture *f, tkx_adam_params *to);
void fixture_dimuon(fixture *f, tkx_dimuon_params *to);
bool fixture_custom_loss(fixture *f, tkx_create_custom_loss_request *to);

fixture_verdict fixture_run_request(fixture *f);
fixture_verdict fixture_run_response(fixture *f);
/* The same with the whole client. */
fixture_verdict fixture_run_call(fixture *f);
/* The request that the whole client sends. */
fixture_verdict fixture_run_sent(fixture *f);
/* A recorded program, and the conversation that it led to. */
fixture_verdict fixture_run_sequence(fixture *f);
/* A result as JSON, beside the wanted one. */
fixture_verdict fixture_holds(fixture *f, const tkx__buf *buf, const jdom *wanted);
/* Compares a decoded result, written as JSON, or its failure with expect. */
fixture_verdict fixture_judge(fixture *f, tkx_status st, const tkx__buf *buf,
                              const tkx_error *err);

/* Compare bodies under the rules of fixtures_rules.c. */
fixture_verdict fixture_compare_json(fixture *f, const char *ours, size_t n_ours,
                                     const char *theirs, size_t n_theirs);
fixture_verdict fixture_compare_proto(fixture *f, const char *ours, size_t n_ours,
                                      const char *theirs, size_t n_theirs);
/* A message as it was sent, maybe compressed. */
fixture_verdict fixture_compare_sent_proto(fixture *f, const char *ours, size_t n_ours,
                                           const char *theirs, size_t n_theirs,
                                           bool is_zstd);

#endif
