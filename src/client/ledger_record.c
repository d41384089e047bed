/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_record.c - what operations tell their recorder, as entries.
 *
 * Only the record of a call is waited for.  A promise or an end that could not be written
 * leaves its request open, and the next start asks the service again.
 */
#include <stddef.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/ledger.h"

#define MAX_FRAME ((size_t)1000000000)

/* --- a call, before it is sent --------------------------------------------------- */

typedef struct call_entry {
    tkx__entry entry;
    tkx__record record;
    char *session_id; /* of a model to be made; NULL: a call */
    int64_t model_seq_id;
    const tkx__store_model *begun; /* NULL: none begins */
    tkx_pair_list metadata;
    int64_t call;
    tkx__recorded_fn *fn;
    void *arg;
} call_entry;

static void call_done(tkx__entry *entry, tkx_error *error)
{
    call_entry *e = (call_entry *)entry;
    tkx__recorded_fn *fn = e->fn;
    void *arg = e->arg;
    int64_t call = e->call;

    tkx__free(e->session_id);
    tkx__free(e);
    fn(arg, call, error);
}

static tkx_status write_part(call_entry *e, tkx__store *store, size_t i, tkx_error **err)
{
    const tkx__record *r = &e->record;
    int64_t seq = r->first_seq < 0 ? -1 : r->first_seq + (int64_t)i;
    tkx__store_request request = {.seq_id = seq};
    tkx__encoded encoded = {0};
    char sha256[TKX__SHA_TEXT];
    tkx__buf frame;

    tkx_status st = r->encode(r->encode_arg, i, seq, r->encoding, &encoded, err);
    if (st != TKX_OK)
        return st;
    tkx__buf_init(&frame, MAX_FRAME);
    st = tkx__ledger_pack(&encoded, &frame, &request, sha256, err);
    if (encoded.release)
        encoded.release(encoded.ctx);
    if (st == TKX_OK && e->session_id)
        st = tkx__store_ask_model(store, e->session_id, e->model_seq_id, request.frame,
                                  request.frame_size, request.size, sha256, err);
    else if (st == TKX_OK)
        st = tkx__store_put_part(store, e->call, i, &request, err);
    tkx__buf_clear(&frame);
    return st;
}

static tkx_status begin_run(call_entry *e, tkx__store *store, tkx_error **err)
{
    tkx_status st = TKX_OK;

    e->call = 1; /* there is one current model */
    if (e->begun)
        st = tkx__store_add_model(store, e->begun, err);
    for (size_t i = 0; e->begun && i < e->metadata.count && st == TKX_OK; i++)
        st = tkx__store_put_metadata(store, e->metadata.items[i].key,
                                     e->metadata.items[i].value, err);
    return st;
}

static tkx_status write_call(tkx__entry *entry, tkx__store *store, tkx_error **err)
{
    call_entry *e = (call_entry *)entry;
    const tkx__record *r = &e->record;
    tkx_status st = TKX_OK;

    if (e->session_id)
        st = begin_run(e, store, err);
    else if (r->call)
        e->call = r->call;
    else
        st = tkx__store_add_call(store, r->op, r->count, r->first_seq, &e->call, err);
    for (size_t i = r->from; i < r->from + r->count && st == TKX_OK; i++)
        st = write_part(e, store, i, err);
    return st;
}

static bool put_call(tkx__ledger *ledger, call_entry *e, const tkx__record *record,
                     tkx__recorded_fn *fn, void *arg, tkx_error **err)
{
    e->entry.write = write_call;
    e->entry.done = call_done;
    e->record = *record;
    e->fn = fn;
    e->arg = arg;
    if (tkx__ledger_put(ledger, &e->entry, err))
        return true;
    tkx__free(e->session_id);
    tkx__free(e);
    return false;
}

static bool record_call(tkx__recorder *recorder, const tkx__record *record,
                        tkx__recorded_fn *fn, void *arg, tkx_error **err)
{
    call_entry *e = tkx__calloc(1, sizeof *e);

    if (e)
        return put_call((tkx__ledger *)recorder, e, record, fn, arg, err);
    tkx__fail_memory(err);
    return false;
}

/* --- what is only told ----------------------------------------------------------- */

typedef enum news_kind {
    NEWS_PROMISED,
    NEWS_ENDED,
    NEWS_DELIVERED,
    NEWS_MODEL_PROMISED,
    NEWS_MODEL_MADE,
    NEWS_MODEL_REFUSED
} news_kind;

typedef struct news {
    tkx__entry entry;
    const tkx__ledger *ledger; /* whose queue it is in */
    news_kind kind;
    int64_t call;
    size_t part;
    int64_t first_seq;
    tkx__store_state state;
    char *text;  /* request id, path or model id */
    char *error; /* of a failure */
} news;

static void news_free(news *n)
{
    tkx__free(n->text);
    tkx__free(n->error);
    tkx__free(n);
}

static void news_done(tkx__entry *entry, tkx_error *error)
{
    news *n = (news *)entry;

    if (error)
        tkx__log_write(n->ledger->log, TKX_LOG_WARNING, "journal",
                       "not written down, the next start will ask the service: %s",
                       tkx_error_message(error));
    tkx_error_free(error);
    news_free(n);
}

static tkx_status write_news(tkx__entry *entry, tkx__store *store, tkx_error **err)
{
    const news *n = (const news *)entry;

    switch (n->kind) {
    case NEWS_PROMISED:
        return tkx__store_promised(store, n->call, n->part, n->text, err);
    case NEWS_ENDED:
        return tkx__store_ended(store, n->call, n->part, n->state, n->text, n->error,
                                err);
    case NEWS_DELIVERED:
        return tkx__store_delivered(store, n->call, err);
    case NEWS_MODEL_PROMISED:
        return tkx__store_model_promised(store, n->text, err);
    case NEWS_MODEL_MADE:
        return tkx__store_made_model(store, n->text, n->first_seq, err);
    case NEWS_MODEL_REFUSED:
        return tkx__store_refused_model(store, err);
    }
    return TKX_OK;
}

/* Memory that is short loses news, no more. */
static void put_news(tkx__ledger *ledger, const news *from, const char *text,
                     const char *error)
{
    news *n = tkx__memdup(from, sizeof *from);

    if (!n)
        return;
    n->entry = (tkx__entry){.write = write_news, .done = news_done, .is_patient = true};
    n->ledger = ledger;
    n->text = text ? tkx__strdup(text) : NULL;
    n->error = error ? tkx__strdup(error) : NULL;
    if ((text && !n->text) || (error && !n->error) ||
        !tkx__ledger_put(ledger, &n->entry, NULL))
        news_free(n);
}

static void call_promised(tkx__recorder *recorder, int64_t call, size_t part,
                          const char *request_id)
{
    const news n = {.kind = NEWS_PROMISED, .call = call, .part = part};

    put_news((tkx__ledger *)recorder, &n, request_id, NULL);
}

static void call_ended(tkx__recorder *recorder, int64_t call, size_t part,
                       tkx__part_end end, const char *path, const tkx_error *error)
{
    static const tkx__store_state states[] = {
        [TKX__PART_APPLIED] = TKX__STORE_APPLIED,
        [TKX__PART_FAILED] = TKX__STORE_FAILED,
        [TKX__PART_REFUSED] = TKX__STORE_REFUSED,
    };
    const news n = {.kind = NEWS_ENDED, .call = call, .part = part, .state = states[end]};

    put_news((tkx__ledger *)recorder, &n, path, error ? tkx_error_message(error) : NULL);
}

static void call_delivered(tkx__recorder *recorder, int64_t call)
{
    const news n = {.kind = NEWS_DELIVERED, .call = call};

    put_news((tkx__ledger *)recorder, &n, NULL, NULL);
}

static const tkx__recorder_ops call_ops = {record_call, call_promised, call_ended,
                                           call_delivered};

/* --- the request that makes the model -------------------------------------------- */

static tkx__ledger *ledger_of_models(tkx__recorder *recorder)
{
    return (tkx__ledger *)(void *)((char *)recorder - offsetof(tkx__ledger, of_models));
}

static bool record_model(tkx__recorder *recorder, const tkx__record *record,
                         tkx__recorded_fn *fn, void *arg, tkx_error **err)
{
    tkx__ledger *ledger = ledger_of_models(recorder);
    call_entry *e = tkx__calloc(1, sizeof *e);

    if (e) {
        e->session_id = tkx__strdup(ledger->asking.session_id);
        e->model_seq_id = ledger->asking.model_seq_id;
        e->begun = ledger->asking.begun;
        e->metadata = ledger->asking.metadata;
        ledger->asking.begun = NULL;
        if (e->session_id)
            return put_call(ledger, e, record, fn, arg, err);
    }
    tkx__free(e);
    tkx__fail_memory(err);
    return false;
}

static void model_promised(tkx__recorder *recorder, int64_t call, size_t part,
                           const char *request_id)
{
    const news n = {.kind = NEWS_MODEL_PROMISED, .call = call, .part = part};

    put_news(ledger_of_models(recorder), &n, request_id, NULL);
}

static void model_ended(tkx__recorder *recorder, int64_t call, size_t part,
                        tkx__part_end end, const char *path, const tkx_error *error)
{
    (void)recorder, (void)call, (void)part, (void)end, (void)path, (void)error;
}

static void model_delivered(tkx__recorder *recorder, int64_t call)
{
    (void)recorder, (void)call;
}

static const tkx__recorder_ops model_ops = {record_model, model_promised, model_ended,
                                            model_delivered};

bool tkx__ledger_ask_model(tkx__ledger *ledger, const char *session_id,
                           int64_t model_seq_id, const tkx__store_model *begun,
                           tkx_pair_list metadata)
{
    tkx__free(ledger->asking.session_id);
    ledger->asking.session_id = tkx__strdup(session_id);
    ledger->asking.model_seq_id = model_seq_id;
    ledger->asking.begun = begun;
    ledger->asking.metadata = metadata;
    return ledger->asking.session_id != NULL;
}

void tkx__ledger_refused_model(tkx__ledger *ledger)
{
    const news n = {.kind = NEWS_MODEL_REFUSED};

    put_news(ledger, &n, NULL, NULL);
}

void tkx__ledger_made_model(tkx__ledger *ledger, const char *model_id, int64_t first_seq)
{
    const news n = {.kind = NEWS_MODEL_MADE, .first_seq = first_seq};

    put_news(ledger, &n, model_id, NULL);
}

/* --- making one ------------------------------------------------------------------ */

tkx_status tkx__ledger_new(tkx_journal *journal, const tkx__io *io, const tkx__log *log,
                           tkx__ledger **out, tkx_error **err)
{
    tkx__ledger *ledger = tkx__calloc(1, sizeof *ledger);

    if (!ledger)
        return tkx__fail_memory(err);
    if (atomic_exchange(&journal->has_writer, true)) {
        tkx__free(ledger);
        return tkx__fail(err, TKX_ERR_BUSY,
                         "journal %s: a training client writes to it; free that first",
                         tkx__store_path(journal->store));
    }
    *ledger = (tkx__ledger){
        .recorder = {&call_ops},
        .of_models = {&model_ops},
        .journal = tkx__journal_ref(journal),
        .io = io,
        .log = log,
        .n_refs = 1,
    };
    ledger->last = &ledger->first;
    *out = ledger;
    return TKX_OK;
}
