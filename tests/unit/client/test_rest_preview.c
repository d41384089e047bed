/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rest_preview.c - calls that are known from documentation alone: off unless the
 * client was made with them, and what goes out then.
 */
#include <stdio.h>
#include <string.h>

#include "rest_rig.h"
#include "support/suite.h"

static void set_up(void)
{
    tkx_service_options options = TKX_SERVICE_OPTIONS_INIT;

    rest_set_up();
    tkx_rest_free(rest);
    options.has_preview_routes = 1;
    ck_assert_int_eq(tkx_rest_new(context, &options, &rest, NULL), TKX_OK);
}

static int tell(const tkx_checkpoint *checkpoint, void *user_data)
{
    char *told = user_data;
    size_t n = strlen(told);

    snprintf(told + n, 2, "%.1s", checkpoint->checkpoint_id);
    return 0;
}

START_TEST(they_are_off_by_default)
{
    tkx_checkpoint_search search = TKX_CHECKPOINT_SEARCH_INIT;
    tkx_external_upload_request upload = {.base_model = "b",
                                          .lora_config = TKX_LORA_CONFIG_INIT};
    char told[8] = "";
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx_rest_search_checkpoints(rest, &search, &future, &err),
                     TKX_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "has_preview_routes"));
    tkx_error_free(err);
    ck_assert_int_eq(
        tkx_rest_each_found_checkpoint(rest, &search, tell, told, &future, NULL),
        TKX_ERR_UNSUPPORTED);
    ck_assert_int_eq(tkx_rest_start_external_upload(rest, &upload, &future, NULL),
                     TKX_ERR_UNSUPPORTED);
    ck_assert_int_eq(tkx_rest_finish_external_upload(rest, "u", &future, NULL),
                     TKX_ERR_UNSUPPORTED);
    fake_io_turn(io);
    ck_assert_uint_eq(fake_io_find_open(io, 0, NULL), FAKE_NONE);
    ck_assert_ptr_null(future);
}
END_TEST

#define FOUND(ID)                                                                        \
    "{\"checkpoint_id\":\"" ID "\",\"checkpoint_type\":\"external\","                    \
    "\"time\":\"2026-01-02T03:04:05Z\",\"tinker_path\":\"tinker://r/" ID "\","           \
    "\"base_model\":\"m\"}"

START_TEST(checkpoints_are_searched)
{
    tkx_checkpoint_search search = TKX_CHECKPOINT_SEARCH_INIT;
    const char *const projects[] = {"p"}, *const models[] = {"m", "n"},
                      *const urns[] = {"urn:u"};
    const tkx_pair metadata[] = {{"k", "v"}};
    tkx_checkpoint_search_result *found;

    expect(tkx_rest_search_checkpoints(rest, &search, &future, NULL), "POST",
           "http://x/api/v1/checkpoints/search",
           "{\"user_metadata\":{},\"limit\":50,\"owner\":{\"type\":\"own\"}}");
    answer(200, NULL, "{\"checkpoints\":[]}", TKX_OK);
    drop();

    search.project_ids = (tkx_string_list){projects, 1};
    search.base_models = (tkx_string_list){models, 2};
    search.user_metadata = (tkx_pair_list){metadata, 1};
    search.checkpoint_type = "external";
    search.owner = "user";
    search.owner_urns = (tkx_string_list){urns, 1};
    search.limit = 1;
    search.cursor_json = "{\"c\":1}";
    expect(tkx_rest_search_checkpoints(rest, &search, &future, NULL), "POST",
           "http://x/api/v1/checkpoints/search",
           "{\"project_ids\":[\"p\"],\"user_metadata\":{\"k\":\"v\"},"
           "\"checkpoint_type\":\"external\",\"base_models\":[\"m\",\"n\"],\"limit\":1,"
           "\"cursor\":{\"c\":1},\"owner\":{\"type\":\"user\",\"owner_urns\":[\"urn:u\"]}"
           "}");
    answer(200, NULL, "{\"checkpoints\":[" FOUND("x") "],\"next_cursor\":{\"c\":2}}",
           TKX_OK);
    ck_assert_int_eq(tkx_future_take_checkpoint_search_result(future, &found, NULL),
                     TKX_OK);
    ck_assert_uint_eq(found->count, 1);
    ck_assert_str_eq(found->items[0].base_model, "m");
    ck_assert_str_eq(found->next_cursor_json, "{\"c\":2}");
    tkx_checkpoint_search_result_free(found);
}
END_TEST

static void answer_page(const char *cursor, const char *body)
{
    last = fake_io_find_open(io, 0, "checkpoints/search");
    ck_assert_uint_ne(last, FAKE_NONE);
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(io, last)->body, "\"base_models\":[\"m\"]"));
    ck_assert_ptr_nonnull(strstr(fake_io_sent(io, last)->body, cursor));
    fake_io_answer(io, last, 200, NULL, body);
}

START_TEST(a_walk_goes_on_to_the_page_without_a_cursor)
{
    tkx_checkpoint_search search = TKX_CHECKPOINT_SEARCH_INIT;
    char model[] = "m", told[16] = "";
    const char *models[] = {model};

    search.base_models = (tkx_string_list){models, 1};
    ck_assert_int_eq(
        tkx_rest_each_found_checkpoint(rest, &search, tell, told, &future, NULL), TKX_OK);
    model[0] = '?'; /* it was copied */
    fake_io_turn(io);
    last = fake_io_find_open(io, 0, "checkpoints/search");
    ck_assert_ptr_null(strstr(fake_io_sent(io, last)->body, "cursor"));
    answer_page("", "{\"checkpoints\":[" FOUND("a") "," FOUND(
                        "b") "],\"next_cursor\":{\"c\":1}}");
    answer_page("\"cursor\":{\"c\":1}", "{\"checkpoints\":[" FOUND("c") "]}");
    ck_assert(tkx_future_is_done(future));
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_OK);
    ck_assert_str_eq(told, "abc");
}
END_TEST

START_TEST(an_upload_begins_and_ends)
{
    tkx_external_upload_request request = {.base_model = "b",
                                           .lora_config = TKX_LORA_CONFIG_INIT};
    tkx_external_upload_result *result;
    tkx_external_upload *upload;
    char key[80];

    expect(tkx_rest_start_external_upload(rest, &request, &future, NULL), "POST",
           "http://x/api/v1/external_weights_upload_start",
           "{\"base_model\":\"b\",\"lora_config\":{\"rank\":32,\"train_unembed\":true,"
           "\"train_mlp\":true,\"train_attn\":true}}");
    answer(200, NULL,
           "{\"upload_id\":\"u\",\"urls\":{\"adapter_config.json\":\"http://y/1\"},"
           "\"expires\":\"2026-01-02T03:04:05Z\"}",
           TKX_OK);
    ck_assert_int_eq(tkx_future_take_external_upload(future, &upload, NULL), TKX_OK);
    ck_assert_str_eq(upload->upload_id, "u");
    ck_assert_uint_eq(upload->urls.count, 1);
    ck_assert_str_eq(upload->urls.items[0].value, "http://y/1");
    tkx_external_upload_free(upload);
    drop();

    request.destination_project_id = "p";
    ck_assert_ptr_nonnull(
        strstr(sent(tkx_rest_start_external_upload(rest, &request, &future, NULL))->body,
               "\"destination_project_id\":\"p\""));
    answer(404, NULL, "{\"detail\":\"Not Found\"}", TKX_ERR_HTTP);
    drop();

    expect(tkx_rest_finish_external_upload(rest, "u", &future, NULL), "POST",
           "http://x/api/v1/external_weights_upload_finish", "{\"upload_id\":\"u\"}");
    snprintf(key, sizeof key, "%s", fake_io_header(io, last, "x-idempotency-key"));
    fake_io_answer(io, last, 500, NULL, "{}");
    fake_io_advance(io, 60000);
    last = fake_io_find_open(io, 0, "upload_finish");
    ck_assert_uint_ne(last, FAKE_NONE);
    ck_assert_str_eq(fake_io_header(io, last, "x-idempotency-key"), key);
    answer(200, NULL, "{\"tinker_path\":\"tinker://r/external_weights/x\"}", TKX_OK);
    ck_assert_int_eq(tkx_future_take_external_upload_result(future, &result, NULL),
                     TKX_OK);
    ck_assert_str_eq(result->tinker_path, "tinker://r/external_weights/x");
    tkx_external_upload_result_free(result);
}
END_TEST

START_TEST(what_cannot_be_right_is_refused)
{
    tkx_external_upload_request request = {.base_model = NULL,
                                           .lora_config = TKX_LORA_CONFIG_INIT};
    tkx_checkpoint_search search = {0};

    ck_assert_int_ne(tkx_rest_start_external_upload(rest, &request, &future, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx_rest_finish_external_upload(rest, "", &future, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(
        tkx_rest_each_found_checkpoint(rest, &search, tell, NULL, &future, NULL),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_rest_search_checkpoints(rest, &search, &future, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    request.base_model = "b";
    ck_assert_int_eq(tkx_rest_start_external_upload(rest, &request, &future, NULL),
                     TKX_OK);
    fake_io_turn(io);
    last = fake_io_find_open(io, 0, NULL);
    answer(200, NULL, "{\"upload_id\":\"u\"}", TKX_ERR_PROTOCOL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rest_preview");
    TCase *off = tcase_create("off");
    TCase *on = tcase_create("on");

    tcase_add_checked_fixture(off, rest_set_up, rest_tear_down);
    tcase_add_test(off, they_are_off_by_default);
    suite_add_tcase(suite, off);
    tcase_add_checked_fixture(on, set_up, rest_tear_down);
    tcase_add_test(on, checkpoints_are_searched);
    tcase_add_test(on, a_walk_goes_on_to_the_page_without_a_cursor);
    tcase_add_test(on, an_upload_begins_and_ends);
    tcase_add_test(on, what_cannot_be_right_is_refused);
    suite_add_tcase(suite, on);
    return run_suite(suite);
}
