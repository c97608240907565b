// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// libuv's end of file, which is no errno (UV_EOF).
#define ERROR_LIBUV_EOF (-4095)

struct error_info {
    const char *name;          // as in the list: upper case
    const char *text;          // one-line meaning
    enum rm_category category; // what callers branch on
};

static const struct error_info infos[RM_ERR_INDEX_COUNT] = {{"OK", "success", RM_CAT_OK},
#define ERROR_INFO(name, category, text) {#name, text, RM_CAT_##category},
                                                            RM_ERR_LIST(ERROR_INFO)
#undef ERROR_INFO
};

#define ERROR_NAME_BYTES 24
static char names[RM_ERR_INDEX_COUNT][ERROR_NAME_BYTES];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void error_fill_names(void)
{
    for (size_t i = 0; i < RM_ERR_INDEX_COUNT; i++) {
        const char *name = infos[i].name;
        for (size_t j = 0; name[j] != '\0' && j + 1 < ERROR_NAME_BYTES; j++) {
            names[i][j] = (char)tolower((unsigned char)name[j]);
        }
    }
}

// A code that is none of ours is our own mistake and reads as one.
static size_t error_index(enum rm_err code)
{
    int index = -(int)code;
    return index >= 0 && index < RM_ERR_INDEX_COUNT ? (size_t)index : RM_ERR_INDEX_INTERNAL;
}

const char *rm_err_name(enum rm_err code)
{
    pthread_once(&names_once, error_fill_names);
    return names[error_index(code)];
}

const char *rm_err_text(enum rm_err code)
{
    return infos[error_index(code)].text;
}

enum rm_category rm_err_category(enum rm_err code)
{
    return infos[error_index(code)].category;
}

static const struct {
    int system_error; // errno
    enum rm_err code; // what callers see
} errno_codes[] = {
    {EAGAIN, RM_ERR_WOULD_BLOCK},
    {EINPROGRESS, RM_ERR_WOULD_BLOCK},
    {ECANCELED, RM_ERR_CANCELLED},
    {EBADF, RM_ERR_CLOSED},
    {ENOTCONN, RM_ERR_CLOSED},
    {ECONNRESET, RM_ERR_RESET},
    {ECONNABORTED, RM_ERR_RESET},
    {EPIPE, RM_ERR_RESET},
    {ECONNREFUSED, RM_ERR_REFUSED},
    {EHOSTUNREACH, RM_ERR_UNREACHABLE},
    {ENETUNREACH, RM_ERR_UNREACHABLE},
    {EHOSTDOWN, RM_ERR_UNREACHABLE},
    {ENETDOWN, RM_ERR_UNREACHABLE},
    {EADDRNOTAVAIL, RM_ERR_UNREACHABLE},
    {ETIMEDOUT, RM_ERR_TIMEOUT},
    {EPROTO, RM_ERR_PROTOCOL},
    {EMSGSIZE, RM_ERR_TOO_LARGE},
    {EFBIG, RM_ERR_TOO_LARGE},
    {ENAMETOOLONG, RM_ERR_TOO_LARGE},
    {E2BIG, RM_ERR_TOO_LARGE},
    {EILSEQ, RM_ERR_MALFORMED},
    {ENOSYS, RM_ERR_UNSUPPORTED},
    {EOPNOTSUPP, RM_ERR_UNSUPPORTED},
    {EAFNOSUPPORT, RM_ERR_UNSUPPORTED},
    {EPROTONOSUPPORT, RM_ERR_UNSUPPORTED},
    {ENOENT, RM_ERR_NOT_FOUND},
    {ENOTDIR, RM_ERR_NOT_FOUND},
    {EEXIST, RM_ERR_EXISTS},
    {EACCES, RM_ERR_PERMISSION},
    {EPERM, RM_ERR_PERMISSION},
    {EROFS, RM_ERR_PERMISSION},
    {EADDRINUSE, RM_ERR_ADDRESS_IN_USE},
    {ENOMEM, RM_ERR_NO_MEMORY},
    {ENOBUFS, RM_ERR_NO_MEMORY},
    {EMFILE, RM_ERR_NO_DESCRIPTORS},
    {ENFILE, RM_ERR_NO_DESCRIPTORS},
    {ENOSPC, RM_ERR_NO_SPACE},
    {EDQUOT, RM_ERR_NO_SPACE},
    {EBUSY, RM_ERR_BUSY},
    {ETXTBSY, RM_ERR_BUSY},
    {EINVAL, RM_ERR_INTERNAL},
    {EFAULT, RM_ERR_INTERNAL},
};

enum rm_err rm_err_from_errno(int system_error)
{
    if (system_error == 0) {
        return RM_OK;
    }
    if (system_error == ERROR_LIBUV_EOF) {
        return RM_ERR_EOF;
    }
    int positive = system_error < 0 ? -system_error : system_error;
    for (size_t i = 0; i < sizeof(errno_codes) / sizeof(errno_codes[0]); i++) {
        if (errno_codes[i].system_error == positive) {
            return errno_codes[i].code;
        }
    }
    return RM_ERR_IO;
}

enum rm_err rm_error_set(struct rm_error *error, enum rm_err code, const char *format, ...)
{
    if (error == NULL) {
        return code;
    }
    // Formatted aside: an argument may be the message that is there.
    char message[RM_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    memcpy(error->message, message, sizeof(message));
    error->code = code;
    return code;
}

enum rm_err rm_error_set_errno(struct rm_error *error, int system_error, const char *format, ...)
{
    enum rm_err code = rm_err_from_errno(system_error);
    if (error == NULL) {
        return code;
    }
    char text[RM_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char reason_text[128];
    const char *reason = strerror_r(system_error, reason_text, sizeof(reason_text));
    return rm_error_set(error, code, "%s: %s", text, reason);
}

enum rm_err rm_error_wrap(struct rm_error *error, const char *format, ...)
{
    if (error == NULL) {
        return RM_ERR_INTERNAL;
    }
    char prefix[RM_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    // Who wraps has failed: an error that nobody filled in must not read as a success.
    enum rm_err code = error->code != RM_OK ? error->code : RM_ERR_INTERNAL;
    const char *message = error->message[0] != '\0' ? error->message : rm_err_text(code);
    return rm_error_set(error, code, "%s: %s", prefix, message);
}

void rm_error_clear(struct rm_error *error)
{
    if (error != NULL) {
        error->code = RM_OK;
        error->message[0] = '\0';
    }
}

const char *rm_error_message(const struct rm_error *error)
{
    if (error == NULL) {
        return rm_err_text(RM_ERR_INTERNAL);
    }
    return error->message[0] != '\0' ? error->message : rm_err_text(error->code);
}
