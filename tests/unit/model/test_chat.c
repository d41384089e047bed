/* SPDX-License-Identifier: Apache-2.0 */
/* test_chat.c - formats by name and marker, training weights, answers taken apart. */
#include <stdio.h>
#include <string.h>

#include <tkx/chat.h>

#include "support/suite.h"

static const tkx_chat_message question[] = {{"user", "hi", NULL},
                                            {"assistant", "yes", NULL}};

START_TEST(names_and_formats_belong_together)
{
    tkx_chat_format format;
    tkx_error *err = NULL;

    for (int i = 0; i < TKX_N_CHAT_FORMATS; i++) {
        const char *name = tkx_chat_format_name((tkx_chat_format)i);

        ck_assert_int_eq(tkx_chat_format_find(name, &format, NULL), TKX_OK);
        ck_assert_int_eq(format, i);
    }
    ck_assert_int_eq(tkx_chat_format_find("gpt5", &format, &err),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "qwen3"));
    tkx_error_free(err);
}
END_TEST

START_TEST(templates_are_known_by_their_markers)
{
    static const struct {
        const char *name, *format;
    } folders[] = {{"llama3", "llama3"},
                   {"llama31", "llama31"},
                   {"qwen2", "qwen2"},
                   {"qwen3", "qwen3"}};
    char path[512], text[8192];
    tkx_chat_format format;

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        FILE *f;
        size_t n;

        snprintf(path, sizeof path, "%s/models/tokenizers/chat/%s.jinja", TKX_TEST_DATA,
                 folders[i].name);
        f = fopen(path, "rb");
        ck_assert_ptr_nonnull(f);
        n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
        ck_assert_int_eq(tkx_chat_format_detect(text, &format, NULL), TKX_OK);
        ck_assert_str_eq(tkx_chat_format_name(format), folders[i].format);
    }
    ck_assert_int_eq(tkx_chat_format_detect("<|im_start|> x <|im_end|>", &format, NULL),
                     TKX_OK);
    ck_assert_int_eq(format, TKX_CHAT_FORMAT_CHATML);
}
END_TEST

START_TEST(an_unknown_template_is_an_error)
{
    tkx_chat_format format;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx_chat_format_detect("[INST] {{ m }} [/INST]", &format, &err),
                     TKX_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "chatml"));
    tkx_error_free(err);
    ck_assert_int_eq(tkx_chat_format_detect(NULL, &format, NULL), TKX_ERR_UNSUPPORTED);
}
END_TEST

static void expect_text(tkx_chat_format format, const tkx_chat_message *messages,
                        size_t n, const tkx_chat_options *options, const char *expected)
{
    char *text = NULL;
    size_t size;

    ck_assert_int_eq(
        tkx_chat_render_text(format, messages, n, options, &text, &size, NULL), TKX_OK);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(size, strlen(expected));
    tkx_tokenizer_free_result(text);
}

START_TEST(smollm2_has_a_system_text_of_its_own_and_chatml_none)
{
    expect_text(
        TKX_CHAT_FORMAT_SMOLLM2, question, 1, NULL,
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
        "Hugging Face<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\n");
    expect_text(TKX_CHAT_FORMAT_CHATML, question, 1, NULL,
                "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}
END_TEST

START_TEST(messages_that_cannot_be_rendered_are_refused)
{
    const tkx_chat_message poet = {"poet", "x", NULL}, empty = {"user", NULL, NULL};
    char *text = NULL;
    size_t size;

    ck_assert_int_eq(
        tkx_chat_render_text(TKX_CHAT_FORMAT_QWEN3, &poet, 1, NULL, &text, &size, NULL),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(
        tkx_chat_render_text(TKX_CHAT_FORMAT_LLAMA3, &empty, 1, NULL, &text, &size, NULL),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(
        tkx_chat_render_text(TKX_CHAT_FORMAT_LLAMA3, &poet, 0, NULL, &text, &size, NULL),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(
        tkx_chat_render_text((tkx_chat_format)99, &poet, 1, NULL, &text, &size, NULL),
        TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

/* The text of the ids with weight 1. */
static void expect_trained(tkx_chat_format format, const char *folder,
                           const tkx_chat_message *messages, size_t n,
                           const tkx_chat_options *options, const char *expected)
{
    char path[512], *text = NULL;
    tkx_tokenizer *t = NULL;
    tkx_chat_rendering r = {0};
    int64_t trained[512];
    size_t n_trained = 0, size;

    snprintf(path, sizeof path, "%s/models/tokenizers/%s/tokenizer.json", TKX_TEST_DATA,
             folder);
    ck_assert_int_eq(tkx_tokenizer_open(path, &t, NULL), TKX_OK);
    ck_assert_int_eq(tkx_chat_render(format, t, messages, n, options, &r, NULL), TKX_OK);
    for (size_t i = 0; i < r.n_ids; i++)
        if (r.weights[i] == 1.0f)
            trained[n_trained++] = r.ids[i];
        else
            ck_assert(r.weights[i] == 0.0f);
    ck_assert_int_eq(tkx_tokenizer_decode(t, trained, n_trained, 0, &text, &size, NULL),
                     TKX_OK);
    ck_assert_str_eq(text, expected);
    tkx_tokenizer_free_result(text);
    tkx_chat_rendering_clear(&r);
    tkx_tokenizer_unref(t);
}

START_TEST(weights_mark_the_final_answer_and_its_end)
{
    tkx_chat_options whole = TKX_CHAT_OPTIONS_INIT;

    whole.add_generation_prompt = 0;
    expect_trained(TKX_CHAT_FORMAT_LLAMA3, "llama3", question, 2, &whole,
                   "yes<|eot_id|>");
    expect_trained(TKX_CHAT_FORMAT_QWEN2, "qwen", question, 2, &whole, "yes<|im_end|>");
    expect_trained(TKX_CHAT_FORMAT_QWEN3, "qwen", question, 2, &whole,
                   "<think>\n\n</think>\n\nyes<|im_end|>");
    whole.no_thinking = 1;
    expect_trained(TKX_CHAT_FORMAT_QWEN3, "qwen", question, 2, &whole, "yes<|im_end|>");
    expect_trained(TKX_CHAT_FORMAT_QWEN2, "qwen", question, 1, &whole, "");
    expect_trained(TKX_CHAT_FORMAT_QWEN2, "qwen", question, 2, NULL, "");
}
END_TEST

static void expect_answer(tkx_chat_format format, const char *text, const char *content,
                          const char *thought, int is_complete)
{
    tkx_chat_answer answer = {0};

    ck_assert_int_eq(tkx_chat_parse(format, text, strlen(text), &answer, NULL), TKX_OK);
    ck_assert_str_eq(answer.content, content);
    if (thought)
        ck_assert_pstr_eq(answer.reasoning_content, thought);
    else
        ck_assert_ptr_null(answer.reasoning_content);
    ck_assert_int_eq(answer.is_complete, is_complete);
    tkx_chat_answer_clear(&answer);
}

START_TEST(answers_are_cut_and_taken_apart)
{
    expect_answer(TKX_CHAT_FORMAT_LLAMA3, "so<|eot_id|>rest", "so", NULL, 1);
    expect_answer(TKX_CHAT_FORMAT_LLAMA3, "so", "so", NULL, 0);
    expect_answer(TKX_CHAT_FORMAT_QWEN3, "<think>\nhm\n</think>\n\nyes<|im_end|>\n",
                  "yes", "hm", 1);
    expect_answer(TKX_CHAT_FORMAT_QWEN3, "<think>\nhm", "", "hm", 0);
    expect_answer(TKX_CHAT_FORMAT_QWEN3, "plain", "plain", NULL, 0);
    expect_answer(TKX_CHAT_FORMAT_QWEN2, "", "", NULL, 0);
}
END_TEST

START_TEST(tool_calls_are_kept_apart)
{
    static const char text[] =
        "look\n<tool_call>\n{\"a\": 1}\n</tool_call>\n<tool_call>\n{}\n"
        "</tool_call><|im_end|>";
    tkx_chat_answer answer = {0};

    ck_assert_int_eq(
        tkx_chat_parse(TKX_CHAT_FORMAT_QWEN2, text, strlen(text), &answer, NULL), TKX_OK);
    ck_assert_str_eq(answer.content, "look");
    ck_assert_uint_eq(answer.n_tool_calls, 2);
    ck_assert_str_eq(answer.tool_calls[0], "{\"a\": 1}");
    ck_assert_str_eq(answer.tool_calls[1], "{}");
    tkx_chat_answer_clear(&answer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chat");
    TCase *tc = tcase_create("chat");

    tcase_add_test(tc, names_and_formats_belong_together);
    tcase_add_test(tc, templates_are_known_by_their_markers);
    tcase_add_test(tc, an_unknown_template_is_an_error);
    tcase_add_test(tc, smollm2_has_a_system_text_of_its_own_and_chatml_none);
    tcase_add_test(tc, messages_that_cannot_be_rendered_are_refused);
    tcase_add_test(tc, weights_mark_the_final_answer_and_its_end);
    tcase_add_test(tc, answers_are_cut_and_taken_apart);
    tcase_add_test(tc, tool_calls_are_kept_apart);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
