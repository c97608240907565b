// SPDX-License-Identifier: GPL-3.0-or-later
//
// A restore builds "restoring.db" inside the data folder and gives it its name as the last step.
// The folder itself is not replaced, because it may be a mount point.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/database_internal.h"

#define COPY_BYTES 65536

// What may lie in a folder that counts as empty: our lock, leavings of an interrupted restore, and
// what mkfs puts into the root of a volume.
static bool is_ignored(const char *name)
{
    static const char *const names[] = {".",
                                        "..",
                                        "lost+found",
                                        STORE_LOCK_FILE,
                                        STORE_RESTORE_FILE,
                                        STORE_RESTORE_FILE "-wal",
                                        STORE_RESTORE_FILE "-journal"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum rm_err check_empty(const char *folder, struct rm_error *error)
{
    DIR *listing = opendir(folder);
    if (listing == NULL) {
        return rm_error_set_errno(error, errno, "cannot list %s", folder);
    }
    enum rm_err result = RM_OK;
    const struct dirent *entry = NULL;
    while (result == RM_OK && (entry = readdir(listing)) != NULL) {
        if (!is_ignored(entry->d_name)) {
            result = rm_error_set(error, RM_ERR_EXISTS,
                                  "%s is not empty (it holds %s): restore into a new folder",
                                  folder, entry->d_name);
        }
    }
    closedir(listing);
    return result;
}

static enum rm_err copy_bytes(int from, int to, const char *to_path, struct rm_error *error)
{
    uint8_t *bytes = rm_malloc(COPY_BYTES);
    if (bytes == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to copy the backup");
    }
    enum rm_err result = RM_OK;
    ssize_t got = 0;
    while (result == RM_OK && (got = read(from, bytes, COPY_BYTES)) != 0) {
        if (got < 0 && errno != EINTR) {
            result = rm_error_set_errno(error, errno, "cannot read the backup");
        }
        for (ssize_t done = 0; result == RM_OK && done < got;) {
            ssize_t put = write(to, bytes + done, (size_t)(got - done));
            if (put < 0 && errno != EINTR) {
                result = rm_error_set_errno(error, errno, "cannot write %s", to_path);
            }
            done += put > 0 ? put : 0;
        }
    }
    rm_free(bytes);
    return result;
}

// Something in the log beside it means that this is the file of a running store, or of one that
// crashed: without its log it is not consistent.
static enum rm_err refuse_live_file(const char *backup, struct rm_error *error)
{
    char log[STORE_MAX_PATH_BYTES];
    struct stat status;
    int length = snprintf(log, sizeof(log), "%s-wal", backup);
    if (length < 0 || length >= (int)sizeof(log)) {
        return rm_error_set(error, RM_ERR_LIMIT, "the backup's name is too long");
    }
    if (stat(log, &status) == 0 && status.st_size > 0) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s is a live database and no backup: make one with "
                            "`remora-control backup`",
                            backup);
    }
    return RM_OK;
}

static enum rm_err copy_backup(const char *backup, const char *path, struct rm_error *error)
{
    RM_TRY(refuse_live_file(backup, error));
    int from = open(backup, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        return rm_error_set_errno(error, errno, "cannot read the backup %s", backup);
    }
    enum rm_err result = RM_OK;
    struct stat status;
    if (fstat(from, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
        result =
            rm_error_set(error, RM_ERR_IO, "%s is not a backup: it is empty or no file", backup);
        goto close_from;
    }
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0) {
        result = rm_error_set_errno(error, errno, "cannot create %s", path);
        goto close_from;
    }
    result = copy_bytes(from, to, path, error);
    if (result == RM_OK && fsync(to) != 0) {
        result = rm_error_set_errno(error, errno, "cannot sync %s", path);
    }
    close(to);
close_from:
    close(from);
    return result;
}

// Opening checks version and integrity.
static enum rm_err renew_id(const char *path, struct rm_error *error)
{
    uint8_t id[STORE_ID_BYTES];
    struct database *database = NULL;
    if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id)) {
        return rm_error_set_errno(error, errno, "no random bytes for the store id");
    }
    RM_TRY(database_open(path, &database, error));
    enum rm_err result = database_set_id(database, id, error);
    if (result == RM_OK) {
        result = database_log_copy(database);
        if (result != RM_OK) {
            rm_error_set(error, result, "cannot write %s", path);
        }
    }
    database_close(database);
    return result;
}

static void remove_leavings(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    char name[STORE_MAX_PATH_BYTES + 16];
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static enum rm_err restore_locked(const char *folder, const char *backup, struct rm_error *error)
{
    char building[STORE_MAX_PATH_BYTES];
    char final[STORE_MAX_PATH_BYTES];
    RM_TRY(store_folder_path(folder, STORE_RESTORE_FILE, building, error));
    RM_TRY(store_folder_path(folder, STORE_DATABASE_FILE, final, error));
    RM_TRY(check_empty(folder, error));
    remove_leavings(building);
    enum rm_err result = copy_backup(backup, building, error);
    if (result == RM_OK) {
        result = renew_id(building, error);
    }
    if (result == RM_OK && rename(building, final) != 0) {
        result = rm_error_set_errno(error, errno, "cannot give %s its name", final);
    }
    if (result != RM_OK) {
        remove_leavings(building);
        return rm_error_wrap(error, "nothing was restored");
    }
    RM_TRY(store_folder_sync(folder, error));
    return store_folder_sync_parent(folder, error);
}

enum rm_err store_restore(const char *folder, const char *backup, struct rm_error *error)
{
    int lock = -1;
    bool is_new = !store_file_exists(folder);
    RM_TRY(store_folder_lock(folder, &lock, error));
    enum rm_err result = restore_locked(folder, backup, error);
    if (result != RM_OK) {
        // The folder as it was: without a lock file that we made, or not there at all.
        char path[STORE_MAX_PATH_BYTES];
        if (is_new && store_folder_path(folder, STORE_LOCK_FILE, path, NULL) == RM_OK) {
            unlink(path);
            rmdir(folder);
        }
    }
    store_folder_unlock(lock);
    return result;
}
