/* SPDX-License-Identifier: Apache-2.0 */
/* rest_rig.c - a REST client over the fake io. */
#include "rest_rig.h"

#include <check.h>
#include <string.h>

#include "client/context.h"

fake_io *io;
tkx_context *context;
tkx_rest *rest;
tkx_future *future;
size_t last; /* the first request after the configuration */

static void answer_config(fake_io *fake, size_t i, void *arg)
{
    (void)arg;
    if (strstr(fake_io_sent(fake, i)->url, "/client/"))
        fake_io_answer(fake, i, 200, NULL, "{}");
}

void rest_set_up(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    io = fake_io_new();
    fake_io_serve(io, answer_config, NULL);
    options.base_url = "http://x";
    options.api_key = "tml-secret";
    ck_assert_int_eq(tkx__context_new_on(&options, fake_io_table(io), &context, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx_rest_new(context, NULL, &rest, NULL), TKX_OK);
}

void rest_tear_down(void)
{
    tkx_future_unref(future);
    future = NULL;
    tkx_rest_free(rest);
    fake_io_turn(io);
    ck_assert_uint_eq(fake_io_count(io, "create_session"), 0);
    tkx_context_close(context, 0, 0, NULL);
    tkx_context_free(context);
    fake_io_free(io);
}

/* The call was accepted: the request that it made. */
const fake_request *sent(tkx_status st)
{
    ck_assert_int_eq(st, TKX_OK);
    fake_io_turn(io);
    last = fake_io_find_open(io, 0, NULL);
    ck_assert_msg(last != FAKE_NONE, "nothing was sent");
    return fake_io_sent(io, last);
}

void expect(tkx_status st, const char *method, const char *url, const char *body)
{
    const fake_request *request = sent(st);

    ck_assert_str_eq(request->method, method);
    ck_assert_str_eq(request->url, url);
    ck_assert_str_eq(request->body, body);
    ck_assert_str_eq(fake_io_header(io, last, "x-api-key"), "tml-secret");
}

void answer(int http, const char *headers, const char *body, tkx_status expected)
{
    fake_io_answer(io, last, http, headers, body);
    fake_io_turn(io);
    ck_assert(tkx_future_is_done(future));
    const tkx_error *error = tkx_future_error(future);
    ck_assert_msg(tkx_error_status(error) == expected, "%s", tkx_error_message(error));
}

void drop(void)
{
    tkx_future_unref(future);
    future = NULL;
}
