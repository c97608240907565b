// SPDX-License-Identifier: GPL-3.0-or-later
#include "api/identity_service.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "api/identity_wire.h"
#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"

#define ISSUE_PATH "/remora.identity.v1.Identity/Issue"
#define WATCH_PATH "/remora.identity.v1.Identity/WatchTrust"

struct identity_service {
    struct identity_options options; // as given; trust_domain is owned
    struct list watchers;            // struct trust_watcher
    size_t watcher_count;            // entries in watchers
    size_t pending_count;            // answers of the attest room that have yet to come
    uint64_t issued_count;           // answers with a certificate
    uint64_t refused_count;          // and without
    bool is_freed;                   // identity_service_free() was called
};

// One Issue call. Ends when both the call and the answer of the attest room have.
struct issue_call {
    struct identity_service *service; // borrowed
    struct rpc_call *call;            // NULL once it closed
    bool is_pending;                  // the attest room will answer
};

struct trust_watcher {
    struct list node;                 // in service->watchers
    struct identity_service *service; // borrowed
    struct rpc_call *call;            // borrowed; it owns the watcher
};

static void release(struct identity_service *service)
{
    if (service->is_freed && service->pending_count == 0) {
        rm_free((char *)service->options.trust_domain);
        rm_free(service);
    }
}

static const struct trust_domain *own_domain(const struct identity_service *service)
{
    const struct identity_options *options = &service->options;
    const struct trust_snapshot *trust = options->source.trust(options->source.context);
    return trust == NULL
               ? NULL
               : trust_domain_find(trust, options->trust_domain, strlen(options->trust_domain));
}

// --- Issue.

static enum rpc_status issue_on_open(void *server_context, struct rpc_call *call, const char **text)
{
    struct identity_service *service = server_context;
    enum rpc_status status = access_check(service->options.access, call, ISSUE_PATH, text);
    if (status != RPC_OK) {
        return status;
    }
    struct issue_call *issue = rm_calloc(1, sizeof *issue);
    if (issue == NULL) {
        *text = "out of memory";
        return RPC_RESOURCE_EXHAUSTED;
    }
    *issue = (struct issue_call){.service = service, .call = call};
    rpc_call_set_context(call, issue);
    return RPC_OK;
}

static enum rpc_status status_of(enum attest_refusal refusal)
{
    switch (refusal) {
    case ATTEST_REFUSAL_NONE:
        return RPC_OK;
    case ATTEST_REFUSAL_NO_EVIDENCE:
        return RPC_UNAUTHENTICATED;
    case ATTEST_REFUSAL_TOKEN_MALFORMED:
    case ATTEST_REFUSAL_CSR_INVALID:
        return RPC_INVALID_ARGUMENT;
    case ATTEST_REFUSAL_RATE_LIMITED:
        return RPC_RESOURCE_EXHAUSTED;
    case ATTEST_REFUSAL_BUSY:
    case ATTEST_REFUSAL_STORE_UNAVAILABLE:
        return RPC_UNAVAILABLE;
    case ATTEST_REFUSAL_TOKEN_UNKNOWN:
    case ATTEST_REFUSAL_TOKEN_EXPIRED:
    case ATTEST_REFUSAL_TOKEN_USED:
    case ATTEST_REFUSAL_LINEAGE_UNKNOWN:
    case ATTEST_REFUSAL_LINEAGE_LAPSED:
    case ATTEST_REFUSAL_LINEAGE_REVOKED:
    case ATTEST_REFUSAL_LINEAGE_ENDED:
    case ATTEST_REFUSAL_LINEAGE_FORKED:
    case ATTEST_REFUSAL_REJOIN_UNKNOWN:
    case ATTEST_REFUSAL_REJOIN_INVALID:
    case ATTEST_REFUSAL_COUNT:
        break;
    }
    return RPC_PERMISSION_DENIED;
}

static void refuse(struct rpc_call *call, const struct attest_result *result)
{
    char text[RPC_MAX_STATUS_TEXT_BYTES];
    snprintf(text, sizeof text, "%s: %s%s%.700s", attest_refusal_name(result->refusal),
             attest_refusal_text(result->refusal), result->detail != NULL ? ": " : "",
             result->detail != NULL ? result->detail : "");
    rpc_call_end(call, status_of(result->refusal), text);
}

static void respond(const struct identity_service *service, struct rpc_call *call,
                    const struct attest_result *result)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    enum rm_err error = identity_wire_write_issue(result, own_domain(service), &bytes, &length);
    if (error == RM_OK) {
        error = rpc_call_send(call, bytes, length);
    }
    rm_free(bytes);
    rpc_call_end(call, rpc_status_from_err(error),
                 error == RM_OK ? NULL : "the certificate could not be sent: ask again");
}

static void issue_on_result(void *context, const struct attest_result *result)
{
    struct issue_call *issue = context;
    struct identity_service *service = issue->service;
    bool is_issued = result->refusal == ATTEST_REFUSAL_NONE;
    issue->is_pending = false;
    service->pending_count--;
    *(is_issued ? &service->issued_count : &service->refused_count) += 1;
    if (issue->call == NULL) {
        rm_free(issue);
    } else if (is_issued) {
        respond(service, issue->call, result);
    } else {
        refuse(issue->call, result);
    }
    release(service);
}

// The peer's address without its port, as rate limits and audit records name it.
static void source_of(struct rpc_call *call, char out[ATTEST_SOURCE_BYTES])
{
    const struct stream_address remote = rpc_call_remote(call);
    const struct sockaddr_in *v4 = (const void *)&remote.address;
    const struct sockaddr_in6 *v6 = (const void *)&remote.address;
    snprintf(out, ATTEST_SOURCE_BYTES, "local");
    if (remote.address.ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, out, ATTEST_SOURCE_BYTES);
    } else if (remote.address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out, ATTEST_SOURCE_BYTES);
    } else if (remote.address.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, out, ATTEST_SOURCE_BYTES);
    }
}

static void issue_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                             size_t length)
{
    struct issue_call *issue = context;
    struct identity_request *request = NULL;
    struct attest_evidence evidence;
    struct rm_error error = {0};
    char source[ATTEST_SOURCE_BYTES];
    enum rm_err result = identity_wire_read_issue(bytes, length, &request, &evidence, &error);
    if (result != RM_OK) {
        rpc_call_end(call, RPC_INVALID_ARGUMENT, rm_error_message(&error));
        return;
    }
    source_of(call, source);
    evidence.source = source;
    evidence.peer = rpc_call_peer(call);
    result = attest_issue(issue->service->options.attest, &evidence, issue_on_result, issue);
    identity_request_free(request);
    if (result != RM_OK) {
        rpc_call_end(call, rpc_status_from_err(result), "busy: try again");
        return;
    }
    issue->is_pending = true;
    issue->service->pending_count++;
}

static void issue_on_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    struct issue_call *issue = context;
    (void)call;
    (void)status;
    issue->call = NULL;
    if (!issue->is_pending) {
        rm_free(issue);
    }
}

// --- WatchTrust.

static enum rpc_status watch_on_open(void *server_context, struct rpc_call *call, const char **text)
{
    struct identity_service *service = server_context;
    enum rpc_status status = access_check(service->options.access, call, WATCH_PATH, text);
    if (status != RPC_OK) {
        return status;
    }
    *text = "too many watchers: try again later";
    if (service->watcher_count >= IDENTITY_MAX_WATCHERS) {
        return RPC_RESOURCE_EXHAUSTED;
    }
    struct trust_watcher *watcher = rm_calloc(1, sizeof *watcher);
    if (watcher == NULL) {
        return RPC_RESOURCE_EXHAUSTED;
    }
    watcher->service = service;
    watcher->call = call;
    list_init(&watcher->node);
    service->watcher_count++;
    rpc_call_set_context(call, watcher);
    return RPC_OK;
}

static void tell(struct trust_watcher *watcher)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    enum rm_err error = identity_wire_write_bundle(own_domain(watcher->service), &bytes, &length);
    if (error == RM_OK) {
        error = rpc_call_send(watcher->call, bytes, length);
    }
    rm_free(bytes);
    if (error != RM_OK) {
        rpc_call_end(watcher->call, rpc_status_from_err(error), "the bundle could not be sent");
    }
}

static void watch_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                             size_t length)
{
    struct trust_watcher *watcher = context;
    (void)call;
    (void)bytes; // WatchTrustRequest has no fields
    (void)length;
    list_append(&watcher->service->watchers, &watcher->node);
    tell(watcher);
}

static void ignore_half_close(void *context, struct rpc_call *call)
{
    (void)context;
    (void)call;
}

static void watch_on_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    struct trust_watcher *watcher = context;
    (void)call;
    (void)status;
    watcher->service->watcher_count--;
    list_remove(&watcher->node);
    rm_free(watcher);
}

static const struct rpc_method methods[] = {
    {
        .path = ISSUE_PATH,
        .on_open = issue_on_open,
        .on_message = issue_on_message,
        .on_half_close = ignore_half_close,
        .on_close = issue_on_close,
    },
    {
        .path = WATCH_PATH,
        .is_server_streaming = true,
        .on_open = watch_on_open,
        .on_message = watch_on_message,
        .on_half_close = ignore_half_close,
        .on_close = watch_on_close,
    },
};

enum rm_err identity_service_new(const struct identity_options *options, struct rpc_server *server,
                                 struct identity_service **out)
{
    *out = NULL;
    struct identity_service *service = rm_calloc(1, sizeof *service);
    if (service == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    service->options = *options;
    service->options.trust_domain = rm_strdup(options->trust_domain);
    list_init(&service->watchers);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (service->options.trust_domain != NULL) {
        result = rpc_server_add(server, methods, sizeof methods / sizeof *methods, service);
    }
    if (result != RM_OK) {
        rm_free((char *)service->options.trust_domain);
        rm_free(service);
        return result;
    }
    *out = service;
    return RM_OK;
}

void identity_service_trust_changed(struct identity_service *service)
{
    list_each (node, &service->watchers) {
        tell(list_entry(node, struct trust_watcher, node));
    }
}

void identity_service_counts(const struct identity_service *service, uint64_t *issued,
                             uint64_t *refused)
{
    *issued = service->issued_count;
    *refused = service->refused_count;
}

void identity_service_free(struct identity_service *service)
{
    if (service == NULL) {
        return;
    }
    service->is_freed = true;
    release(service);
}
