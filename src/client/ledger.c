/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - the queue between the loop thread and the journal's file.
 *
 *     put -> [first ... last] -> (worker: one transaction) -> done of each -> next batch
 *
 * An entry that fails rolls back alone; when the commit fails, all of its batch have
 * failed.  At the very end, when the loop takes no more work, what is left is written
 * where it stands.
 */
#include "client/ledger.h"

#include "base/error.h"
#include "base/mem.h"

typedef struct batch {
    tkx__ledger *ledger; /* counted */
    tkx__entry *first;
} batch;

/* --- writing, on a worker -------------------------------------------------------- */

static void fail_all(tkx__entry *first, const tkx_error *error)
{
    for (tkx__entry *e = first; e; e = e->next)
        if (!e->error)
            e->error = tkx__error_copy(error);
}

static void write_one(tkx__entry *e, tkx__store *store)
{
    if (tkx__store_mark(store, &e->error) != TKX_OK)
        return;
    e->write(e, store, &e->error);
    tkx__store_release(store, !e->error);
}

static void write_batch(void *arg)
{
    batch *b = arg;
    tkx__store *store = b->ledger->journal->store;
    tkx_error *error = NULL;

    if (tkx__store_begin(store, &error) == TKX_OK) {
        for (tkx__entry *e = b->first; e; e = e->next)
            write_one(e, store);
        tkx__store_commit(store, &error);
    }
    if (error)
        fail_all(b->first, error);
    tkx_error_free(error);
}

/* --- the queue ------------------------------------------------------------------- */

static void begin(tkx__ledger *ledger, bool is_last);

static void tell(tkx__entry *first)
{
    while (first) {
        tkx__entry *e = first;
        first = e->next;
        e->done(e, e->error);
    }
}

/* Nothing is written any more before the very end: whoever cannot wait for that. */
static tkx__entry *take_impatient(tkx__ledger *ledger)
{
    tkx__entry *first = NULL, **last = &first;

    ledger->last = &ledger->first;
    while (*ledger->last) {
        tkx__entry *e = *ledger->last;
        if (e->is_patient) {
            ledger->last = &e->next;
            continue;
        }
        *ledger->last = e->next;
        e->next = NULL;
        *last = e;
        last = &e->next;
        tkx__fail(&e->error, TKX_ERR_CLOSED, "the context is closed");
    }
    return first;
}

static void batch_done(void *arg)
{
    batch *b = arg;
    tkx__ledger *ledger = b->ledger;
    tkx__entry *first = b->first, *stranded = NULL;

    ledger->is_writing = false;
    tkx__free(b);
    if (ledger->first)
        begin(ledger, false);
    if (!ledger->is_writing)
        stranded = take_impatient(ledger);
    tell(first);
    tell(stranded);
    tkx__ledger_unref(ledger);
}

static bool start_worker(tkx__ledger *ledger)
{
    batch *b = tkx__calloc(1, sizeof *b);

    if (!b)
        return false;
    *b = (batch){tkx__ledger_ref(ledger), ledger->first};
    if (!ledger->io->ops->work(ledger->io->ctx, write_batch, batch_done, b)) {
        ledger->n_refs--;
        tkx__free(b);
        return false;
    }
    return true;
}

/* Write what has gathered; is_last: here, if need be. */
static void begin(tkx__ledger *ledger, bool is_last)
{
    if (!is_last && start_worker(ledger)) {
        ledger->is_writing = true;
        ledger->first = NULL;
        ledger->last = &ledger->first;
        return;
    }
    if (!is_last)
        return; /* with the next put, or at the end */
    batch rest = {ledger, ledger->first};
    ledger->first = NULL;
    ledger->last = &ledger->first;
    write_batch(&rest);
    tell(rest.first);
}

bool tkx__ledger_put(tkx__ledger *ledger, tkx__entry *entry, tkx_error **err)
{
    entry->next = NULL;
    *ledger->last = entry;
    ledger->last = &entry->next;
    if (ledger->is_writing)
        return true;
    begin(ledger, false);
    if (ledger->is_writing || entry->is_patient)
        return true;
    /* Refused: take it back, what was there before stays for the end. */
    tkx__entry **at = &ledger->first;
    while (*at != entry)
        at = &(*at)->next;
    *at = NULL;
    ledger->last = at;
    tkx__fail(err, TKX_ERR_CLOSED, "the context is closed");
    return false;
}

/* --- life ------------------------------------------------------------------------ */

tkx__ledger *tkx__ledger_ref(tkx__ledger *ledger)
{
    if (ledger)
        ledger->n_refs++;
    return ledger;
}

/* From here on another client may write. */
static void retire(tkx__ledger *ledger)
{
    if (ledger->is_retired)
        return;
    ledger->is_retired = true;
    atomic_store(&ledger->journal->has_writer, false);
}

void tkx__ledger_unref(tkx__ledger *ledger)
{
    if (!ledger)
        return;
    ledger->n_refs--;
    if (ledger->n_refs == (ledger->is_writing ? 1 : 0))
        retire(ledger);
    if (ledger->n_refs > 0)
        return;
    if (ledger->first) { /* one more batch, in good order if the loop still runs */
        begin(ledger, false);
        if (ledger->is_writing)
            return;
        begin(ledger, true);
    }
    tkx_journal_close(ledger->journal);
    tkx__free(ledger->asking.session_id);
    tkx__free(ledger);
}

/* --- bodies ---------------------------------------------------------------------- */

tkx_status tkx__ledger_pack(const tkx__encoded *encoded, tkx__buf *frame,
                            tkx__store_request *request, char sha256[TKX__SHA_TEXT],
                            tkx_error **err)
{
    const tkx__body_source source = {
        .bytes = encoded->body.bytes,
        .size = encoded->body.size_bytes,
        .read = encoded->body.read,
        .ctx = encoded->body.ctx,
        .is_zstd = encoded->content_encoding != NULL,
    };
    tkx_status st = tkx__body_pack(&source, frame, sha256, &request->size, err);

    request->route = encoded->route;
    request->content_type = encoded->content_type;
    request->content_encoding = encoded->content_encoding;
    request->frame = tkx__buf_text(frame);
    request->frame_size = frame->size;
    request->sha256 = sha256;
    return st;
}
