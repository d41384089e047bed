/* SPDX-License-Identifier: Apache-2.0 */
/* nn_fixture.h - a small engine, datums from text, and calls that must succeed. */
#ifndef TESTS_UNIT_NN_FIXTURE_H
#define TESTS_UNIT_NN_FIXTURE_H

#include "mock_server/nn/checkpoint.h"
#include "mock_server/nn/model.h"

/* With the built-in base; aborts the test when it cannot be made. */
nn_engine *fixture_engine(int n_threads);
/* With a model of tests/data/models. */
nn_engine *fixture_engine_of(int n_threads, const char *model);
nn_model *fixture_model(nn_engine *engine, size_t rank, uint64_t seed);

/* A datum of all bytes of text, each predicting the next; weights all 1. */
typedef struct fixture_datum {
    int64_t tokens[512];
    float ones[512];
    nn_datum datum;
} fixture_datum;

void fixture_text(fixture_datum *d, const char *text);
/* datums[n] of differing lengths, within a vocabulary. */
void fixture_datums(fixture_datum *store, nn_datum *datums, size_t n, size_t vocab);

/* cross_entropy; returns loss:sum. */
double fixture_train(nn_model *model, const nn_datum *datums, size_t n);
void fixture_step(nn_model *model, double lr);

#endif
