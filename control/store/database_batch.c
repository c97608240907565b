// SPDX-License-Identifier: GPL-3.0-or-later
#include <sqlite3.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "store/database_internal.h"

// What precedes each key in a read's packed bytes.
struct packed_entry {
    uint64_t revision;     // of the entry
    uint32_t value_length; // bytes
    uint32_t key_length;   // bytes, without the NUL
};

static enum rm_err bind_key(sqlite3_stmt *statement, int index, const char *key)
{
    return database_convert(
        sqlite3_bind_text(statement, index, key, (int)strlen(key), SQLITE_STATIC), 0);
}

// --- Transactions. -------------------------------------------------------------------------------

static enum rm_err condition_check(struct database *database,
                                   const struct store_condition *condition)
{
    sqlite3_stmt *statement = database->statements[DATABASE_GET_KEY_REVISION];
    RM_TRY(bind_key(statement, 1, condition->key));
    int stepped = sqlite3_step(statement);
    enum rm_err result = RM_OK;
    uint64_t revision = 0;
    if (stepped == SQLITE_ROW) {
        revision = (uint64_t)sqlite3_column_int64(statement, 0);
    } else if (stepped != SQLITE_DONE) {
        result = database_error(database);
    }
    sqlite3_reset(statement);
    if (result == RM_OK && revision != condition->revision) {
        result = RM_ERR_CONFLICT;
    }
    return result;
}

static enum rm_err change_put(struct database *database, struct store_change *change,
                              uint64_t revision)
{
    const struct store_operation *operation = &change->operation;
    sqlite3_stmt *statement = database->statements[DATABASE_PUT];
    // SQLite takes a NULL pointer for the value NULL.
    const void *value = operation->value != NULL ? operation->value : "";
    RM_TRY(bind_key(statement, 1, operation->key));
    RM_TRY(database_convert(
        sqlite3_bind_blob(statement, 2, value, (int)operation->value_length, SQLITE_STATIC), 0));
    RM_TRY(database_convert(sqlite3_bind_int64(statement, 3, (sqlite3_int64)revision), 0));
    change->had_effect = true;
    return database_execute(database, DATABASE_PUT);
}

static enum rm_err change_delete(struct database *database, struct store_change *change)
{
    RM_TRY(bind_key(database->statements[DATABASE_DELETE], 1, change->operation.key));
    RM_TRY(database_execute(database, DATABASE_DELETE));
    change->had_effect = sqlite3_changes(database->handle) > 0;
    return RM_OK;
}

static enum rm_err change_delete_prefix(struct database *database, struct store_change *change)
{
    char end[STORE_MAX_KEY_BYTES + 2];
    sqlite3_stmt *statement = database->statements[DATABASE_DELETE_RANGE];
    store_prefix_end(change->operation.key, end);
    RM_TRY(bind_key(statement, 1, change->operation.key));
    RM_TRY(bind_key(statement, 2, end));
    enum rm_err result = RM_OK;
    int stepped = SQLITE_DONE;
    while (result == RM_OK && (stepped = sqlite3_step(statement)) == SQLITE_ROW) {
        const void *key = sqlite3_column_text(statement, 0);
        size_t length = (size_t)sqlite3_column_bytes(statement, 0);
        result =
            key != NULL ? buffer_append(&change->deleted_keys, key, length + 1) : RM_ERR_NO_MEMORY;
    }
    if (result == RM_OK && stepped != SQLITE_DONE) {
        result = database_error(database);
    }
    sqlite3_reset(statement);
    change->had_effect = buffer_length(&change->deleted_keys) > 0;
    return result;
}

static enum rm_err change_apply(struct database *database, struct store_change *change,
                                uint64_t revision)
{
    switch (change->operation.kind) {
    case STORE_PUT:
        return change_put(database, change, revision);
    case STORE_DELETE:
        return change_delete(database, change);
    case STORE_DELETE_PREFIX:
        return change_delete_prefix(database, change);
    }
    return RM_ERR_INTERNAL;
}

static enum rm_err apply_changes(struct database *database, struct store_commit_request *commit,
                                 uint64_t revision)
{
    for (size_t i = 0; i < commit->change_count; i++) {
        RM_TRY(change_apply(database, &commit->changes[i], revision));
    }
    return RM_OK;
}

// Leaves in request->result what became of this transaction alone. Returns an error only when the
// whole batch is lost.
static enum rm_err commit_run(struct database *database, struct store_request *request)
{
    struct store_commit_request *commit = &request->commit;
    request->result = RM_OK;
    request->revision = database->batch_revision;
    for (size_t i = 0; i < commit->condition_count && request->result == RM_OK; i++) {
        request->result = condition_check(database, &commit->conditions[i]);
    }
    if (request->result != RM_OK || commit->change_count == 0) {
        return RM_OK;
    }
    RM_TRY(database_execute(database, DATABASE_SAVEPOINT));
    request->result = apply_changes(database, commit, database->batch_revision + 1);
    if (request->result == RM_OK) {
        request->revision = ++database->batch_revision;
        return database_execute(database, DATABASE_RELEASE);
    }
    if (sqlite3_get_autocommit(database->handle)) {
        return request->result; // SQLite gave up the whole transaction
    }
    RM_TRY(database_execute(database, DATABASE_ROLLBACK_TO));
    return database_execute(database, DATABASE_RELEASE);
}

// --- Reads. --------------------------------------------------------------------------------------

static enum rm_err pack_row(struct buffer *bytes, sqlite3_stmt *statement)
{
    const void *key = sqlite3_column_text(statement, 0);
    const void *value = sqlite3_column_blob(statement, 1);
    struct packed_entry entry = {
        .revision = (uint64_t)sqlite3_column_int64(statement, 2),
        .value_length = (uint32_t)sqlite3_column_bytes(statement, 1),
        .key_length = (uint32_t)sqlite3_column_bytes(statement, 0),
    };
    if (key == NULL || (value == NULL && entry.value_length > 0)) {
        return RM_ERR_NO_MEMORY;
    }
    RM_TRY(buffer_append(bytes, &entry, sizeof(entry)));
    RM_TRY(buffer_append(bytes, key, entry.key_length + 1));
    return entry.value_length > 0 ? buffer_append(bytes, value, entry.value_length) : RM_OK;
}

// The bytes do not move any more: entries may point into them.
static enum rm_err index_entries(struct store_read_request *read, size_t count)
{
    if (count == 0) {
        return RM_OK;
    }
    read->entries = rm_calloc(count, sizeof(*read->entries));
    if (read->entries == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    const uint8_t *at = buffer_data(&read->bytes);
    for (size_t i = 0; i < count; i++) {
        struct packed_entry entry;
        memcpy(&entry, at, sizeof(entry));
        at += sizeof(entry);
        read->entries[i].key = (const char *)at;
        at += entry.key_length + 1;
        read->entries[i].value = at;
        read->entries[i].value_length = entry.value_length;
        read->entries[i].revision = entry.revision;
        at += entry.value_length;
    }
    read->count = count;
    return RM_OK;
}

static enum rm_err bind_read(struct database *database, const struct store_read_request *read,
                             sqlite3_stmt **out)
{
    *out = database->statements[read->to != NULL ? DATABASE_GET_RANGE : DATABASE_GET];
    RM_TRY(bind_key(*out, 1, read->from));
    if (read->to != NULL) {
        RM_TRY(bind_key(*out, 2, read->to));
        RM_TRY(database_convert(sqlite3_bind_int64(*out, 3, (sqlite3_int64)read->limit), 0));
    }
    return RM_OK;
}

static enum rm_err read_rows(struct database *database, struct store_read_request *read)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    RM_TRY(bind_read(database, read, &statement));
    enum rm_err result = RM_OK;
    int stepped = SQLITE_DONE;
    while (result == RM_OK && (stepped = sqlite3_step(statement)) == SQLITE_ROW) {
        result = pack_row(&read->bytes, statement);
        count++;
    }
    if (result == RM_OK && stepped != SQLITE_DONE) {
        result = database_error(database);
    }
    sqlite3_reset(statement);
    return result == RM_OK ? index_entries(read, count) : result;
}

static void read_run(struct database *database, struct store_request *request)
{
    struct store_read_request *read = &request->read;
    // A second run follows when the batch that it first ran in failed.
    rm_free(read->entries);
    read->entries = NULL;
    read->count = 0;
    buffer_clear(&read->bytes);
    request->revision = database->batch_revision;
    request->result = read_rows(database, read);
    if (request->result != RM_OK) {
        buffer_deinit(&read->bytes);
    }
}

// --- Batches. ------------------------------------------------------------------------------------

static bool batch_writes(const struct store_request *first)
{
    for (const struct store_request *at = first; at != NULL; at = at->next) {
        if (at->kind == STORE_REQUEST_COMMIT && at->commit.change_count > 0) {
            return true;
        }
    }
    return false;
}

static enum rm_err batch_begin(struct database *database, bool writes)
{
    if (!writes) {
        return database_execute(database, DATABASE_BEGIN_READ);
    }
    RM_TRY(database_log_settle(database));
    return database_execute(database, DATABASE_BEGIN_WRITE);
}

static enum rm_err batch_commit(struct database *database)
{
    if (database->batch_revision == database->revision) {
        return database_execute(database, DATABASE_COMMIT); // nothing was written
    }
    RM_TRY(database_convert(sqlite3_bind_int64(database->statements[DATABASE_SET_REVISION], 1,
                                               (sqlite3_int64)database->batch_revision),
                            0));
    RM_TRY(database_execute(database, DATABASE_SET_REVISION));
    // From here until it returned well, its frames may or may not be in the log.
    database->log_state = DATABASE_LOG_COMMIT_FAILED;
    RM_TRY(database_execute(database, DATABASE_COMMIT));
    database->log_state = DATABASE_LOG_SETTLED;
    database->revision = database->batch_revision;
    return RM_OK;
}

static enum rm_err batch_try(struct database *database, struct store_request *first)
{
    RM_TRY(batch_begin(database, batch_writes(first)));
    for (struct store_request *at = first; at != NULL; at = at->next) {
        if (at->kind == STORE_REQUEST_READ) {
            read_run(database, at);
        } else if (at->kind == STORE_REQUEST_COMMIT) {
            RM_TRY(commit_run(database, at));
        }
        if (sqlite3_get_autocommit(database->handle)) {
            return at->result != RM_OK ? at->result : RM_ERR_IO;
        }
    }
    return batch_commit(database);
}

// Nothing of the batch happened. What its reads and conditions saw may not have been durable: the
// transactions fail, the reads are done again.
static void batch_fail(struct database *database, struct store_request *first, enum rm_err error)
{
    database->batch_revision = database->revision;
    if (!sqlite3_get_autocommit(database->handle)) {
        // Whatever it returns: the next line looks at what counts.
        enum rm_err rolled_back = database_execute(database, DATABASE_ROLLBACK);
        (void)rolled_back;
    }
    bool may_read = sqlite3_get_autocommit(database->handle) != 0;
    for (struct store_request *at = first; at != NULL; at = at->next) {
        at->revision = database->revision;
        if (at->kind == STORE_REQUEST_READ && may_read) {
            read_run(database, at);
        } else {
            at->result = error;
        }
    }
}

static void log_failed_batch(struct database *database, enum rm_err result)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    if (log_limit_pass(&limit, &suppressed)) {
        log_error(LOG_STORE, "batch_failed", LOG_ERR(result),
                  LOG_STR("cause", sqlite3_errmsg(database->handle)),
                  LOG_U64("revision", database->revision), LOG_U64("suppressed", suppressed));
    }
}

void database_run_batch(struct database *database, struct store_request *first)
{
    database->batch_revision = database->revision;
    enum rm_err result = batch_try(database, first);
    if (result == RM_OK) {
        return;
    }
    log_failed_batch(database, result);
    batch_fail(database, first, result);
    // At once, so that a crash from here on cannot bring back what was answered with an error. When
    // it does not work now, it is tried again before the next transaction.
    // The log line above has said why.
    enum rm_err settled = database_log_settle(database);
    (void)settled;
}
