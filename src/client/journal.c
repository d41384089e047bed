/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - the handle of a journal: open, look, note, close. */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/ledger.h"

tkx_journal *tkx__journal_ref(tkx_journal *journal)
{
    atomic_fetch_add_explicit(&journal->n_refs, 1, memory_order_relaxed);
    return journal;
}

void tkx_journal_close(tkx_journal *journal)
{
    if (!journal ||
        atomic_fetch_sub_explicit(&journal->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    tkx__store_close(journal->store);
    tkx__free(journal);
}

tkx_status tkx_journal_open(const char *path, const tkx_journal_options *options,
                            tkx_journal **out, tkx_error **err)
{
    tkx_journal_options o = TKX_JOURNAL_OPTIONS_INIT;
    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_journal_options", err);

    if (st != TKX_OK)
        return st;
    if (!path || !*path)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "a journal needs a path");
    tkx_journal *journal = tkx__calloc(1, sizeof *journal);
    if (!journal)
        return tkx__fail_memory(err);
    atomic_init(&journal->n_refs, 1);
    atomic_init(&journal->has_writer, false);
    const tkx__store_options store = {
        .is_full_sync = o.sync == TKX_JOURNAL_SYNC_FULL,
        .n_kept_states = o.n_kept_states,
    };
    st = tkx__store_open(path, &store, &journal->store, err);
    if (st != TKX_OK) {
        tkx__free(journal);
        return st;
    }
    *out = journal;
    return TKX_OK;
}

int tkx_journal_has_run(const tkx_journal *journal)
{
    tkx__store_model model;
    tkx__arena arena;

    tkx__arena_init(&arena, 512, (size_t)1 << 20);
    tkx_status st = tkx__store_get_model(journal->store, &arena, &model, NULL);
    tkx__arena_clear(&arena);
    return st == TKX_OK && model.n > 0;
}

tkx_status tkx_journal_set_note(tkx_journal *journal, const char *name, const char *value,
                                tkx_error **err)
{
    if (!name || !value)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "a note has a name and a value");
    return tkx__store_set_note(journal->store, name, value, err);
}

tkx_status tkx_journal_get_note(tkx_journal *journal, const char *name, char *out,
                                size_t capacity, tkx_error **err)
{
    char *value = NULL;
    tkx_status st = tkx__store_get_note(journal->store, name, &value, err);

    if (st != TKX_OK)
        return st;
    if (!value)
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "journal %s has no note \"%s\"",
                         tkx__store_path(journal->store), name);
    size_t n = strlen(value) + 1;
    if (n <= capacity)
        memcpy(out, value, n);
    else
        st = tkx__fail(err, TKX_ERR_LIMIT, "note \"%s\" has %zu bytes", name, n);
    tkx__free(value);
    return st;
}
