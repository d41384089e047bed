/* SPDX-License-Identifier: Apache-2.0 */
/* test_checkpoint.c - saved states: exact, complete, refused when they do not fit. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/safetensors.h"
#include "nn_fixture.h"
#include "support/suite.h"

enum { ALL = NN_STATE_OPTIMIZER | NN_STATE_GRADIENTS };

static nn_engine *engine;
static nn_model *model;
static fixture_datum d;

static void setup(void)
{
    engine = fixture_engine(2);
    model = fixture_model(engine, 3, 11);
    fixture_text(&d, "a training state");
    for (int i = 0; i < 2; i++) {
        fixture_train(model, &d.datum, 1);
        fixture_step(model, 1e-2);
    }
    fixture_train(model, &d.datum, 1);
}

static void teardown(void)
{
    nn_model_free(model);
    nn_engine_free(engine);
}

static void save(unsigned parts, nn_bytes *bytes)
{
    tkx_error *err = NULL;

    ck_assert_msg(nn_model_save_state(model, parts, bytes, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
}

/* A model made again from its state goes on as if nothing had been. */
START_TEST(restart_is_exact)
{
    nn_model *again = fixture_model(engine, 3, 999);
    nn_bytes bytes;
    size_t size = model->adapter.n_values * sizeof(float);

    save(ALL, &bytes);
    ck_assert_int_eq(nn_model_load_state(again, bytes.data, bytes.size, ALL, NULL),
                     TKX_OK);
    for (int i = 0; i < 2; i++) {
        fixture_step(model, 1e-2);
        fixture_step(again, 1e-2);
        fixture_train(model, &d.datum, 1);
        fixture_train(again, &d.datum, 1);
    }
    ck_assert_int_eq(nn_model_step(again), 4);
    ck_assert_mem_eq(model->adapter.values, again->adapter.values, size);
    ck_assert_mem_eq(model->v, again->v, size);
    ck_assert_mem_eq(model->gradient, again->gradient, size);
    tkx__free(bytes.data);
    nn_model_free(again);
}
END_TEST

/* Weights alone: moments, step and gradients start afresh. */
START_TEST(weights_only)
{
    nn_model *again = fixture_model(engine, 3, 999);
    nn_bytes bytes;

    save(ALL, &bytes);
    fixture_train(again, &d.datum, 1);
    ck_assert_int_eq(nn_model_load_state(again, bytes.data, bytes.size, 0, NULL), TKX_OK);
    ck_assert_int_eq(nn_model_step(again), 0);
    for (size_t i = 0; i < again->adapter.n_values; i++) {
        ck_assert_float_eq(again->m[i], 0);
        ck_assert_float_eq(again->gradient[i], 0);
    }
    ck_assert_mem_eq(model->adapter.values, again->adapter.values,
                     model->adapter.n_values * sizeof(float));
    tkx__free(bytes.data);
    nn_model_free(again);
}
END_TEST

START_TEST(info_from_metadata)
{
    nn_bytes bytes;
    nn_state_info info;

    save(NN_STATE_OPTIMIZER, &bytes);
    ck_assert_int_eq(nn_state_read_info(bytes.data, bytes.size, &info, NULL), TKX_OK);
    ck_assert_str_eq(info.base_model, "base");
    ck_assert_uint_eq(info.lora.rank, 3);
    ck_assert_uint_eq(info.lora.seed, 11);
    ck_assert(info.lora.train_attn && info.lora.train_mlp && info.lora.train_unembed);
    ck_assert_double_eq(info.lora.alpha, 32);
    ck_assert_int_eq(info.step, 2);
    ck_assert_uint_eq(info.parts, NN_STATE_OPTIMIZER);
    tkx__free(bytes.data);
}
END_TEST

/* Everything that differs is in the message, and the model stays as it was. */
START_TEST(refusal_lists_differences)
{
    nn_model *other = fixture_model(engine, 5, 1);
    nn_bytes bytes;
    tkx_error *err = NULL;
    float before = other->adapter.values[0];

    save(0, &bytes);
    ck_assert_int_eq(nn_model_load_state(other, bytes.data, bytes.size, ALL, &err),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_error_get_category(err), TKX_ERROR_CATEGORY_USER);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "rank 3, loaded into rank 5"));
    ck_assert_ptr_nonnull(
        strstr(tkx_error_message(err), "saved without optimizer state"));
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "[3, 128], expected [5, 128]"));
    ck_assert_float_eq(other->adapter.values[0], before);
    tkx_error_free(err);
    tkx__free(bytes.data);
    nn_model_free(other);
}
END_TEST

/* Cut anywhere, or with bytes changed in the header, it is refused or read; no more. */
START_TEST(hostile_bytes)
{
    nn_bytes bytes;
    nn_state_info info;
    char *copy;

    save(ALL, &bytes);
    copy = malloc(bytes.size);
    for (size_t n = 0; n < bytes.size; n += 1 + bytes.size / 97) {
        memcpy(copy, bytes.data, n);
        ck_assert_int_ne(nn_model_load_state(model, copy, n, ALL, NULL), TKX_OK);
        ck_assert_int_ne(nn_state_read_info(copy, n, &info, NULL), TKX_OK);
    }
    for (size_t i = 0; i < 4000; i += 7) {
        nn_snapshot *s = NULL;

        memcpy(copy, bytes.data, bytes.size);
        copy[i] = (char)(copy[i] ^ 0x11);
        (void)nn_model_load_state(model, copy, bytes.size, ALL, NULL);
        (void)nn_snapshot_from_state(engine, nn_engine_base_at(engine, 0), copy,
                                     bytes.size, &s, NULL);
        nn_snapshot_unref(s);
    }
    free(copy);
    tkx__free(bytes.data);
}
END_TEST

/* The archive's members: PEFT names and shapes, a configuration, and a way back. */
START_TEST(archive_members)
{
    nn_snapshot *snapshot = NULL, *again = NULL;
    nn_bytes bytes, config;
    tkx__safetensors *file = NULL;
    const tkx__tensor *t;

    ck_assert_int_eq(nn_snapshot_of_model(model, &snapshot, NULL), TKX_OK);
    ck_assert_int_eq(nn_snapshot_adapter_bytes(snapshot, &bytes, NULL), TKX_OK);
    ck_assert_int_eq(nn_snapshot_config_json(snapshot, &config, NULL), TKX_OK);
    ck_assert_ptr_nonnull(strstr(config.data, "\"r\": 3"));
    ck_assert_ptr_nonnull(strstr(config.data, "\"lora_alpha\": 32.0"));
    ck_assert_int_eq(tkx__safetensors_parse(bytes.data, bytes.size, "x", &file, NULL),
                     TKX_OK);
    t = tkx__tensors_find(tkx__safetensors_tensors(file),
                          "base_model.model.model.unembed_tokens.lora_B.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->dims[0], 257);
    ck_assert_uint_eq(t->dims[1], 3);
    t = tkx__tensors_find(
        tkx__safetensors_tensors(file),
        "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->dims[0], 3);
    ck_assert_int_eq(nn_snapshot_from_state(engine, nn_engine_base_at(engine, 0),
                                            bytes.data, bytes.size, &again, NULL),
                     TKX_OK);
    tkx__safetensors_free(file);
    tkx__free(bytes.data);
    tkx__free(config.data);
    nn_snapshot_unref(snapshot);
    nn_snapshot_unref(again);
}
END_TEST

START_TEST(a_base_has_no_adapter)
{
    nn_snapshot *snapshot = NULL;
    nn_bytes bytes;

    ck_assert_int_eq(
        nn_snapshot_of_base(engine, nn_engine_base_at(engine, 0), &snapshot, NULL),
        TKX_OK);
    ck_assert_int_eq(nn_snapshot_adapter_bytes(snapshot, &bytes, NULL),
                     TKX_ERR_INVALID_STATE);
    ck_assert_int_eq(nn_snapshot_config_json(snapshot, &bytes, NULL),
                     TKX_ERR_INVALID_STATE);
    nn_snapshot_unref(snapshot);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tc = tcase_create("checkpoint");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, restart_is_exact);
    tcase_add_test(tc, weights_only);
    tcase_add_test(tc, info_from_metadata);
    tcase_add_test(tc, refusal_lists_differences);
    tcase_add_test(tc, hostile_bytes);
    tcase_add_test(tc, archive_members);
    tcase_add_test(tc, a_base_has_no_adapter);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
