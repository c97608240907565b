// SPDX-License-Identifier: GPL-3.0-or-later
//
//   open -> RESOLVE -> DIAL -> HANDSHAKE -> READY -> ENDED
//              |        |         |           |
//              +--------+---------+-----------+--> ENDED
#include "link/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/machine.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"
#include "stream/socket.h"

enum link_state { LINK_RESOLVE, LINK_DIAL, LINK_HANDSHAKE, LINK_READY, LINK_ENDED };

static const struct sm_state states[] = {
    [LINK_RESOLVE] = {"resolve", SM_BIT(LINK_DIAL) | SM_BIT(LINK_ENDED)},
    [LINK_DIAL] = {"dial", SM_BIT(LINK_HANDSHAKE) | SM_BIT(LINK_DIAL) | SM_BIT(LINK_ENDED)},
    [LINK_HANDSHAKE] = {"handshake", SM_BIT(LINK_READY) | SM_BIT(LINK_ENDED)},
    [LINK_READY] = {"ready", SM_BIT(LINK_ENDED)},
    [LINK_ENDED] = {"ended", 0},
};

struct link {
    struct sm sm; // enum link_state
    struct loop *loop;
    struct resolver *resolver;
    char *address; // "host:port"; owned
    char *host;    // owned
    uint16_t port;
    char *control_id;                  // that must be proven; owned
    struct tls_context *tls;           // shares
    struct resolver_lookup *lookup;    // pending, or NULL
    struct socket_connect *connecting; // pending, or NULL
    struct sockaddr_storage addresses[RESOLVER_MAX_ADDRESSES];
    size_t address_count;
    size_t address_next;       // to dial
    struct stream *stream;     // during the handshake; the client's afterwards
    struct rpc_client *client; // in READY
    struct stream *wire;       // the client's; borrowed; NULL without one
    struct deferred end;       // tells the user, out of any callback
    enum rm_err reason;        // for on_end
    char sentence[RM_ERROR_MESSAGE_BYTES];
    link_ready_fn on_ready;
    link_end_fn on_end;
    void *context;
};

static void link_free(struct link *link)
{
    tls_context_unref(link->tls);
    rm_free(link->address);
    rm_free(link->host);
    rm_free(link->control_id);
    rm_free(link);
}

static void link_on_end(void *context)
{
    struct link *link = context;
    link->on_end(link->context, link->reason, link->sentence);
    loop_close(link->loop);
    link_free(link);
}

// The last words; on_end comes from the loop.
static void end(struct link *link, enum rm_err reason)
{
    if (sm_is(&link->sm, LINK_ENDED)) {
        return;
    }
    sm_move(&link->sm, LINK_ENDED);
    link->reason = reason;
    if (link->lookup != NULL) {
        resolver_cancel(link->lookup);
        link->lookup = NULL;
    }
    if (link->connecting != NULL) {
        socket_connect_cancel(link->connecting);
        link->connecting = NULL;
    }
    if (link->stream != NULL) {
        stream_close(link->stream, STREAM_CLOSE_ABORT, NULL, NULL);
        link->stream = NULL;
    }
    deferred_schedule(link->loop, &link->end);
}

static void link_on_client_end(void *context, enum rm_err reason, const char *detail)
{
    struct link *link = context;
    link->client = NULL;
    link->wire = NULL;
    if (sm_is(&link->sm, LINK_ENDED)) {
        deferred_schedule(link->loop, &link->end);
        return;
    }
    snprintf(link->sentence, sizeof link->sentence,
             "the connection to the control plane at %s ended: %s", link->address,
             detail != NULL && detail[0] != '\0' ? detail : rm_err_text(reason));
    end(link, reason);
}

static void link_on_handshake(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct link *link = context;
    if (result != RM_OK) {
        char text[TLS_FAILURE_TEXT_BYTES];
        tls_failure_text(failure, text, sizeof text);
        snprintf(link->sentence, sizeof link->sentence,
                 "the control plane at %s was not accepted: %s", link->address, text);
        end(link,
            failure->fault == FAULT_REFUSED_BY_PEER ? RM_ERR_REFUSED_BY_PEER : RM_ERR_UNTRUSTED);
        return;
    }
    struct stream *stream = link->stream;
    link->stream = NULL;
    result = rpc_client_new(stream, link->host, link_on_client_end, link, &link->client);
    if (result != RM_OK) {
        snprintf(link->sentence, sizeof link->sentence, "%s", rm_err_text(result));
        end(link, result);
        return;
    }
    link->wire = stream;
    sm_move(&link->sm, LINK_READY);
    link->on_ready(link->context, link->client);
}

static void dial_next(struct link *link);

static void link_on_dialled(void *context, enum rm_err result, struct stream *lower)
{
    struct link *link = context;
    link->connecting = NULL;
    if (result != RM_OK) {
        snprintf(link->sentence, sizeof link->sentence,
                 "the control plane at %s does not answer: %s; is it running, and is the address "
                 "right?",
                 link->address, rm_err_text(result));
        link->reason = result;
        dial_next(link);
        return;
    }
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    const char *expected[] = {link->control_id};
    sha256(link->control_id, strlen(link->control_id), digest);
    if (spiffe_id_parse(link->control_id, strlen(link->control_id), &id, NULL) != RM_OK) {
        stream_close(lower, STREAM_CLOSE_ABORT, NULL, NULL);
        end(link, RM_ERR_INTERNAL);
        return;
    }
    spiffe_sni(&id, digest, sni);
    struct tls_session_options options = {
        .tls = link->tls,
        .sni = sni,
        .expected_ids = expected,
        .expected_count = 1,
    };
    sm_move(&link->sm, LINK_HANDSHAKE);
    result = tls_connect(lower, &options, link_on_handshake, link, &link->stream);
    if (result != RM_OK) {
        link->stream = NULL;
        snprintf(link->sentence, sizeof link->sentence, "%s", rm_err_text(result));
        end(link, result);
    }
}

static void dial_next(struct link *link)
{
    if (link->address_next == link->address_count) {
        end(link, link->reason);
        return;
    }
    struct stream_address address = {.address = link->addresses[link->address_next++]};
    address.length = address.address.ss_family == AF_INET6 ? (socklen_t)sizeof(struct sockaddr_in6)
                                                           : (socklen_t)sizeof(struct sockaddr_in);
    sm_move(&link->sm, LINK_DIAL);
    enum rm_err result = socket_connect(link->loop, &address, LINK_CONNECT_TIMEOUT_MS,
                                        link_on_dialled, link, &link->connecting);
    if (result != RM_OK) {
        snprintf(link->sentence, sizeof link->sentence, "%s: %s", link->address,
                 rm_err_text(result));
        end(link, result);
    }
}

static void link_on_resolved(void *context, enum rm_err result,
                             const struct sockaddr_storage *addresses, size_t count)
{
    struct link *link = context;
    link->lookup = NULL;
    if (result != RM_OK || count == 0) {
        snprintf(link->sentence, sizeof link->sentence,
                 "the control plane's name '%s' does not resolve: %s", link->host,
                 rm_err_text(result));
        end(link, result != RM_OK ? result : RM_ERR_NOT_FOUND);
        return;
    }
    link->address_count = count < RESOLVER_MAX_ADDRESSES ? count : RESOLVER_MAX_ADDRESSES;
    memcpy(link->addresses, addresses, link->address_count * sizeof *addresses);
    dial_next(link);
}

// "host:port" or "[v6]:port".
static enum rm_err split_address(struct link *link)
{
    const char *colon = strrchr(link->address, ':');
    char *end_of_port = NULL;
    unsigned long port = colon != NULL ? strtoul(colon + 1, &end_of_port, 10) : 0;
    if (colon == NULL || colon == link->address || port == 0 || port > 65535 ||
        *end_of_port != '\0') {
        return RM_ERR_MALFORMED;
    }
    const char *start = link->address;
    size_t length = (size_t)(colon - start);
    if (length > 2 && start[0] == '[' && start[length - 1] == ']') {
        start++;
        length -= 2;
    }
    link->port = (uint16_t)port;
    link->host = rm_strndup(start, length);
    return link->host != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err prepare(struct link *link, const struct link_options *options)
{
    link->address = rm_strdup(options->address);
    link->control_id = spiffe_control_id(options->trust_domain);
    if (link->address == NULL || link->control_id == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    RM_TRY(split_address(link));
    return resolver_lookup(link->resolver, link->host, link->port, link_on_resolved, link,
                           &link->lookup);
}

enum rm_err link_open(const struct link_options *options, link_ready_fn on_ready,
                      link_end_fn on_end, void *context, struct link **out)
{
    struct link *link = rm_calloc(1, sizeof *link);
    if (link == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    link->loop = options->loop;
    link->resolver = options->resolver;
    link->tls = tls_context_ref(options->tls);
    link->on_ready = on_ready;
    link->on_end = on_end;
    link->context = context;
    deferred_init(&link->end, link_on_end, link);
    sm_init(&link->sm, "link", 0, states, LINK_RESOLVE);
    enum rm_err result = prepare(link, options);
    if (result != RM_OK) {
        link_free(link);
        return result;
    }
    loop_open(link->loop);
    *out = link;
    return RM_OK;
}

static void cancel(struct link *link, bool is_orderly)
{
    if (sm_is(&link->sm, LINK_ENDED)) {
        return;
    }
    snprintf(link->sentence, sizeof link->sentence, "closed by us");
    if (link->client == NULL) {
        end(link, RM_ERR_CANCELLED);
        return;
    }
    // The client's end brings ours.
    sm_move(&link->sm, LINK_ENDED);
    link->reason = RM_ERR_CANCELLED;
    if (is_orderly) {
        rpc_client_drain(link->client);
    } else {
        rpc_client_abort(link->client, RM_ERR_CANCELLED);
    }
}

void link_drain(struct link *link)
{
    cancel(link, true);
}

void link_close(struct link *link)
{
    if (sm_is(&link->sm, LINK_ENDED) && link->client != NULL) {
        rpc_client_abort(link->client, RM_ERR_CANCELLED);
        return;
    }
    cancel(link, false);
}

const struct tls_failure *link_failure(const struct link *link)
{
    const struct tls_failure *failure = link->wire != NULL ? tls_stream_failure(link->wire) : NULL;
    return failure != NULL && failure->fault != FAULT_OK ? failure : NULL;
}
