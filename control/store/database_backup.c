// SPDX-License-Identifier: GPL-3.0-or-later
//
// A backup copies pages in steps, through the database's own handle, so that SQLite itself brings
// what batches change meanwhile into the copy. It grows in "<path>.partial", which takes its name
// only when it is whole and on the disk.
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/database_internal.h"

struct database_backup {
    struct store_request *request;      // asked for it; owned
    sqlite3 *target;                    // the copy; owned
    sqlite3_backup *job;                // owned
    char partial[STORE_MAX_PATH_BYTES]; // name of the copy while it grows
};

static enum rm_err create_partial(const struct database_backup *backup, struct rm_error *error)
{
    const char *path = backup->request->backup.path;
    if (store_file_exists(path)) {
        return rm_error_set(error, RM_ERR_EXISTS, "%s is there already", path);
    }
    int descriptor = open(backup->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return rm_error_set_errno(error, errno, "cannot create %s", backup->partial);
    }
    close(descriptor);
    return RM_OK;
}

// No journal: a copy that is not finished is thrown away.
static enum rm_err open_target(struct database *database, struct database_backup *backup,
                               struct rm_error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(backup->partial, &backup->target, flags, NULL) == SQLITE_OK &&
        sqlite3_exec(backup->target, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL, NULL,
                     NULL) == SQLITE_OK) {
        backup->job = sqlite3_backup_init(backup->target, "main", database->handle, "main");
    }
    if (backup->job == NULL) {
        enum rm_err code = database_convert(sqlite3_extended_errcode(backup->target),
                                            sqlite3_system_errno(backup->target));
        return rm_error_set(error, code != RM_OK ? code : RM_ERR_NO_MEMORY, "%s: %s",
                            backup->partial, sqlite3_errmsg(backup->target));
    }
    return RM_OK;
}

static void close_target(struct database_backup *backup)
{
    sqlite3_backup_finish(backup->job);
    backup->job = NULL;
    sqlite3_close(backup->target);
    backup->target = NULL;
}

enum rm_err database_backup_start(struct database *database, struct store_request *request,
                                  struct rm_error *error)
{
    if (database->backup != NULL) {
        return rm_error_set(error, RM_ERR_BUSY, "another backup is running");
    }
    struct database_backup *backup = rm_calloc(1, sizeof(*backup));
    if (backup == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a backup");
    }
    backup->request = request;
    // The request's path was checked to leave room for the suffix.
    snprintf(backup->partial, sizeof(backup->partial), "%s.partial", request->backup.path);
    enum rm_err result = create_partial(backup, error);
    if (result != RM_OK) {
        goto free_backup;
    }
    result = open_target(database, backup, error);
    if (result != RM_OK) {
        goto remove_partial;
    }
    database->backup = backup;
    return RM_OK;

remove_partial:
    close_target(backup);
    unlink(backup->partial);
free_backup:
    rm_free(backup);
    return result;
}

static enum rm_err sync_file(const char *path, struct rm_error *error)
{
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        return rm_error_set_errno(error, errno, "cannot open %s", path);
    }
    enum rm_err result = RM_OK;
    if (fsync(descriptor) != 0) {
        result = rm_error_set_errno(error, errno, "cannot sync %s", path);
    }
    close(descriptor);
    return result;
}

// The copy is complete: makes it durable and gives it its name.
static enum rm_err publish(struct database_backup *backup, struct rm_error *error)
{
    const char *path = backup->request->backup.path;
    close_target(backup);
    RM_TRY(sync_file(backup->partial, error));
    if (renameat2(AT_FDCWD, backup->partial, AT_FDCWD, path, RENAME_NOREPLACE) != 0) {
        return rm_error_set_errno(error, errno, "cannot give the backup its name %s", path);
    }
    return store_folder_sync_parent(path, error);
}

static struct store_request *end(struct database *database, enum rm_err result)
{
    struct database_backup *backup = database->backup;
    struct store_request *request = backup->request;
    request->result = result;
    request->revision = database->revision;
    close_target(backup);
    if (result != RM_OK) {
        unlink(backup->partial);
    }
    rm_free(backup);
    database->backup = NULL;
    return request;
}

struct store_request *database_backup_step(struct database *database)
{
    struct database_backup *backup = database->backup;
    struct rm_error *error = &backup->request->backup.error;
    int stepped = sqlite3_backup_step(backup->job, DATABASE_BACKUP_STEP_PAGES);
    switch (stepped & 0xff) {
    case SQLITE_OK:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return NULL;
    case SQLITE_DONE:
        return end(database, publish(backup, error));
    default:
        return end(database,
                   rm_error_set(error,
                                database_convert(stepped, sqlite3_system_errno(backup->target)),
                                "%s: %s", backup->partial, sqlite3_errstr(stepped)));
    }
}

struct store_request *database_backup_cancel(struct database *database)
{
    if (database->backup == NULL) {
        return NULL;
    }
    struct rm_error *error = &database->backup->request->backup.error;
    return end(database, rm_error_set(error, RM_ERR_CANCELLED, "the store was closed meanwhile"));
}
