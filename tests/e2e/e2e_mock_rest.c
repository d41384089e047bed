/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints over REST: lists, publish, ttl, copy, archive with ranges, signed links. */
#include "e2e/mock_run.h"

#include <stdlib.h>

#include "support/suite.h"

static void save(mock_run *r, const char *route, const char *name, char path[512])
{
    char url[128];
    mock_answer a, b;
    snprintf(url, sizeof url, "/api/v1/%s", route);
    a = mock_post(&r->server, url, "{\"model_id\":\"%s\",\"seq_id\":%d,\"path\":\"%s\"}",
                  r->model, r->seq++, name);
    b = mock_wait(&r->server, a.body);
    mock_take_text(b.body, "path", path, 512);
    mock_answer_free(&a);
    mock_answer_free(&b);
}

static long send_status(mock_run *r, const char *method, const char *path,
                        const char *body)
{
    mock_answer a = mock_send(
        &r->server, &(mock_request){.method = method, .path = path, .body = body});
    long status = a.status;
    mock_answer_free(&a);
    return status;
}

START_TEST(checkpoints_are_listed_published_and_deleted)
{
    mock_run r = {0};
    char path[512], at[800], sub[900];
    mock_answer a;
    run_open(&r, NULL);
    save(&r, "save_weights", "one", path);
    snprintf(at, sizeof at, "/api/v1/training_runs/%s/checkpoints/weights/one", r.model);
    a = mock_get(&r.server, "/api/v1/checkpoints");
    ck_assert_ptr_nonnull(strstr(a.body, "\"checkpoint_id\":\"weights/one\""));
    ck_assert_ptr_nonnull(strstr(a.body, "\"total_count\":1"));
    mock_answer_free(&a);
    snprintf(sub, sizeof sub, "%s/publish", at);
    ck_assert_int_eq(send_status(&r, "POST", sub, "{}"), 200);
    ck_assert_int_eq(send_status(&r, "POST", sub, "{}"), 409);
    ck_assert_int_eq(send_status(&r, "DELETE", sub, NULL), 200);
    snprintf(sub, sizeof sub, "%s/ttl", at);
    ck_assert_int_eq(send_status(&r, "PUT", sub, "{\"ttl_seconds\":3599}"), 400);
    ck_assert_int_eq(send_status(&r, "PUT", sub, "{\"ttl_seconds\":3600}"), 200);
    ck_assert_int_eq(send_status(&r, "PUT", sub, "{\"ttl_seconds\":null}"), 200);
    ck_assert_int_eq(send_status(&r, "DELETE", at, NULL), 200);
    ck_assert_int_eq(send_status(&r, "DELETE", at, NULL), 404);
    run_close(&r);
}
END_TEST

/* Somebody else sees a checkpoint only when it is public, or with the owner's
   credential. */
START_TEST(a_checkpoint_is_its_owners)
{
    mock_run r = {0};
    char path[512], body[1024];
    mock_answer a;
    run_open(&r, NULL);
    save(&r, "save_weights", "mine", path);
    snprintf(body, sizeof body, "{\"tinker_path\":\"%s\"}", path);
    mock_request request = {.method = "POST",
                            .path = "/api/v1/weights_info",
                            .body = body,
                            .key = "tml-somebody-else"};
    a = mock_send(&r.server, &request);
    ck_assert_int_eq(a.status, 403);
    mock_answer_free(&a);
    snprintf(body, sizeof body,
             "{\"source_path\":\"%s\",\"destination_project_id\":\"p\"}", path);
    request.path = "/api/v1/copy_weights";
    request.headers[0] = "X-Idempotency-Key: k1";
    request.headers[1] = "X-Tinker-Weights-Access-Token: tml-test";
    a = mock_send(&r.server, &request);
    ck_assert_msg(a.status == 200, "%s", a.body);
    mock_take_text(a.body, "tinker_path", path, sizeof path);
    mock_answer_free(&a);
    a = mock_send(&r.server, &request); /* resent under the same key: the same copy */
    ck_assert_ptr_nonnull(strstr(a.body, path));
    mock_answer_free(&a);
    run_close(&r);
}
END_TEST

START_TEST(an_archive_is_built_linked_and_served_in_ranges)
{
    static const char *const flags[] = {"--archive-delay-ms", "1", NULL};
    mock_run r = {0};
    char path[512], at[800], url[2048];
    mock_answer a, whole, part;
    run_open(&r, flags);
    save(&r, "save_weights_for_sampler", "s", path);
    snprintf(at, sizeof at,
             "/api/v1/training_runs/%s/checkpoints/sampler_weights/s/archive", r.model);
    for (;;) {
        a = mock_get(&r.server, at);
        if (a.status != 503)
            break;
        mock_answer_free(&a);
    }
    ck_assert_int_eq(a.status, 200);
    mock_take_text(a.body, "url", url, sizeof url);
    mock_answer_free(&a);
    mock_request get = {.method = "GET", .path = url, .key = ""};
    whole = mock_send(&r.server, &get);
    ck_assert_int_eq(whole.status, 200);
    ck_assert_str_eq(whole.body, "adapter_config.json"); /* the first header's name */
    ck_assert_mem_eq(whole.body + 257, "ustar", 5);
    get.headers[0] = "Range: bytes=500-1999";
    part = mock_send(&r.server, &get);
    ck_assert_int_eq(part.status, 206);
    ck_assert_uint_eq(part.size, 1500);
    ck_assert_mem_eq(part.body, whole.body + 500, 1500);
    mock_answer_free(&part);
    get.headers[0] = "Range: bytes=99999999-";
    part = mock_send(&r.server, &get);
    ck_assert_int_eq(part.status, 416);
    mock_answer_free(&part);
    url[strlen(url) - 1] ^= 1;
    get.headers[0] = NULL;
    part = mock_send(&r.server, &get);
    ck_assert_int_eq(part.status, 403);
    mock_answer_free(&part);
    mock_answer_free(&whole);
    run_close(&r);
}
END_TEST

START_TEST(external_weights_have_a_link_per_file)
{
    mock_run r = {0};
    char path[512], at[800], url[2048];
    mock_answer a, file;
    run_open(&r, NULL);
    save(&r, "save_weights_external", "x", path);
    ck_assert_ptr_nonnull(strstr(path, "/external_weights/x"));
    snprintf(
        at, sizeof at,
        "/api/v1/training_runs/%s/checkpoints/external_weights/x/external_weights_urls",
        r.model);
    a = mock_get(&r.server, at);
    mock_take_text(a.body, "adapter_config.json", url, sizeof url);
    file = mock_send(&r.server, &(mock_request){.method = "GET", .path = url, .key = ""});
    ck_assert_int_eq(file.status, 200);
    ck_assert_ptr_nonnull(strstr(file.body, "lora_alpha"));
    mock_answer_free(&a);
    mock_answer_free(&file);
    run_close(&r);
}
END_TEST

static mock_answer fetch(mock_run *r, const char *urls, const char *name)
{
    char url[2048];
    mock_take_text(urls, name, url, sizeof url);
    return mock_send(&r->server,
                     &(mock_request){.method = "GET", .path = url, .key = ""});
}

static long put(mock_run *r, const char *urls, const char *name, const mock_answer *file)
{
    char url[2048];
    mock_take_text(urls, name, url, sizeof url);
    mock_answer a = mock_send(&r->server, &(mock_request){.method = "PUT",
                                                          .path = url,
                                                          .key = "",
                                                          .body = file->body,
                                                          .size = file->size});
    long status = a.status;
    mock_answer_free(&a);
    return status;
}

static mock_answer start_upload(mock_run *r, int rank)
{
    return mock_post(&r->server, "/api/v1/external_weights_upload_start",
                     "{\"base_model\":\"tkx/bytes\",\"lora_config\":{\"rank\":%d}}",
                     rank);
}

static mock_answer finish_upload(mock_run *r, const char *start)
{
    char id[64];
    mock_take_text(start, "upload_id", id, sizeof id);
    return mock_post(&r->server, "/api/v1/external_weights_upload_finish",
                     "{\"upload_id\":\"%s\"}", id);
}

/* What one server gave out is what comes back of the copy that was uploaded. */
START_TEST(an_adapter_made_elsewhere_is_uploaded)
{
    static const char config[] = "adapter_config.json";
    static const char weights[] = "adapter_model.safetensors";
    mock_run r = {0};
    char path[512], at[900];
    mock_answer urls, files[2], start, wrong, a, b;
    run_open(&r, NULL);
    run_step(&r);
    save(&r, "save_weights_external", "x", path);
    snprintf(
        at, sizeof at,
        "/api/v1/training_runs/%s/checkpoints/external_weights/x/external_weights_urls",
        r.model);
    urls = mock_get(&r.server, at);
    files[0] = fetch(&r, urls.body, config);
    files[1] = fetch(&r, urls.body, weights);
    start = start_upload(&r, 4);
    ck_assert_msg(start.status == 200, "%s", start.body);
    ck_assert_int_eq(put(&r, start.body, config, &files[0]), 200);
    a = finish_upload(&r, start.body);
    ck_assert_int_eq(a.status, 400);
    ck_assert_ptr_nonnull(strstr(a.body, "is missing"));
    mock_answer_free(&a);
    ck_assert_int_eq(put(&r, start.body, weights, &files[1]), 200);
    a = finish_upload(&r, start.body);
    ck_assert_msg(a.status == 200, "%s", a.body);
    mock_take_text(a.body, "tinker_path", path, sizeof path);
    b = finish_upload(&r, start.body); /* sent again */
    ck_assert_str_eq(a.body, b.body);
    mock_answer_free(&b);
    ck_assert_int_eq(put(&r, start.body, weights, &files[0]), 409);
    mock_answer_free(&a);

    snprintf(at, sizeof at,
             "/api/v1/training_runs/%.*s/checkpoints/external_weights/"
             "upload/external_weights_urls",
             (int)strcspn(path + strlen("tinker://"), "/"), path + strlen("tinker://"));
    a = mock_get(&r.server, at);
    b = fetch(&r, a.body, weights);
    ck_assert_uint_eq(b.size, files[1].size);
    ck_assert_mem_eq(b.body, files[1].body, b.size);
    mock_answer_free(&a);
    mock_answer_free(&b);

    wrong = start_upload(&r, 5); /* another rank than the files have */
    ck_assert_int_eq(put(&r, wrong.body, config, &files[0]), 200);
    ck_assert_int_eq(put(&r, wrong.body, weights, &files[0]), 200);
    a = finish_upload(&r, wrong.body);
    ck_assert_int_eq(a.status, 400);
    ck_assert_ptr_nonnull(strstr(a.body, "rank 5"));
    mock_answer_free(&a);
    mock_answer_free(&wrong);
    wrong = start_upload(&r, 4); /* a file that holds no tensors */
    ck_assert_int_eq(put(&r, wrong.body, config, &files[0]), 200);
    ck_assert_int_eq(put(&r, wrong.body, weights, &files[0]), 200);
    a = finish_upload(&r, wrong.body);
    ck_assert_msg(a.status >= 400 && a.status < 500, "%ld %s", a.status, a.body);
    mock_answer_free(&a);
    mock_answer_free(&wrong);
    mock_answer_free(&start);
    mock_answer_free(&urls);
    mock_answer_free(&files[0]);
    mock_answer_free(&files[1]);
    run_close(&r);
}
END_TEST

START_TEST(a_model_from_a_checkpoint_continues_it)
{
    mock_run r = {0};
    char path[512], first[256], second[256];
    mock_answer a, b;
    run_open(&r, NULL);
    run_step(&r);
    save(&r, "save_weights", "st", path);
    a = mock_post(&r.server, "/api/v1/load_weights",
                  "{\"session_id\":\"%s\",\"model_seq_id\":1,\"path\":\"%s\","
                  "\"optimizer\":true}",
                  r.session, path);
    b = mock_wait(&r.server, a.body);
    ck_assert_msg(strstr(b.body, ":train:1\"") != NULL, "%s", b.body);
    mock_answer_free(&a);
    mock_answer_free(&b);
    snprintf(first, sizeof first, "%.17g", run_step(&r));
    snprintf(r.model, sizeof r.model, "%s:train:1", r.session);
    r.seq = 1;
    snprintf(second, sizeof second, "%.17g", run_step(&r));
    ck_assert_str_eq(first, second);
    run_close(&r);
}
END_TEST

START_TEST(sessions_finish_and_are_found)
{
    mock_run r = {0};
    char at[256];
    mock_answer a;
    run_open(&r, NULL);
    a = mock_post(
        &r.server, "/api/v1/sessions/search",
        "{\"user_metadata\":{\"who\":\"me\"},\"statuses\":[{\"type\":\"active\"}]}");
    ck_assert_ptr_nonnull(strstr(a.body, r.session));
    mock_answer_free(&a);
    snprintf(at, sizeof at, "/api/v1/sessions/%s/finish", r.session);
    ck_assert_int_eq(send_status(&r, "POST", at, "{\"reason\":{\"type\":\"odd\"}}"), 422);
    ck_assert_int_eq(send_status(&r, "POST", at,
                                 "{\"reason\":{\"type\":\"success\"},\"detail\":null}"),
                     200);
    a = mock_post(&r.server, "/api/v1/session_heartbeat", "{\"session_id\":\"%s\"}",
                  r.session);
    ck_assert_int_eq(a.status, 410);
    mock_answer_free(&a);
    a = run_backward(&r, 1);
    ck_assert_int_eq(a.status, 410);
    mock_answer_free(&a);
    run_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mock_rest");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, checkpoints_are_listed_published_and_deleted);
    tcase_add_test(tc, a_checkpoint_is_its_owners);
    tcase_add_test(tc, an_archive_is_built_linked_and_served_in_ranges);
    tcase_add_test(tc, external_weights_have_a_link_per_file);
    tcase_add_test(tc, an_adapter_made_elsewhere_is_uploaded);
    tcase_add_test(tc, a_model_from_a_checkpoint_continues_it);
    tcase_add_test(tc, sessions_finish_and_are_found);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
