// SPDX-License-Identifier: GPL-3.0-or-later
//
// The SQLite file below the store: schema, batches, the write-ahead log, backups. Synchronous and
// without threads: the store's worker calls it, tests call it directly. All functions of one
// `struct database` belong to one thread at a time.
// Life: database_open -> database_run_batch, database_maintain ... -> database_close.
//
// The log (WAL) and failed commits. SQLite writes a commit's frames, then syncs them, then lets
// readers see them. When the sync fails, the frames may nevertheless lie in the file, whole and
// with valid checksums: whoever opens the file next would take them for committed. So after a
// failed commit the log is cut back to its last durable frame, and no transaction begins before
// that worked.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/store.h"
#include "store/store_internal.h"

// 16 MiB of log before it is copied into the database. A page that many transactions changed is
// copied once, so longer is faster; but a restart reads it all, and the copy makes one batch wait.
#define DATABASE_CHECKPOINT_FRAMES 4000
// What an unusually long log's file is cut to.
#define DATABASE_LOG_KEEP_BYTES (32 << 20)
// Pages copied per step of a backup: 1 MiB, so that a batch never waits long for it.
#define DATABASE_BACKUP_STEP_PAGES 256
#define DATABASE_CACHE_KIB 1024

enum database_statement {
    DATABASE_BEGIN_READ,
    DATABASE_BEGIN_WRITE,
    DATABASE_COMMIT,
    DATABASE_ROLLBACK,
    DATABASE_SAVEPOINT,
    DATABASE_RELEASE,
    DATABASE_ROLLBACK_TO,
    DATABASE_GET_KEY_REVISION,
    DATABASE_GET,
    DATABASE_GET_RANGE,
    DATABASE_PUT,
    DATABASE_DELETE,
    DATABASE_DELETE_RANGE,
    DATABASE_GET_REVISION,
    DATABASE_SET_REVISION,
    DATABASE_STATEMENT_COUNT,
};

enum database_log_state {
    DATABASE_LOG_SETTLED,       // its frames are exactly the durable ones
    DATABASE_LOG_COMMIT_FAILED, // frames of a failed batch may lie behind the durable ones
    DATABASE_LOG_COPY_FAILED,   // a checkpoint failed: how many frames count is not known
};

struct sqlite3;
struct sqlite3_stmt;
struct database_backup;

struct database {
    struct sqlite3 *handle;                                    // owned
    struct sqlite3_stmt *statements[DATABASE_STATEMENT_COUNT]; // owned, prepared once
    uint8_t id[STORE_ID_BYTES];                                // store id
    uint64_t revision;                                         // of the last durable transaction
    uint64_t batch_revision;                                   // of the last one in this batch
    unsigned page_bytes;                                       // of the database file
    unsigned log_frames;                                       // durable frames in the log
    enum database_log_state log_state;                         // may a transaction begin?
    struct database_backup *backup;                            // running, or NULL; owned
};

// Gives SQLite our allocator. Idempotent, thread-safe; each opening function calls it.
// Errors: RM_ERR_INTERNAL.
RM_NODISCARD enum rm_err database_configure(struct rm_error *error);

// Opens or creates the file `path` (0600) and checks its schema version and its integrity.
// Errors: RM_ERR_UNSUPPORTED (newer schema), RM_ERR_IO (damaged, not ours), RM_ERR_NO_SPACE,
// RM_ERR_PERMISSION, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err database_open(const char *path, struct database **out,
                                       struct rm_error *error);
// After database_backup_cancel(). `database` may be NULL.
void database_close(struct database *database);
// Durable at once. Errors: RM_ERR_NO_SPACE, RM_ERR_IO, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err database_set_id(struct database *database,
                                         const uint8_t id[STORE_ID_BYTES], struct rm_error *error);

// Runs the requests from `first` on, in order, in one SQLite transaction, commits once, and leaves
// result and revision in each. When the commit fails, none of the batch's transactions happened,
// all of them carry the error, and its reads see the state before the batch.
void database_run_batch(struct database *database, struct store_request *first);

// --- The log (database_log.c). -------------------------------------------------------------------
// Makes sure that the log holds the durable frames only. Errors: RM_ERR_IO, RM_ERR_NO_SPACE.
RM_NODISCARD enum rm_err database_log_settle(struct database *database);
// Copies the log into the database file when it is long enough.
void database_log_maintain(struct database *database);
// Copies it whatever its length; the next batch begins it anew. Errors: RM_ERR_IO, RM_ERR_NO_SPACE.
RM_NODISCARD enum rm_err database_log_copy(struct database *database);
// Counts frames; called once after the handle was opened.
void database_log_watch(struct database *database);

// --- Backups (database_backup.c): one at a time, a step between batches. -------------------------
// Takes `request` when it returns RM_OK. Errors: RM_ERR_BUSY (one is running), RM_ERR_EXISTS,
// RM_ERR_PERMISSION, RM_ERR_NO_SPACE, RM_ERR_NO_MEMORY, RM_ERR_IO.
RM_NODISCARD enum rm_err database_backup_start(struct database *database,
                                               struct store_request *request,
                                               struct rm_error *error);
// Gives the request, with its result, when the backup has ended; NULL while it goes on.
struct store_request *database_backup_step(struct database *database);
// Ends it with RM_ERR_CANCELLED and removes what it wrote. NULL when none is running.
struct store_request *database_backup_cancel(struct database *database);

// --- Statements (database.c). --------------------------------------------------------------------
// The error of the handle's last call.
enum rm_err database_error(const struct database *database);
// Converts a SQLite result; `system_error` is its errno or 0.
enum rm_err database_convert(int sqlite_result, int system_error);
// Runs a statement that gives no rows and resets it. Errors: as database_error().
RM_NODISCARD enum rm_err database_execute(struct database *database,
                                          enum database_statement statement);
// Errors: as database_error(); RM_ERR_IO when the row is missing.
RM_NODISCARD enum rm_err database_read_revision(struct database *database, uint64_t *revision);
