// SPDX-License-Identifier: GPL-3.0-or-later
//
// gRPC status codes: their names, and their relation to our errors, to HTTP and to HTTP/2.
#include "rpc/rpc_internal.h"

static const char *const names[] = {
    [RPC_OK] = "OK",
    [RPC_CANCELLED] = "CANCELLED",
    [RPC_UNKNOWN] = "UNKNOWN",
    [RPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [RPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [RPC_NOT_FOUND] = "NOT_FOUND",
    [RPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [RPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [RPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [RPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [RPC_ABORTED] = "ABORTED",
    [RPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [RPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [RPC_INTERNAL] = "INTERNAL",
    [RPC_UNAVAILABLE] = "UNAVAILABLE",
    [RPC_DATA_LOSS] = "DATA_LOSS",
    [RPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *rpc_status_name(enum rpc_status status)
{
    int number = (int)status;
    if (number < 0 || number > RPC_UNAUTHENTICATED) {
        return names[RPC_UNKNOWN];
    }
    return names[number];
}

enum rpc_status rpc_status_from_err(enum rm_err error)
{
    switch (error) {
    case RM_OK:
        return RPC_OK;
    case RM_ERR_CANCELLED:
        return RPC_CANCELLED;
    case RM_ERR_EOF:
    case RM_ERR_CLOSED:
    case RM_ERR_TRUNCATED:
    case RM_ERR_RESET:
    case RM_ERR_VANISHED:
    case RM_ERR_REFUSED:
    case RM_ERR_UNREACHABLE:
    case RM_ERR_TLS:
    case RM_ERR_IO:
    case RM_ERR_BUSY:
    case RM_ERR_UNAVAILABLE:
        return RPC_UNAVAILABLE;
    case RM_ERR_TIMEOUT:
        return RPC_DEADLINE_EXCEEDED;
    case RM_ERR_TOO_LARGE:
    case RM_ERR_NO_MEMORY:
    case RM_ERR_NO_DESCRIPTORS:
    case RM_ERR_NO_SPACE:
    case RM_ERR_LIMIT:
        return RPC_RESOURCE_EXHAUSTED;
    case RM_ERR_MALFORMED:
    case RM_ERR_CONFIG:
        return RPC_INVALID_ARGUMENT;
    case RM_ERR_UNSUPPORTED:
        return RPC_UNIMPLEMENTED;
    case RM_ERR_REFUSED_BY_PEER:
    case RM_ERR_DENIED:
    case RM_ERR_REVOKED:
    case RM_ERR_PERMISSION:
        return RPC_PERMISSION_DENIED;
    case RM_ERR_UNTRUSTED:
    case RM_ERR_EXPIRED:
    case RM_ERR_UNAUTHENTICATED:
        return RPC_UNAUTHENTICATED;
    case RM_ERR_NOT_FOUND:
        return RPC_NOT_FOUND;
    case RM_ERR_EXISTS:
    case RM_ERR_ADDRESS_IN_USE:
        return RPC_ALREADY_EXISTS;
    case RM_ERR_CONFLICT:
        return RPC_ABORTED;
    case RM_ERR_WOULD_BLOCK:
    case RM_ERR_PROTOCOL:
    case RM_ERR_CRYPTO:
    case RM_ERR_INTERNAL:
        return RPC_INTERNAL;
    }
    return RPC_UNKNOWN;
}

enum rm_err rpc_status_to_err(enum rpc_status status)
{
    switch (status) {
    case RPC_OK:
        return RM_OK;
    case RPC_CANCELLED:
        return RM_ERR_CANCELLED;
    case RPC_INVALID_ARGUMENT:
    case RPC_OUT_OF_RANGE:
        return RM_ERR_MALFORMED;
    case RPC_DEADLINE_EXCEEDED:
        return RM_ERR_TIMEOUT;
    case RPC_NOT_FOUND:
        return RM_ERR_NOT_FOUND;
    case RPC_ALREADY_EXISTS:
        return RM_ERR_EXISTS;
    case RPC_PERMISSION_DENIED:
        return RM_ERR_DENIED;
    case RPC_RESOURCE_EXHAUSTED:
        return RM_ERR_LIMIT;
    case RPC_FAILED_PRECONDITION:
    case RPC_ABORTED:
        return RM_ERR_CONFLICT;
    case RPC_UNIMPLEMENTED:
        return RM_ERR_UNSUPPORTED;
    case RPC_UNAVAILABLE:
        return RM_ERR_UNAVAILABLE;
    case RPC_UNAUTHENTICATED:
        return RM_ERR_UNAUTHENTICATED;
    case RPC_UNKNOWN:
    case RPC_INTERNAL:
    case RPC_DATA_LOSS:
        break;
    }
    return RM_ERR_INTERNAL;
}

// grpc: doc/http-grpc-status-mapping.md
enum rpc_status rpc_status_from_http(const char *http_status)
{
    static const struct {
        const char *http;       // three digits
        enum rpc_status status; // what it means to a call
    } rows[] = {
        {"400", RPC_INTERNAL},      {"401", RPC_UNAUTHENTICATED}, {"403", RPC_PERMISSION_DENIED},
        {"404", RPC_UNIMPLEMENTED}, {"429", RPC_UNAVAILABLE},     {"502", RPC_UNAVAILABLE},
        {"503", RPC_UNAVAILABLE},   {"504", RPC_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].http, http_status) == 0) {
            return rows[i].status;
        }
    }
    return RPC_UNKNOWN;
}

// gRPC over HTTP/2, "Errors": what a stream that ended without a status means.
enum rpc_status rpc_status_from_h2(uint32_t code)
{
    switch (code) {
    case H2_REFUSED_STREAM:
    case H2_CONNECTION_LOST:
        return RPC_UNAVAILABLE;
    case H2_CANCEL:
        return RPC_CANCELLED;
    case H2_ENHANCE_YOUR_CALM:
        return RPC_RESOURCE_EXHAUSTED;
    case H2_INADEQUATE_SECURITY:
        return RPC_PERMISSION_DENIED;
    default:
        return RPC_INTERNAL;
    }
}
