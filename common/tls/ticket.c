// SPDX-License-Identifier: GPL-3.0-or-later
//
// A server's tickets. wolfSSL's own part holds the session's secret; ours, behind it, holds what a
// verdict needs, since nothing of the peer's certificate survives in a resumed session:
//
//   version 1 | generation 1 | id length 1 | serial length 1 | notAfter 8 | leaf's notBefore 8 |
//   issuer key id 32 | root key id 32 | serial | SPIFFE ID | length of all this 2
//
// Both are sealed as one, bound to our identity, the context's profile, SNI and ALPN.
#include <string.h>

#include "tls/tls_internal.h"

#define TICKET_VERSION 1
#define TICKET_DATES_AT 4
#define TICKET_ISSUER_AT (TICKET_DATES_AT + 16)
#define TICKET_ANCHOR_AT (TICKET_ISSUER_AT + KEY_ID_BYTES)
#define TICKET_SERIAL_AT (TICKET_ANCHOR_AT + KEY_ID_BYTES)
#define TICKET_LENGTH_BYTES 2
#define TICKET_FIXED_BYTES (TICKET_SERIAL_AT + TICKET_LENGTH_BYTES)

enum { TICKET_AT_VERSION, TICKET_AT_GENERATION, TICKET_AT_ID_LENGTH, TICKET_AT_SERIAL_LENGTH };

static const char *const use_names[TLS_TICKET_USE_COUNT] = {
#define USE_NAME(name, text) text,
    TLS_TICKET_LIST(USE_NAME)
#undef USE_NAME
};

const char *tls_ticket_use_name(enum tls_ticket_use use)
{
    return use_names[(unsigned)use < TLS_TICKET_USE_COUNT ? use : TLS_TICKET_NONE];
}

// --- Our part of a ticket ------------------------------------------------------------------------

static void put_i64(uint8_t *out, int64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    }
}

static int64_t get_i64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return (int64_t)value;
}

static size_t ticket_bytes_for(const struct peer *peer)
{
    return TICKET_FIXED_BYTES + peer->serial_length + peer->spiffe_id_length;
}

static void ticket_put_length(uint8_t *bytes, size_t length)
{
    bytes[length - 2] = (uint8_t)(length >> 8);
    bytes[length - 1] = (uint8_t)length;
}

static size_t ticket_encode(const struct peer *peer, uint8_t bytes[TLS_TICKET_EXTRA_BYTES])
{
    size_t length = ticket_bytes_for(peer);
    bytes[TICKET_AT_VERSION] = TICKET_VERSION;
    bytes[TICKET_AT_GENERATION] = 0;
    bytes[TICKET_AT_ID_LENGTH] = (uint8_t)peer->spiffe_id_length;
    bytes[TICKET_AT_SERIAL_LENGTH] = peer->serial_length;
    put_i64(bytes + TICKET_DATES_AT, peer->not_after_s);
    put_i64(bytes + TICKET_DATES_AT + 8, peer->leaf_not_before_s);
    memcpy(bytes + TICKET_ISSUER_AT, peer->issuer_key_id, KEY_ID_BYTES);
    memcpy(bytes + TICKET_ANCHOR_AT, peer->anchor_key_id, KEY_ID_BYTES);
    memcpy(bytes + TICKET_SERIAL_AT, peer->serial, peer->serial_length);
    memcpy(bytes + TICKET_SERIAL_AT + peer->serial_length, peer->spiffe_id, peer->spiffe_id_length);
    ticket_put_length(bytes, length);
    return length;
}

// The facts that `bytes` carry; the SPIFFE ID borrows them. False when they are not ours.
static bool ticket_decode(const uint8_t *bytes, size_t length, struct chain_facts *facts)
{
    if (length < TICKET_FIXED_BYTES || bytes[TICKET_AT_VERSION] != TICKET_VERSION ||
        bytes[TICKET_AT_SERIAL_LENGTH] > SERIAL_MAX_BYTES ||
        length != (size_t)TICKET_FIXED_BYTES + bytes[TICKET_AT_SERIAL_LENGTH] +
                      bytes[TICKET_AT_ID_LENGTH]) {
        return false;
    }
    struct peer peer = {
        .serial_length = bytes[TICKET_AT_SERIAL_LENGTH],
        .not_after_s = get_i64(bytes + TICKET_DATES_AT),
        .leaf_not_before_s = get_i64(bytes + TICKET_DATES_AT + 8),
        .spiffe_id = (const char *)bytes + TICKET_SERIAL_AT + bytes[TICKET_AT_SERIAL_LENGTH],
        .spiffe_id_length = bytes[TICKET_AT_ID_LENGTH],
    };
    memcpy(peer.serial, bytes + TICKET_SERIAL_AT, peer.serial_length);
    memcpy(peer.issuer_key_id, bytes + TICKET_ISSUER_AT, KEY_ID_BYTES);
    memcpy(peer.anchor_key_id, bytes + TICKET_ANCHOR_AT, KEY_ID_BYTES);
    verdict_facts_of_peer(&peer, facts);
    return true;
}

// --- What a ticket belongs to --------------------------------------------------------------------

void tls_ticket_bind(struct tls_context *context)
{
    struct sha256_input {
        char label[16];
        uint8_t is_alpn_required;
        uint8_t is_certificate_required;
        uint8_t is_sni_strict;
        uint8_t identity[SHA256_BYTES];
    } input = {
        .label = "remora-ticket-1",
        .is_alpn_required = context->is_alpn_required,
        .is_certificate_required = context->is_certificate_required,
        .is_sni_strict = context->is_sni_strict,
    };
    const char *id = context->identity == NULL ? NULL : context->identity->spiffe_id;
    if (id != NULL) {
        sha256(id, strlen(id), input.identity);
    }
    sha256(&input, sizeof(input), context->ticket_binding);
}

static struct tls_ticket_binding ticket_binding(const struct tls_session *session)
{
    struct input {
        uint8_t context[SHA256_BYTES];
        char sni[SPIFFE_SNI_BYTES];
        char alpn[sizeof(session->facts.alpn)];
    } input = {0};
    struct tls_ticket_binding binding;
    char *alpn = NULL;
    unsigned short length = 0;
    memcpy(input.context, session->context->ticket_binding, sizeof(input.context));
    memcpy(input.sni, tls_session_sni(session), strlen(tls_session_sni(session)));
    if (wolfSSL_ALPN_GetProtocol(session->ssl, &alpn, &length) == WOLFSSL_SUCCESS && alpn != NULL &&
        length < sizeof(input.alpn)) {
        memcpy(input.alpn, alpn, length);
    }
    sha256(&input, sizeof(input), binding.digest);
    return binding;
}

// --- Made ----------------------------------------------------------------------------------------

void tls_ticket_consider(struct tls_session *session)
{
    bool fits = session->peer != NULL && session->peer->spiffe_id_length <= UINT8_MAX &&
                ticket_bytes_for(session->peer) <= TLS_TICKET_EXTRA_BYTES;
    if (session->context->ticket_keys != NULL && !fits) {
        (void)wolfSSL_no_ticket_TLSv13(session->ssl);
    }
}

// Our part of the next ticket: of the peer just judged, or of the ticket that was resumed.
static size_t ticket_compose(const struct tls_session *session,
                             uint8_t bytes[TLS_TICKET_EXTRA_BYTES])
{
    const struct tls_offer *offer = &session->handshake->offer;
    if (wolfSSL_session_reused(session->ssl) != 1) {
        return session->peer == NULL ? 0 : ticket_encode(session->peer, bytes);
    }
    if (!offer->is_allowed) {
        return 0;
    }
    memcpy(bytes, offer->bytes, offer->length);
    bytes[TICKET_AT_GENERATION]++; // below TLS_TICKET_MAX_GENERATION before
    return offer->length;
}

static int ticket_seal(struct tls_session *session, unsigned char *name, unsigned char *iv,
                       unsigned char *mac, unsigned char *bytes, int length, int *out_length)
{
    uint8_t ours[TLS_TICKET_EXTRA_BYTES];
    size_t ours_length = ticket_compose(session, ours);
    if (ours_length == 0 || ours_length > (size_t)(*out_length - length)) {
        return WOLFSSL_TICKET_RET_FATAL;
    }
    struct tls_ticket_binding binding = ticket_binding(session);
    memcpy(bytes + length, ours, ours_length);
    *out_length = length + (int)ours_length;
    return tls_ticket_keys_seal(session->context->ticket_keys, &binding, name, iv, mac, bytes,
                                (size_t)*out_length)
               ? WOLFSSL_TICKET_RET_OK
               : WOLFSSL_TICKET_RET_FATAL;
}

// --- Believed ------------------------------------------------------------------------------------

static enum tls_ticket_use ticket_judge(const struct tls_session *session)
{
    const struct tls_offer *offer = &session->handshake->offer;
    struct chain_facts facts;
    if (!ticket_decode(offer->bytes, offer->length, &facts)) {
        return TLS_TICKET_UNREADABLE;
    }
    if (offer->bytes[TICKET_AT_GENERATION] >= TLS_TICKET_MAX_GENERATION) {
        return TLS_TICKET_WORN;
    }
    return tls_session_still_allows(session, &facts) ? TLS_TICKET_DECLINED : TLS_TICKET_DENIED;
}

// Tickets travel in clear, so a ClientHello may carry a victim's beside its own, and wolfSSL opens
// tickets that it does not choose in the end (wolfssl.md 0.4): the first one that opens is the only
// one. The same again, after a HelloRetryRequest, is normal.
static bool offer_take(struct tls_offer *offer, const uint8_t *ours, size_t length)
{
    if (offer->length > 0) {
        return offer->length == length && memcmp(offer->bytes, ours, length) == 0;
    }
    memcpy(offer->bytes, ours, length);
    offer->length = length;
    return true;
}

static int ticket_open(struct tls_session *session, unsigned char *name, unsigned char *iv,
                       unsigned char *mac, unsigned char *bytes, int length, int *out_length)
{
    struct tls_offer *offer = &session->handshake->offer;
    struct tls_ticket_binding binding = ticket_binding(session);
    if (length < TICKET_LENGTH_BYTES ||
        !tls_ticket_keys_open(session->context->ticket_keys, &binding, name, iv, mac, bytes,
                              (size_t)length)) {
        offer->use = offer->length > 0 ? offer->use : TLS_TICKET_UNREADABLE;
        return WOLFSSL_TICKET_RET_REJECT;
    }
    size_t ours_length = (size_t)bytes[length - 2] << 8 | bytes[length - 1];
    if (ours_length == 0 || ours_length > TLS_TICKET_EXTRA_BYTES || ours_length >= (size_t)length) {
        return WOLFSSL_TICKET_RET_REJECT; // sealed by us, so this cannot be
    }
    if (!offer_take(offer, bytes + length - ours_length, ours_length)) {
        offer->use = TLS_TICKET_SECOND_IDENTITY;
        return WOLFSSL_TICKET_RET_REJECT;
    }
    offer->use = ticket_judge(session);
    offer->is_allowed = offer->use == TLS_TICKET_DECLINED;
    *out_length = length - (int)ours_length;
    return offer->is_allowed ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_REJECT;
}

struct peer *tls_ticket_peer(const struct tls_session *session)
{
    const struct tls_offer *offer = &session->handshake->offer;
    struct chain_facts facts;
    if (!offer->is_allowed || !ticket_decode(offer->bytes, offer->length, &facts)) {
        return NULL;
    }
    return peer_new(&facts, true);
}

int tls_ticket_on_library(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                          unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                          unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int is_sealing,
                          unsigned char *bytes, int length, int *out_length, void *context)
{
    struct tls_session *session = wolfSSL_GetIOReadCtx(ssl);
    (void)context;
    if (session->handshake == NULL || session->context->ticket_keys == NULL || length < 0) {
        return WOLFSSL_TICKET_RET_FATAL; // tickets belong to handshakes
    }
    return is_sealing ? ticket_seal(session, name, iv, mac, bytes, length, out_length)
                      : ticket_open(session, name, iv, mac, bytes, length, out_length);
}
