/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/ledger.h - a journal as one training client writes to it.
 *
 * Entries are written on a worker, in order, as many in one transaction as have gathered
 * while the one before was committed; the loop thread never waits for a disk.  Loop
 * thread only, but for write(), which runs on the worker.
 */
#ifndef TKX_CLIENT_LEDGER_H
#define TKX_CLIENT_LEDGER_H

#include <stdatomic.h>

#include <tkx/journal.h>

#include "api/recorder.h"
#include "base/log.h"
#include "journal/store.h"

struct tkx_journal {
    atomic_uint n_refs;
    atomic_bool has_writer; /* a ledger */
    tkx__store *store;
};

tkx_journal *tkx__journal_ref(tkx_journal *journal);

/* One thing to write or read.  Embedded first in a struct of the maker's. */
typedef struct tkx__entry tkx__entry;
struct tkx__entry {
    tkx_status (*write)(tkx__entry *entry, tkx__store *store, tkx_error **err);
    /* Frees the entry; error is taken, NULL: it is durable.  Loop thread. */
    void (*done)(tkx__entry *entry, tkx_error *error);
    bool is_patient; /* it may be written at the very end; else it is now or never */
    tkx_error *error;
    tkx__entry *next;
};

typedef struct tkx__ledger {
    tkx__recorder recorder;  /* of calls */
    tkx__recorder of_models; /* of the request that makes the model */
    tkx_journal *journal;    /* counted */
    const tkx__io *io;
    const tkx__log *log;
    unsigned n_refs;
    bool is_writing;           /* a batch, which counts as one of n_refs */
    bool is_retired;           /* no client writes to it any more */
    tkx__entry *first, **last; /* not begun yet */
    struct {
        char *session_id;
        int64_t model_seq_id;
        const tkx__store_model *begun; /* the run begins with it; NULL: it has begun */
        tkx_pair_list metadata;
    } asking; /* what of_models will write */
} tkx__ledger;

/* BUSY when another client writes to the journal.  Any thread. */
tkx_status tkx__ledger_new(tkx_journal *journal, const tkx__io *io, const tkx__log *log,
                           tkx__ledger **out, tkx_error **err);
tkx__ledger *tkx__ledger_ref(tkx__ledger *ledger);
/* What was put is still written.  Accepts NULL. */
void tkx__ledger_unref(tkx__ledger *ledger);

/* False when nothing is written any more, for one that is not patient; then it is not
   taken. */
bool tkx__ledger_put(tkx__ledger *ledger, tkx__entry *entry, tkx_error **err);

/* The model is about to be asked for, in this session.  begun and metadata stay until
   the record has been written.  False: no memory. */
bool tkx__ledger_ask_model(tkx__ledger *ledger, const char *session_id,
                           int64_t model_seq_id, const tkx__store_model *begun,
                           tkx_pair_list metadata);
/* It exists, and its next call gets first_seq. */
void tkx__ledger_made_model(tkx__ledger *ledger, const char *model_id, int64_t first_seq);
/* It was refused: a run that has only begun never was. */
void tkx__ledger_refused_model(tkx__ledger *ledger);

/* Any body on its way to the store; for entries. */
tkx_status tkx__ledger_pack(const tkx__encoded *encoded, tkx__buf *frame,
                            tkx__store_request *request, char sha256[TKX__SHA_TEXT],
                            tkx_error **err);

#endif
