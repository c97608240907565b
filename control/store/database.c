// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/database_internal.h"

#define APPLICATION_ID 0x524d5354 // "RMST": this is a Remora store and no other SQLite file

static const char *const statement_texts[DATABASE_STATEMENT_COUNT] = {
    [DATABASE_BEGIN_READ] = "BEGIN",
    [DATABASE_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [DATABASE_COMMIT] = "COMMIT",
    [DATABASE_ROLLBACK] = "ROLLBACK",
    [DATABASE_SAVEPOINT] = "SAVEPOINT one",
    [DATABASE_RELEASE] = "RELEASE one",
    [DATABASE_ROLLBACK_TO] = "ROLLBACK TO one",
    [DATABASE_GET_KEY_REVISION] = "SELECT revision FROM kv WHERE key = ?1",
    [DATABASE_GET] = "SELECT key, value, revision FROM kv WHERE key = ?1",
    [DATABASE_GET_RANGE] =
        "SELECT key, value, revision FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
    [DATABASE_PUT] = "REPLACE INTO kv (key, value, revision) VALUES (?1, ?2, ?3)",
    [DATABASE_DELETE] = "DELETE FROM kv WHERE key = ?1",
    [DATABASE_DELETE_RANGE] = "DELETE FROM kv WHERE key >= ?1 AND key < ?2 RETURNING key",
    [DATABASE_GET_REVISION] = "SELECT value FROM meta WHERE name = 'revision'",
    [DATABASE_SET_REVISION] = "UPDATE meta SET value = ?1 WHERE name = 'revision'",
};

// --- Errors. -------------------------------------------------------------------------------------

enum rm_err database_convert(int sqlite_result, int system_error)
{
    switch (sqlite_result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return RM_OK;
    case SQLITE_FULL:
        return RM_ERR_NO_SPACE;
    case SQLITE_NOMEM:
        return RM_ERR_NO_MEMORY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return RM_ERR_PERMISSION;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return RM_ERR_BUSY;
    case SQLITE_TOOBIG:
        return RM_ERR_LIMIT;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return RM_ERR_INTERNAL;
    case SQLITE_IOERR:
        if (sqlite_result == SQLITE_IOERR_NOMEM) {
            return RM_ERR_NO_MEMORY;
        }
        return system_error != 0 ? rm_err_from_errno(system_error) : RM_ERR_IO;
    case SQLITE_CANTOPEN:
        return system_error != 0 ? rm_err_from_errno(system_error) : RM_ERR_IO;
    default:
        return RM_ERR_IO;
    }
}

enum rm_err database_error(const struct database *database)
{
    enum rm_err result = database_convert(sqlite3_extended_errcode(database->handle),
                                          sqlite3_system_errno(database->handle));
    return result != RM_OK ? result : RM_ERR_INTERNAL;
}

static bool is_damage(int sqlite_result)
{
    int primary = sqlite_result & 0xff;
    return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

static enum rm_err refuse_damaged(const char *path, const char *why, struct rm_error *error)
{
    return rm_error_set(error, RM_ERR_IO,
                        "%s is damaged (%s): move the data folder away and restore a backup with "
                        "`remora-control restore`",
                        path, why);
}

// The error of the handle's last call, in words.
static enum rm_err explain(const struct database *database, const char *path,
                           struct rm_error *error)
{
    if (is_damage(sqlite3_errcode(database->handle))) {
        return refuse_damaged(path, sqlite3_errmsg(database->handle), error);
    }
    enum rm_err code = database_error(database);
    int system_error = sqlite3_system_errno(database->handle);
    return rm_error_set(error, code, "%s: %s%s%s", path, sqlite3_errmsg(database->handle),
                        system_error != 0 ? ": " : "",
                        system_error != 0 ? strerror(system_error) : "");
}

// --- Statements. ---------------------------------------------------------------------------------

enum rm_err database_execute(struct database *database, enum database_statement statement)
{
    int result = sqlite3_step(database->statements[statement]);
    enum rm_err converted = result == SQLITE_DONE ? RM_OK : database_error(database);
    sqlite3_reset(database->statements[statement]);
    return converted;
}

enum rm_err database_read_revision(struct database *database, uint64_t *revision)
{
    sqlite3_stmt *statement = database->statements[DATABASE_GET_REVISION];
    int result = sqlite3_step(statement);
    enum rm_err converted = RM_OK;
    if (result == SQLITE_ROW) {
        *revision = (uint64_t)sqlite3_column_int64(statement, 0);
    } else {
        converted = result == SQLITE_DONE ? RM_ERR_IO : database_error(database);
    }
    sqlite3_reset(statement);
    return converted;
}

static enum rm_err prepare_statements(struct database *database, const char *path,
                                      struct rm_error *error)
{
    for (int i = 0; i < DATABASE_STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(database->handle, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &database->statements[i], NULL) != SQLITE_OK) {
            return explain(database, path, error);
        }
    }
    return RM_OK;
}

static enum rm_err run_text(struct database *database, const char *text, const char *path,
                            struct rm_error *error)
{
    if (sqlite3_exec(database->handle, text, NULL, NULL, NULL) != SQLITE_OK) {
        return explain(database, path, error);
    }
    return RM_OK;
}

// The first column of the first row; *found is false when there is no row.
static enum rm_err read_number(struct database *database, const char *text, const char *path,
                               int64_t *number, bool *found, struct rm_error *error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database->handle, text, -1, &statement, NULL) != SQLITE_OK) {
        return explain(database, path, error);
    }
    int result = sqlite3_step(statement);
    *found = result == SQLITE_ROW;
    *number = *found ? sqlite3_column_int64(statement, 0) : 0;
    enum rm_err converted = RM_OK;
    if (result != SQLITE_ROW && result != SQLITE_DONE) {
        converted = explain(database, path, error);
    }
    sqlite3_finalize(statement);
    return converted;
}

// --- Opening. ------------------------------------------------------------------------------------

// The mode is ours to give: SQLite would take the process's umask, and its log inherits this mode.
static enum rm_err create_file(const char *path, struct rm_error *error)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) {
        return rm_error_set_errno(error, errno, "cannot open the database %s", path);
    }
    close(descriptor);
    return RM_OK;
}

// SQLite answers with the mode that is in force; it is no error there when that is another one.
static enum rm_err set_log_mode(struct database *database, const char *path, struct rm_error *error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database->handle, "PRAGMA journal_mode=WAL", -1, &statement, NULL) !=
        SQLITE_OK) {
        return explain(database, path, error);
    }
    enum rm_err result = RM_OK;
    if (sqlite3_step(statement) != SQLITE_ROW) {
        result = explain(database, path, error);
    } else if (strcmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0) {
        result =
            rm_error_set(error, RM_ERR_IO, "%s: the file system refuses a write-ahead log", path);
    }
    sqlite3_finalize(statement);
    return result;
}

// Exclusive: the log's index lives in our memory instead of a shared file, and no tool can write
// beside us. Nothing in the file is trusted to run (trusted_schema), no page is believed unchecked.
static enum rm_err set_up_handle(struct database *database, const char *path,
                                 struct rm_error *error)
{
    char text[320];
    sqlite3_snprintf(sizeof(text), text,
                     "PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF;"
                     "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
                     "PRAGMA cache_size=-%d; PRAGMA synchronous=FULL;"
                     "PRAGMA journal_size_limit=%d;",
                     DATABASE_CACHE_KIB, DATABASE_LOG_KEEP_BYTES);
    sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    RM_TRY(run_text(database, text, path, error));
    return set_log_mode(database, path, error);
}

static enum rm_err check_schema(struct database *database, const char *path, bool *is_new,
                                struct rm_error *error)
{
    int64_t table_count = 0;
    int64_t application = 0;
    int64_t version = 0;
    bool found = false;
    RM_TRY(read_number(database, "SELECT count(*) FROM sqlite_schema", path, &table_count, &found,
                       error));
    RM_TRY(read_number(database, "PRAGMA application_id", path, &application, &found, error));
    *is_new = table_count == 0 && application == 0;
    if (*is_new) {
        return RM_OK;
    }
    if (application != APPLICATION_ID) {
        return rm_error_set(error, RM_ERR_IO, "%s is a database of another program", path);
    }
    RM_TRY(read_number(database, "SELECT value FROM meta WHERE name = 'schema'", path, &version,
                       &found, error));
    if (!found || version < 1) {
        return refuse_damaged(path, "it has no schema version", error);
    }
    if (version > STORE_SCHEMA_VERSION) {
        return rm_error_set(
            error, RM_ERR_UNSUPPORTED,
            "%s has schema version %lld, this program knows up to %d: use the newer "
            "program that wrote it, or restore a backup of the older one",
            path, (long long)version, STORE_SCHEMA_VERSION);
    }
    return RM_OK;
}

static enum rm_err create_schema(struct database *database, const char *path,
                                 struct rm_error *error)
{
    uint8_t id[STORE_ID_BYTES];
    char text[1024];
    char id_text[2 * STORE_ID_BYTES + 1];
    if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id)) {
        return rm_error_set_errno(error, errno, "no random bytes for the store id");
    }
    for (size_t i = 0; i < sizeof(id); i++) {
        sqlite3_snprintf(3, id_text + 2 * i, "%02x", id[i]);
    }
    // One transaction: a crash leaves either no store or a whole one.
    sqlite3_snprintf(sizeof(text), text,
                     "BEGIN IMMEDIATE; PRAGMA application_id=%d;"
                     "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL)"
                     " STRICT, WITHOUT ROWID;"
                     "CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL,"
                     " revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
                     "INSERT INTO meta VALUES ('schema', %d), ('revision', 0), ('id', x'%s');"
                     "COMMIT;",
                     APPLICATION_ID, STORE_SCHEMA_VERSION, id_text);
    return run_text(database, text, path, error);
}

static enum rm_err check_integrity(struct database *database, const char *path,
                                   struct rm_error *error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database->handle, "PRAGMA quick_check(1)", -1, &statement, NULL) !=
        SQLITE_OK) {
        return explain(database, path, error);
    }
    enum rm_err result = RM_OK;
    if (sqlite3_step(statement) != SQLITE_ROW) {
        result = explain(database, path, error);
    } else {
        const char *verdict = (const char *)sqlite3_column_text(statement, 0);
        if (verdict == NULL || strcmp(verdict, "ok") != 0) {
            result = refuse_damaged(path, verdict != NULL ? verdict : "check failed", error);
        }
    }
    sqlite3_finalize(statement);
    return result;
}

static enum rm_err read_id(struct database *database, const char *path, struct rm_error *error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database->handle, "SELECT value FROM meta WHERE name = 'id'", -1,
                           &statement, NULL) != SQLITE_OK) {
        return explain(database, path, error);
    }
    enum rm_err result = RM_OK;
    if (sqlite3_step(statement) == SQLITE_ROW &&
        sqlite3_column_bytes(statement, 0) == STORE_ID_BYTES) {
        memcpy(database->id, sqlite3_column_blob(statement, 0), STORE_ID_BYTES);
    } else {
        result = refuse_damaged(path, "it has no store id", error);
    }
    sqlite3_finalize(statement);
    return result;
}

static enum rm_err fill(struct database *database, const char *path, struct rm_error *error)
{
    bool is_new = false;
    RM_TRY(set_up_handle(database, path, error));
    RM_TRY(check_schema(database, path, &is_new, error));
    if (is_new) {
        RM_TRY(create_schema(database, path, error));
    } else {
        RM_TRY(check_integrity(database, path, error));
    }
    RM_TRY(read_id(database, path, error));
    RM_TRY(prepare_statements(database, path, error));
    if (database_read_revision(database, &database->revision) != RM_OK) {
        return refuse_damaged(path, "it has no revision", error);
    }
    int64_t page_bytes = 0;
    bool found = false;
    RM_TRY(read_number(database, "PRAGMA page_size", path, &page_bytes, &found, error));
    database->page_bytes = (unsigned)page_bytes;
    database_log_watch(database);
    // What an earlier life left in the log. On a full disk it stays there: reads work, and writes
    // are refused until it can be copied.
    enum rm_err copied = database_log_copy(database);
    return copied == RM_ERR_NO_MEMORY ? explain(database, path, error) : RM_OK;
}

enum rm_err database_open(const char *path, struct database **out, struct rm_error *error)
{
    RM_TRY(database_configure(error));
    RM_TRY(create_file(path, error));
    struct database *database = rm_calloc(1, sizeof(*database));
    if (database == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to open %s", path);
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    enum rm_err result = RM_OK;
    if (sqlite3_open_v2(path, &database->handle, flags, NULL) != SQLITE_OK) {
        result = database->handle != NULL
                     ? explain(database, path, error)
                     : rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to open %s", path);
    } else {
        result = fill(database, path, error);
    }
    if (result != RM_OK) {
        database_close(database);
        return result;
    }
    *out = database;
    return RM_OK;
}

void database_close(struct database *database)
{
    if (database == NULL) {
        return;
    }
    for (int i = 0; i < DATABASE_STATEMENT_COUNT; i++) {
        sqlite3_finalize(database->statements[i]);
    }
    sqlite3_close(database->handle);
    rm_free(database);
}

enum rm_err database_set_id(struct database *database, const uint8_t id[STORE_ID_BYTES],
                            struct rm_error *error)
{
    sqlite3_stmt *statement = NULL;
    enum rm_err result = RM_OK;
    if (sqlite3_prepare_v2(database->handle, "UPDATE meta SET value = ?1 WHERE name = 'id'", -1,
                           &statement, NULL) != SQLITE_OK ||
        sqlite3_bind_blob(statement, 1, id, STORE_ID_BYTES, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_DONE) {
        result = rm_error_set(error, database_error(database), "cannot write the store id: %s",
                              sqlite3_errmsg(database->handle));
    }
    sqlite3_finalize(statement);
    return result;
}
