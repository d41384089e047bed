/* SPDX-License-Identifier: Apache-2.0 */
/* store_fixture.h - a store in a folder of its own, and short ways to write to it. */
#ifndef TESTS_UNIT_JOURNAL_STORE_FIXTURE_H
#define TESTS_UNIT_JOURNAL_STORE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/store.h"
#include "support/suite.h"

static char folder[64], path[96];
static tkx__store *kept;
static tkx__arena arena;

static inline tkx_status open_store(size_t n_kept, tkx_error **err)
{
    const tkx__store_options options = {.n_kept_states = n_kept};

    return tkx__store_open(path, &options, &kept, err);
}

static void setup(void)
{
    strcpy(folder, "/tmp/tkx-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run.sqlite", folder);
    tkx__arena_init(&arena, 1024, (size_t)1 << 22);
    ck_assert_int_eq(open_store(1, NULL), TKX_OK);
}

static void teardown(void)
{
    static const char *const ends[] = {"", "-lock", "-wal", "-shm"};
    char name[128];

    tkx__store_close(kept);
    kept = NULL;
    tkx__arena_clear(&arena);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    ck_assert_int_eq(rmdir(folder), 0);
}

/* A call of one part with this number on the wire. */
static inline int64_t add(const char *op, int64_t seq_id, const char *body)
{
    const tkx__body_source source = {.bytes = body, .size = strlen(body)};
    tkx__store_request request = {.route = "route", .seq_id = seq_id};
    char sha256[TKX__SHA_TEXT];
    int64_t call = 0;
    tkx__buf frame;

    tkx__buf_init(&frame, (size_t)1 << 20);
    ck_assert_int_eq(tkx__body_pack(&source, &frame, sha256, &request.size, NULL),
                     TKX_OK);
    request.frame = frame.data;
    request.frame_size = frame.size;
    request.sha256 = sha256;
    ck_assert_int_eq(tkx__store_add_call(kept, op, 1, seq_id, &call, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_put_part(kept, call, 0, &request, NULL), TKX_OK);
    tkx__buf_clear(&frame);
    return call;
}

static inline void end(int64_t call, tkx__store_state state, const char *where)
{
    ck_assert_int_eq(tkx__store_ended(kept, call, 0, state, where, NULL, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_delivered(kept, call, NULL), TKX_OK);
}

static inline int64_t applied(const char *op, int64_t seq_id)
{
    int64_t call = add(op, seq_id, op);

    end(call, TKX__STORE_APPLIED, NULL);
    return call;
}

static inline void begin_run(void)
{
    const tkx__store_model model = {.op = "create_model"};

    ck_assert_int_eq(tkx__store_add_model(kept, &model, NULL), TKX_OK);
    ck_assert_int_eq(tkx__store_ask_model(kept, "S", 0, "frame", 5, 1, "sha", NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx__store_made_model(kept, "S:train:0", 1, NULL), TKX_OK);
}

static inline size_t list(tkx__store_part **parts)
{
    size_t n = 0;

    ck_assert_int_eq(tkx__store_list(kept, &arena, parts, &n, NULL), TKX_OK);
    return n;
}

static inline bool has_body(int64_t call)
{
    tkx__buf body;

    tkx__buf_init(&body, (size_t)1 << 20);
    tkx_status st = tkx__store_body(kept, call, 0, &body, NULL);
    tkx__buf_clear(&body);
    ck_assert(st == TKX_OK || st == TKX_ERR_NOT_FOUND);
    return st == TKX_OK;
}

#endif
