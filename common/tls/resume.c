// SPDX-License-Identifier: GPL-3.0-or-later
//
// A client's sessions, one per other end: the newest ticket wins. They belong to one context, so a
// new identity or bundle, which makes a new context, starts without any. Beside each session is the
// peer that its handshake proved; the verdict judges it anew each time before it is offered.
#include <string.h>

#include "base/alloc.h"
#include "tls/tls_internal.h"

// One other end. Shared by the map and by sessions that may still get a ticket.
struct tls_resumable {
    struct list node;             // of owner->by_use; alone once forgotten
    struct tls_resumables *owner; // borrowed; NULL once forgotten
    WOLFSSL_SESSION *library;     // owned reference; NULL: nothing to resume
    struct peer *peer;            // owned reference; of `library`
    uint32_t ref_count;           // one thread
    size_t key_length;            // of key
    uint8_t key[];                // what the user calls the other end, and the SNI
};

struct tls_resumables {
    struct map *by_key; // struct tls_resumable *
    struct list by_use; // least recently used first
    bool is_retired;    // keeps nothing more
};

static void resumable_drop(struct tls_resumable *resumable)
{
    wolfSSL_SESSION_free(resumable->library);
    peer_unref(resumable->peer);
    resumable->library = NULL;
    resumable->peer = NULL;
}

void tls_resumable_unref(struct tls_resumable *resumable)
{
    if (resumable == NULL || --resumable->ref_count > 0) {
        return;
    }
    resumable_drop(resumable);
    rm_free(resumable);
}

static void resumable_forget(struct tls_resumable *resumable)
{
    (void)map_remove(resumable->owner->by_key, resumable->key, resumable->key_length);
    list_remove(&resumable->node);
    resumable->owner = NULL;
    resumable_drop(resumable);
    tls_resumable_unref(resumable);
}

// --- All of a context ----------------------------------------------------------------------------

struct tls_resumables *tls_resumables_new(void)
{
    struct tls_resumables *resumables = rm_calloc(1, sizeof(*resumables));
    struct map *map = map_new();
    if (resumables == NULL || map == NULL) {
        rm_free(resumables);
        map_free(map);
        return NULL;
    }
    resumables->by_key = map;
    list_init(&resumables->by_use);
    return resumables;
}

void tls_resumables_clear(struct tls_resumables *resumables)
{
    resumables->is_retired = true;
    list_each_safe (node, following, &resumables->by_use) {
        resumable_forget(list_entry(node, struct tls_resumable, node));
    }
}

void tls_resumables_free(struct tls_resumables *resumables)
{
    if (resumables == NULL) {
        return;
    }
    tls_resumables_clear(resumables);
    map_free(resumables->by_key);
    rm_free(resumables);
}

static struct tls_resumable *resumable_new(struct tls_resumables *owner, const uint8_t *key,
                                           size_t length)
{
    struct tls_resumable *resumable = rm_calloc(1, sizeof(*resumable) + length);
    if (resumable == NULL) {
        return NULL;
    }
    resumable->owner = owner;
    resumable->ref_count = 1;
    resumable->key_length = length;
    memcpy(resumable->key, key, length);
    if (map_put(owner->by_key, key, length, resumable, NULL) != RM_OK) {
        rm_free(resumable);
        return NULL;
    }
    list_append(&owner->by_use, &resumable->node);
    return resumable;
}

// Found or made, and the most recently used one now. NULL when memory is exhausted.
static struct tls_resumable *resumables_use(struct tls_resumables *resumables, const uint8_t *key,
                                            size_t length)
{
    struct tls_resumable *resumable = map_get(resumables->by_key, key, length);
    if (resumable != NULL) {
        list_remove(&resumable->node);
        list_append(&resumables->by_use, &resumable->node);
        return resumable;
    }
    if (map_count(resumables->by_key) >= TLS_RESUME_MAX_PEERS) {
        resumable_forget(list_entry(list_first(&resumables->by_use), struct tls_resumable, node));
    }
    return resumable_new(resumables, key, length);
}

// --- One handshake -------------------------------------------------------------------------------

static bool resume_is_allowed(const struct tls_session *session, const struct peer *peer)
{
    struct chain_facts facts;
    verdict_facts_of_peer(peer, &facts);
    return tls_session_still_allows(session, &facts);
}

static int resume_on_ticket(WOLFSSL *ssl, const unsigned char *ticket, int length, void *context)
{
    (void)ssl;
    (void)ticket;
    (void)length;
    ((struct tls_session *)context)->has_new_ticket = true; // wolfSSL is not done with it yet
    return 0;
}

// wolfSSL makes a copy of the session before a handshake changes it, so that several connections
// may start from one ticket.
static void resume_offer(struct tls_session *session, struct tls_resumable *resumable)
{
    if (!resume_is_allowed(session, resumable->peer)) {
        session->facts.ticket = TLS_TICKET_DENIED;
        resumable_drop(resumable);
    } else if (wolfSSL_set_session(session->ssl, resumable->library) == WOLFSSL_SUCCESS) {
        session->facts.ticket = TLS_TICKET_DECLINED; // until the server says otherwise
        session->handshake->offered_peer = peer_ref(resumable->peer);
    } else {
        resumable_drop(resumable); // its lifetime is over
    }
}

enum rm_err tls_resume_prepare(struct tls_session *session,
                               const struct tls_session_options *options)
{
    struct tls_resumables *resumables = session->context->resumables;
    if (session->is_server || resumables == NULL || resumables->is_retired ||
        options->resume_key == NULL) {
        return RM_OK;
    }
    size_t sni_length = strlen(tls_session_sni(session)) + 1;
    size_t length = sni_length + options->resume_key_length;
    uint8_t *key = rm_malloc(length);
    if (key == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    memcpy(key, tls_session_sni(session), sni_length);
    memcpy(key + sni_length, options->resume_key, options->resume_key_length);
    struct tls_resumable *resumable = resumables_use(resumables, key, length);
    rm_free(key);
    if (resumable == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    resumable->ref_count++;
    session->resumable = resumable;
    wolfSSL_set_SessionTicket_cb(session->ssl, resume_on_ticket, session);
    if (resumable->library != NULL) {
        resume_offer(session, resumable);
    }
    return RM_OK;
}

void tls_resume_keep(struct tls_session *session)
{
    struct tls_resumable *resumable = session->resumable;
    session->has_new_ticket = false;
    if (resumable == NULL || resumable->owner == NULL || session->peer == NULL) {
        return;
    }
    resumable_drop(resumable);
    resumable->library = wolfSSL_get1_session(session->ssl);
    if (resumable->library != NULL) {
        resumable->peer = peer_ref(session->peer);
    }
}
