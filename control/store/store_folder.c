// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/store_internal.h"

#define PID_TEXT_BYTES 24

enum rm_err store_folder_path(const char *folder, const char *file, char *out,
                              struct rm_error *error)
{
    int length = snprintf(out, STORE_MAX_PATH_BYTES, "%s/%s", folder, file);
    if (length < 0 || length >= STORE_MAX_PATH_BYTES) {
        return rm_error_set(error, RM_ERR_LIMIT, "the data folder's name is too long");
    }
    return RM_OK;
}

bool store_file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

enum rm_err store_folder_sync(const char *folder, struct rm_error *error)
{
    int descriptor = open(folder[0] != '\0' ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return rm_error_set_errno(error, errno, "cannot open the folder %s", folder);
    }
    enum rm_err result = RM_OK;
    if (fsync(descriptor) != 0) {
        result = rm_error_set_errno(error, errno, "cannot sync the folder %s", folder);
    }
    close(descriptor);
    return result;
}

enum rm_err store_folder_sync_parent(const char *path, struct rm_error *error)
{
    char folder[STORE_MAX_PATH_BYTES];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    while (length > 0 && path[length - 1] != '/') {
        length--;
    }
    if (length >= sizeof(folder)) {
        return rm_error_set(error, RM_ERR_LIMIT, "the name of the folder is too long");
    }
    memcpy(folder, path, length);
    folder[length] = '\0';
    return store_folder_sync(folder, error);
}

static enum rm_err refuse_locked(const char *folder, int lock, struct rm_error *error)
{
    char holder[PID_TEXT_BYTES] = {0};
    ssize_t length = pread(lock, holder, sizeof(holder) - 1, 0);
    if (length <= 0) {
        return rm_error_set(error, RM_ERR_BUSY, "%s is in use by another process", folder);
    }
    holder[strcspn(holder, "\n")] = '\0';
    return rm_error_set(error, RM_ERR_BUSY, "%s is in use by process %s", folder, holder);
}

// Only for people who meet the lock: on a full disk the lock holds without it.
static void write_holder(int lock)
{
    char text[PID_TEXT_BYTES];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(lock, 0) == 0) {
        ssize_t written = pwrite(lock, text, (size_t)length, 0);
        (void)written;
    }
}

enum rm_err store_folder_lock(const char *folder, int *lock, struct rm_error *error)
{
    char path[STORE_MAX_PATH_BYTES];
    RM_TRY(file_make_private_folder(folder, 0700, error));
    RM_TRY(store_folder_path(folder, STORE_LOCK_FILE, path, error));
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) {
        return rm_error_set_errno(error, errno, "cannot open the lock file %s", path);
    }
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        enum rm_err result = errno == EWOULDBLOCK
                                 ? refuse_locked(folder, descriptor, error)
                                 : rm_error_set_errno(error, errno, "cannot lock %s", path);
        close(descriptor);
        return result;
    }
    write_holder(descriptor);
    *lock = descriptor;
    return RM_OK;
}

void store_folder_unlock(int lock)
{
    // The file stays: removing it would let two processes lock two files of the same name.
    close(lock);
}
