// SPDX-License-Identifier: GPL-3.0-or-later
#include <sqlite3.h>

#include "base/log.h"
#include "store/database_internal.h"

// The log file's format, https://www.sqlite.org/fileformat2.html section 4.1: a header, then frames
// of a header and a page each.
#define LOG_HEADER_BYTES 32
#define LOG_FRAME_HEADER_BYTES 24

static int on_frames(void *context, sqlite3 *handle, const char *name, int frames)
{
    (void)handle;
    (void)name;
    ((struct database *)context)->log_frames = (unsigned)frames;
    return SQLITE_OK;
}

void database_log_watch(struct database *database)
{
    // Takes the place of SQLite's automatic checkpoint: ours runs after the batch was answered.
    sqlite3_wal_hook(database->handle, on_frames, database);
    database->log_state = DATABASE_LOG_COPY_FAILED; // unknown until the first copy
}

// RESTART and not TRUNCATE: the file keeps its blocks, and syncing into blocks that are there is
// cheaper than growing the file. Frames of an earlier round carry another salt and are never taken
// for new ones.
enum rm_err database_log_copy(struct database *database)
{
    database->log_state = DATABASE_LOG_COPY_FAILED;
    if (sqlite3_wal_checkpoint_v2(database->handle, "main", SQLITE_CHECKPOINT_RESTART, NULL,
                                  NULL) != SQLITE_OK) {
        return database_error(database);
    }
    database->log_frames = 0;
    database->log_state = DATABASE_LOG_SETTLED;
    return RM_OK;
}

// Drops what lies behind the durable frames, on the disk too.
static enum rm_err log_cut(struct database *database)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    if (sqlite3_file_control(database->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) !=
            SQLITE_OK ||
        file == NULL || file->pMethods == NULL) {
        return RM_ERR_IO;
    }
    sqlite3_int64 wanted = 0;
    if (database->log_frames > 0) {
        wanted =
            LOG_HEADER_BYTES + (sqlite3_int64)database->log_frames *
                                   (LOG_FRAME_HEADER_BYTES + (sqlite3_int64)database->page_bytes);
    }
    RM_TRY(database_convert(file->pMethods->xFileSize(file, &size), 0));
    if (size > wanted) {
        RM_TRY(database_convert(file->pMethods->xTruncate(file, wanted), 0));
    }
    return database_convert(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL), 0);
}

// The database must now say what we hold for true; else nothing may be written to it any more.
static enum rm_err check_revision(struct database *database)
{
    uint64_t revision = 0;
    RM_TRY(database_read_revision(database, &revision));
    if (revision == database->revision) {
        return RM_OK;
    }
    log_error(LOG_STORE, "revision_mismatch", LOG_U64("expected", database->revision),
              LOG_U64("found", revision));
    return RM_ERR_IO;
}

enum rm_err database_log_settle(struct database *database)
{
    if (!sqlite3_get_autocommit(database->handle)) {
        RM_TRY(database_execute(database, DATABASE_ROLLBACK));
    }
    switch (database->log_state) {
    case DATABASE_LOG_SETTLED:
        return RM_OK;
    case DATABASE_LOG_COPY_FAILED:
        return database_log_copy(database);
    case DATABASE_LOG_COMMIT_FAILED:
        RM_TRY(log_cut(database));
        RM_TRY(check_revision(database));
        database->log_state = DATABASE_LOG_SETTLED;
        return RM_OK;
    }
    return RM_ERR_INTERNAL;
}

void database_log_maintain(struct database *database)
{
    if (database->log_state != DATABASE_LOG_SETTLED ||
        database->log_frames < DATABASE_CHECKPOINT_FRAMES) {
        return;
    }
    enum rm_err copied = database_log_copy(database);
    if (copied != RM_OK) {
        log_error(LOG_STORE, "checkpoint_failed", LOG_ERR(copied));
    }
}
