// SPDX-License-Identifier: GPL-3.0-or-later
//
// Error codes and error messages.
//
// Every function that can fail returns `enum rm_err`: 0 is success, all else is negative. Callers
// branch on the code or, better, on its category; never on text. Slow paths also fill a
// `struct rm_error` with a sentence for a person, wrapped outward on the way up. The byte path
// never formats text. Foreign codes (libuv, wolfSSL, nghttp2, SQLite, c-ares, errno) are converted
// once, at the border of the room that calls the library.
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define RM_NODISCARD __attribute__((warn_unused_result))
#define RM_PRINTF(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

enum rm_category {
    RM_CAT_OK,          // no error
    RM_CAT_WOULD_BLOCK, // try again when the event that was asked for arrives
    RM_CAT_CLOSED,      // orderly end, cancelled, or closed by ourselves
    RM_CAT_PEER_FAULT,  // the other end or its bytes are at fault
    RM_CAT_DENIED,      // a security decision said no
    RM_CAT_CONFIG,      // what an operator wrote is at fault
    RM_CAT_RESOURCE,    // memory, descriptors, disk, time: may pass
    RM_CAT_INTERNAL,    // our own mistake
};

// name, category, one-line meaning. The name in lower case is what logs and metric labels show.
#define RM_ERR_LIST(X)                                                                             \
    X(WOULD_BLOCK, WOULD_BLOCK, "operation would block")                                           \
    X(EOF, CLOSED, "orderly end of stream")                                                        \
    X(CANCELLED, CLOSED, "cancelled")                                                              \
    X(CLOSED, CLOSED, "already closed")                                                            \
    X(TRUNCATED, PEER_FAULT, "stream ended without an orderly close")                              \
    X(RESET, PEER_FAULT, "connection reset by the other end")                                      \
    X(VANISHED, PEER_FAULT, "the other end answers nothing any more")                              \
    X(REFUSED, PEER_FAULT, "connection refused")                                                   \
    X(UNREACHABLE, PEER_FAULT, "host or network unreachable")                                      \
    X(TIMEOUT, PEER_FAULT, "deadline passed")                                                      \
    X(PROTOCOL, PEER_FAULT, "protocol violation")                                                  \
    X(TOO_LARGE, PEER_FAULT, "larger than its limit")                                              \
    X(MALFORMED, PEER_FAULT, "malformed input")                                                    \
    X(TLS, PEER_FAULT, "TLS failure")                                                              \
    X(REFUSED_BY_PEER, PEER_FAULT, "refused by the other end")                                     \
    X(UNSUPPORTED, PEER_FAULT, "not supported")                                                    \
    X(DENIED, DENIED, "denied")                                                                    \
    X(UNTRUSTED, DENIED, "not trusted")                                                            \
    X(EXPIRED, DENIED, "expired")                                                                  \
    X(REVOKED, DENIED, "revoked")                                                                  \
    X(UNAUTHENTICATED, DENIED, "not authenticated")                                                \
    X(CONFIG, CONFIG, "invalid configuration")                                                     \
    X(NOT_FOUND, CONFIG, "not found")                                                              \
    X(EXISTS, CONFIG, "already exists")                                                            \
    X(PERMISSION, CONFIG, "permission denied by the operating system")                             \
    X(ADDRESS_IN_USE, CONFIG, "address already in use")                                            \
    X(NO_MEMORY, RESOURCE, "out of memory")                                                        \
    X(NO_DESCRIPTORS, RESOURCE, "out of file descriptors")                                         \
    X(NO_SPACE, RESOURCE, "no space left on device")                                               \
    X(IO, RESOURCE, "input/output error")                                                          \
    X(BUSY, RESOURCE, "busy")                                                                      \
    X(UNAVAILABLE, RESOURCE, "unavailable")                                                        \
    X(LIMIT, RESOURCE, "limit reached")                                                            \
    X(CONFLICT, RESOURCE, "changed by someone else meanwhile")                                     \
    X(CRYPTO, INTERNAL, "cryptographic operation failed")                                          \
    X(INTERNAL, INTERNAL, "internal error")

// clang-format off
enum rm_err_index {
    RM_ERR_INDEX_OK = 0,
#define RM_ERR_INDEX(name, category, text) RM_ERR_INDEX_##name,
    RM_ERR_LIST(RM_ERR_INDEX)
#undef RM_ERR_INDEX
    RM_ERR_INDEX_COUNT,
};
// clang-format on

enum rm_err {
    RM_OK = 0,
#define RM_ERR_CODE(name, category, text) RM_ERR_##name = -RM_ERR_INDEX_##name,
    RM_ERR_LIST(RM_ERR_CODE)
#undef RM_ERR_CODE
};

// Longest message a `struct rm_error` holds, with its terminating NUL; longer ones are cut.
#define RM_ERROR_MESSAGE_BYTES 768

struct rm_error {
    enum rm_err code;                     // RM_OK while nothing failed
    char message[RM_ERROR_MESSAGE_BYTES]; // NUL-terminated sentence without a final newline
};

// Lower-case name of a code ("timeout"), for logs and metric labels. Never NULL.
const char *rm_err_name(enum rm_err code);
// One-line meaning of a code. Never NULL.
const char *rm_err_text(enum rm_err code);
enum rm_category rm_err_category(enum rm_err code);

// Converts an errno value (positive) or a libuv error (negative errno). Unknown ones become
// RM_ERR_IO.
enum rm_err rm_err_from_errno(int system_error);

// Sets code and message; returns `code` so that a caller can `return rm_error_set(...)`. `error`
// may be NULL: then only the code is returned.
enum rm_err rm_error_set(struct rm_error *error, enum rm_err code, const char *format, ...)
    RM_PRINTF(3, 4);
// The same with the system's own text for `system_error` (errno, positive) appended; the code is
// rm_err_from_errno(system_error).
enum rm_err rm_error_set_errno(struct rm_error *error, int system_error, const char *format, ...)
    RM_PRINTF(3, 4);
// Puts "<prefix>: " before the message that is there; keeps and returns the code. Without `error`,
// or when nobody has filled it in, the code is unknown and reads RM_ERR_INTERNAL: never success.
enum rm_err rm_error_wrap(struct rm_error *error, const char *format, ...) RM_PRINTF(2, 3);
void rm_error_clear(struct rm_error *error);
// The message, or the code's text when there is none. Never NULL.
const char *rm_error_message(const struct rm_error *error);

#define RM_TRY(expression)                                                                         \
    do {                                                                                           \
        enum rm_err rm_try_result = (expression);                                                  \
        if (rm_try_result != RM_OK) {                                                              \
            return rm_try_result;                                                                  \
        }                                                                                          \
    } while (0)
