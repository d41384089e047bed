/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - see the header. */
#include "mock_server/sweep.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "mock_server/util.h"

static bool is_named(mock_server *srv, const char *file)
{
    return db_scalar(srv->db, 0,
                     "SELECT 1 FROM models WHERE file=?1 OR inflight_file=?1"
                     " UNION SELECT 1 FROM checkpoints WHERE file=?1"
                     " UNION SELECT 1 FROM samplers s JOIN sessions USING (session_id)"
                     "  WHERE s.file=?1 AND finished_at IS NULL"
                     " UNION SELECT 1 FROM promises WHERE source=?1 AND state=0",
                     "s", file) != 0;
}

static void sweep_folder(mock_server *srv, const char *folder)
{
    char path[4096], file[512];
    struct dirent *entry;
    DIR *dir;
    snprintf(path, sizeof path, "%s/%s", srv->state_dir, folder);
    dir = opendir(path);
    if (!dir)
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%.255s", folder, entry->d_name);
        snprintf(path, sizeof path, "%s/%s", srv->state_dir, file);
        if (!is_named(srv, file))
            unlink(path);
    }
    closedir(dir);
}

void sweep_files(mock_server *srv)
{
    sweep_folder(srv, "models");
    sweep_folder(srv, "checkpoints");
}

void sweep_expired(mock_server *srv)
{
    int64_t now = mock_now_ms();
    if (!db_scalar(srv->db, 0, "SELECT 1 FROM checkpoints WHERE expires_at<=?", "i", now))
        return;
    /* Rows only: samplers may draw from a file until the next start sweeps it. */
    db_run(srv->db, NULL, "DELETE FROM checkpoints WHERE expires_at<=?", "i", now);
}

void sweep_greet_sessions(mock_server *srv)
{
    db_run(srv->db, NULL, "UPDATE sessions SET last_seen=? WHERE finished_at IS NULL",
           "i", mock_now_ms());
}

/* A session that timed out has a finish and no reason for it. */
void sweep_sessions(mock_server *srv)
{
    int64_t now = mock_now_ms(), since = now - srv->opt.session_ms;
    if (srv->opt.session_ms == 0 ||
        !db_scalar(srv->db, 0,
                   "SELECT 1 FROM sessions WHERE finished_at IS NULL AND last_seen<?",
                   "i", since))
        return;
    db_run(srv->db, NULL,
           "UPDATE sessions SET finished_at=? WHERE finished_at IS NULL AND last_seen<?",
           "ii", now, since);
}
