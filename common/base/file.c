// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

// Opens a regular file for reading and tells its size. Links are followed: Kubernetes mounts
// secrets as links, so that what counts is the file that was opened. O_NONBLOCK keeps a pipe or a
// device from hanging the open.
static enum rm_err file_open(const char *path, size_t max_bytes, int *descriptor,
                             struct stat *facts, struct rm_error *error)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (opened < 0) {
        return rm_error_set_errno(error, errno, "cannot open %s", path);
    }
    enum rm_err result = RM_OK;
    if (fstat(opened, facts) != 0) {
        result = rm_error_set_errno(error, errno, "cannot look at %s", path);
    } else if (!S_ISREG(facts->st_mode)) {
        result = rm_error_set(error, RM_ERR_IO, "%s is not a regular file: name a file", path);
    } else if (facts->st_size < 0 || (uint64_t)facts->st_size > max_bytes) {
        result = rm_error_set(error, RM_ERR_TOO_LARGE, "%s has %lld bytes, at most %zu are read",
                              path, (long long)facts->st_size, max_bytes);
    }
    if (result != RM_OK) {
        close(opened);
        return result;
    }
    *descriptor = opened;
    return RM_OK;
}

// Reads until `size` bytes or the end; 0 or an errno.
static int file_fill(int descriptor, uint8_t *bytes, size_t size, size_t *length)
{
    *length = 0;
    while (*length < size) {
        ssize_t got = read(descriptor, bytes + *length, size - *length);
        if (got == 0) {
            return 0;
        }
        if (got > 0) {
            *length += (size_t)got;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

// A file that is being read into growing memory.
struct file_content {
    uint8_t *bytes;   // owned; one byte longer than `capacity`, for a final NUL
    size_t capacity;  // bytes to read at most before it grows
    size_t length;    // bytes read
    size_t max_bytes; // most it may hold
};

// One round: grows the memory to its capacity and fills it. 0 or an errno.
static int file_content_fill(struct file_content *content, int descriptor)
{
    uint8_t *grown = rm_realloc(content->bytes, content->capacity + 1);
    if (grown == NULL) {
        return ENOMEM;
    }
    content->bytes = grown;
    size_t got = 0;
    int failure =
        file_fill(descriptor, grown + content->length, content->capacity - content->length, &got);
    content->length += got;
    return failure;
}

// Reads to the end, whatever size the file told: files of /proc tell none. Room for one byte more
// than is expected finds the end, or too much.
static int file_content_read(struct file_content *content, int descriptor)
{
    int failure = file_content_fill(content, descriptor);
    while (failure == 0 && content->length == content->capacity) {
        if (content->length > content->max_bytes) {
            return EFBIG;
        }
        content->capacity = content->capacity < content->max_bytes / 2 ? content->capacity * 2
                                                                       : content->max_bytes + 1;
        failure = file_content_fill(content, descriptor);
    }
    return failure;
}

enum rm_err file_read(const char *path, size_t max_bytes, uint8_t **bytes, size_t *length,
                      struct rm_error *error)
{
    *bytes = NULL;
    *length = 0;
    int descriptor = -1;
    struct stat facts;
    // Leaves room to add without overflow.
    size_t limit = max_bytes < SIZE_MAX / 4 ? max_bytes : SIZE_MAX / 4;
    RM_TRY(file_open(path, limit, &descriptor, &facts, error));
    struct file_content content = {.capacity = (size_t)facts.st_size + 1, .max_bytes = limit};
    int failure = file_content_read(&content, descriptor);
    close(descriptor);
    if (failure != 0) {
        rm_free(content.bytes);
        return failure == EFBIG ? rm_error_set(error, RM_ERR_TOO_LARGE,
                                               "%s has more than %zu bytes", path, max_bytes)
                                : rm_error_set_errno(error, failure, "cannot read %s", path);
    }
    content.bytes[content.length] = '\0';
    *bytes = content.bytes;
    *length = content.length;
    return RM_OK;
}

static enum rm_err file_check_secret(const char *path, const struct stat *facts,
                                     struct rm_error *error)
{
    if (facts->st_uid != geteuid() && facts->st_uid != 0) {
        return rm_error_set(error, RM_ERR_PERMISSION,
                            "%s belongs to user %u: a secret must belong to us (user %u) or root",
                            path, facts->st_uid, geteuid());
    }
    if ((facts->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return rm_error_set(error, RM_ERR_PERMISSION,
                            "%s has mode %04o, so that others than its owner have access: "
                            "chmod 600 %s",
                            path, facts->st_mode & 07777U, path);
    }
    return RM_OK;
}

static enum rm_err file_fill_secret(int descriptor, const char *path, size_t size,
                                    struct secret *out, struct rm_error *error)
{
    // One byte more than expected: a file that grows meanwhile shows itself.
    if (secret_new(size + 1, out) != RM_OK) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to read %s", path);
    }
    size_t length = 0;
    int failure = file_fill(descriptor, out->bytes, size + 1, &length);
    enum rm_err result = RM_OK;
    if (failure != 0) {
        result = rm_error_set_errno(error, failure, "cannot read %s", path);
    } else if (length != size) {
        result = rm_error_set(error, RM_ERR_IO, "%s changed while it was read: try again", path);
    } else {
        out->length = size;
    }
    if (result != RM_OK) {
        secret_free(out);
    }
    return result;
}

enum rm_err file_read_secret(const char *path, size_t max_bytes, struct secret *out,
                             struct rm_error *error)
{
    int descriptor = -1;
    struct stat facts;
    *out = (struct secret){0};
    RM_TRY(file_open(path, max_bytes, &descriptor, &facts, error));
    enum rm_err result = file_check_secret(path, &facts, error);
    if (result == RM_OK) {
        result = file_fill_secret(descriptor, path, (size_t)facts.st_size, out, error);
    }
    close(descriptor);
    return result;
}

static int file_put(int descriptor, const uint8_t *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t put = write(descriptor, bytes + done, length - done);
        if (put > 0) {
            done += (size_t)put;
        } else if (put == 0) {
            return EIO;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

// Content, mode and sync of the temporary file; closes it in any case. 0 or an errno.
static int file_fill_temporary(int descriptor, const void *bytes, size_t length, mode_t mode)
{
    int failure = fchmod(descriptor, mode) != 0 ? errno : 0;
    if (failure == 0) {
        failure = file_put(descriptor, bytes, length);
    }
    if (failure == 0 && fsync(descriptor) != 0) {
        failure = errno;
    }
    if (close(descriptor) != 0 && failure == 0) {
        failure = errno;
    }
    return failure;
}

// Syncs the folder that holds `path`, so that the rename itself survives a crash. 0 or an errno.
static int file_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof(folder), ".");
    } else {
        snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    }
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return errno;
    }
    int failure = fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    return failure;
}

enum rm_err file_write_atomic(const char *path, const void *bytes, size_t length, mode_t mode,
                              struct rm_error *error)
{
    char temporary[PATH_MAX];
    int spelled = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (spelled < 0 || (size_t)spelled >= sizeof(temporary)) {
        return rm_error_set_errno(error, ENAMETOOLONG, "cannot write %s", path);
    }
    int descriptor = mkostemp(temporary, O_CLOEXEC);
    if (descriptor < 0) {
        return rm_error_set_errno(error, errno, "cannot write %s", path);
    }
    int failure = file_fill_temporary(descriptor, bytes, length, mode);
    if (failure == 0 && rename(temporary, path) != 0) {
        failure = errno;
    }
    if (failure != 0) {
        unlink(temporary);
        return rm_error_set_errno(error, failure, "cannot write %s", path);
    }
    failure = file_sync_folder(path);
    if (failure != 0) {
        return rm_error_set_errno(error, failure, "cannot sync the folder of %s", path);
    }
    return RM_OK;
}

// The folder is opened once, so that what is checked is what was looked at.
static enum rm_err file_check_folder(const char *path, struct rm_error *error)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return rm_error_set_errno(error, errno, "cannot open the folder %s", path);
    }
    struct stat facts;
    int failure = fstat(descriptor, &facts) != 0 ? errno : 0;
    close(descriptor);
    if (failure != 0) {
        return rm_error_set_errno(error, failure, "cannot look at the folder %s", path);
    }
    if (facts.st_uid != geteuid()) {
        return rm_error_set(error, RM_ERR_PERMISSION,
                            "the folder %s belongs to user %u, not to us (user %u)", path,
                            facts.st_uid, geteuid());
    }
    if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return rm_error_set(error, RM_ERR_PERMISSION,
                            "the folder %s has mode %04o, so that others may write to it: "
                            "chmod go-w %s",
                            path, facts.st_mode & 07777U, path);
    }
    return RM_OK;
}

enum rm_err file_make_private_folder(const char *path, mode_t mode, struct rm_error *error)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        return rm_error_set_errno(error, errno, "cannot make the folder %s", path);
    }
    return file_check_folder(path, error);
}
