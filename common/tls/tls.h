// SPDX-License-Identifier: GPL-3.0-or-later
//
// TLS 1.3 as a stream over a stream. A context is made whole from immutable material (identity,
// trust, profile) and never changed; a change makes a new one (wolfssl.md 0.2). A context belongs
// to one loop's thread; material is shared. There is no way to switch verification off: each
// constructor states how the peer is verified.
//
// Life: tls_context_new_* -> tls_accept / tls_connect -> on_ready -> an ordinary stream.
//
// Resumption (RFC 8446 2.2): a server seals what it knows of the peer into the ticket, a client
// keeps it beside the session; on either end the peer verdict runs on it again before it counts, so
// that a resumed session never outlives what a full handshake would be judged by.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/certificate.h"
#include "crypto/key.h"
#include "faults/faults.h"
#include "identity/spiffe.h"
#include "identity/trust.h"
#include "stream/stream.h"
#include "tls/pace.h"

#define TLS_HANDSHAKE_TIMEOUT_MS 10000 // whole handshake, both flights
#define TLS_ALERT_USER_CANCELED 90     // RFC 8446 6.1: a standing tunnel is ended by the mesh
#define TLS_ALPN_MAX 4                 // protocols per context
#define TLS_IDENTITY_MAX_BYTES 16384   // a whole chain; wolfSSL takes no larger Certificate message

// Our own end: chain and key. The chain is sent as it is: leaf first, then what leads to the root.
// A workload leaves the root out; the control plane sends its own, for clients that know only its
// pin. Immutable, counted, shared between threads.
struct tls_identity {
    struct chain chain;      // owned
    struct private_key *key; // owned reference
    char *spiffe_id;         // of the leaf; owned; NULL for a certificate that has none
    int64_t not_before_s;    // of the leaf
    int64_t not_after_s;     // of the leaf
    uint8_t serial[SERIAL_MAX_BYTES];
    uint8_t serial_length;
    uint32_t ref_count; // private, atomic
};
// Takes the chain (also on error), shares the key. Checks that the key belongs to the leaf.
// Errors: RM_ERR_CONFIG (mismatch; the message names both key ids), RM_ERR_MALFORMED,
// RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err tls_identity_new(struct chain *chain, struct private_key *key,
                                          struct tls_identity **out, struct rm_error *error);
struct tls_identity *tls_identity_ref(struct tls_identity *identity);
// `identity` may be NULL.
void tls_identity_unref(struct tls_identity *identity);

// --- Session tickets -----------------------------------------------------------------------------

#define TLS_TICKET_PERIOD_S                                                                        \
    3600 // a key seals tickets for so long, and opens them for as long again
// Resumptions in a row from one full handshake. wolfSSL counts them in one byte and fails the
// handshake that would overflow it (wolfssl.md 0.3); long before, a full one starts anew.
#define TLS_TICKET_MAX_GENERATION 200
#define TLS_RESUME_MAX_PEERS                                                                       \
    512 // other ends that one context keeps a session for; about 1 KiB each

// The keys of a process, shared by its workers: they never leave its memory. Thread-safe.
struct tls_ticket_keys;
// NULL when memory is exhausted.
struct tls_ticket_keys *tls_ticket_keys_new(void);
struct tls_ticket_keys *tls_ticket_keys_ref(struct tls_ticket_keys *keys);
// Wipes the keys with the last reference. `keys` may be NULL.
void tls_ticket_keys_unref(struct tls_ticket_keys *keys);

// What became of the ticket in a handshake. The names are the metric's.
#define TLS_TICKET_LIST(X)                                                                         \
    X(NONE, "none")             /* none was offered */                                             \
    X(RESUMED, "resumed")       /* the session goes on */                                          \
    X(UNREADABLE, "unreadable") /* server: not under our keys, or for another name */              \
    X(WORN, "worn")             /* server: resumed too often in a row */                           \
    X(DENIED, "denied")         /* the verdict on its identity says no by now */                   \
    X(SECOND_IDENTITY,                                                                             \
      "second_identity")    /* server: two tickets of different peers in one hello */              \
    X(DECLINED, "declined") /* a full handshake was made all the same */

enum tls_ticket_use {
#define TLS_TICKET_ENUM(name, text) TLS_TICKET_##name,
    TLS_TICKET_LIST(TLS_TICKET_ENUM)
#undef TLS_TICKET_ENUM
        TLS_TICKET_USE_COUNT,
};
// Static.
const char *tls_ticket_use_name(enum tls_ticket_use use);

// Facts of a finished handshake, and names of what went wrong. Borrowed from the stream.
struct tls_facts {
    const char *version;        // "TLSv1.3"; static
    const char *suite;          // "TLS_AES_128_GCM_SHA256"; static
    const char *group;          // "X25519MLKEM768"; static
    char alpn[32];              // chosen protocol, "" when none
    const char *sni;            // sent or received, "" when none; the stream's
    bool is_resumed;            // ticket is TLS_TICKET_RESUMED
    enum tls_ticket_use ticket; // what became of it
    bool is_server;             // our role
    const char *local_id;       // SPIFFE ID that we showed; NULL: none
    uint32_t handshake_ms;      // from start to finish
};

struct tls_failure {
    enum fault fault;       // OK while all is well
    uint8_t alert_received; // TLS alert number; 0 (close_notify) when none
    uint8_t alert_sent;     // the same
    char detail[256];       // wanted and found, dates, clock: for people; "" when none
};
#define TLS_FAILURE_TEXT_BYTES 640 // a fault's sentence and its detail
// Of the fault: for logs and metrics; "refused_by_peer(<alert>)" keeps only "refused_by_peer" here.
// Static.
const char *tls_failure_name(const struct tls_failure *failure);
// One sentence: what (wanted and found), likely cause, what to do. `out` is always terminated.
void tls_failure_text(const struct tls_failure *failure, char *out, size_t out_bytes);
// "certificate_expired" for 45. "unknown" for numbers that no RFC assigns. Static.
const char *tls_alert_name(uint8_t alert);

struct tls_context;

// What decides on the peer. Borrowed pointers must outlive the context; trust is referenced.
struct tls_spiffe_profile {
    struct tls_identity *identity; // shown to the peer; referenced; NULL only for a client that
                                   // has none yet (token bootstrap)
    struct trust_snapshot *trust;  // whose roots count; referenced
    const char *const *alpn;       // offered or accepted; copied
    size_t alpn_count;             // 0 only where ALPN is not required: offers are then ignored
    bool is_alpn_required;         // absent ALPN is refused (tunnel port, control plane)
    // Server: false only for the control-plane port, where bootstrap comes without one.
    bool is_client_certificate_required;
    bool is_sni_strict;           // server: absent or unknown SNI is refused
    const char *const *own_names; // server, when strict: SNI values that are ours; copied
    size_t own_name_count;
    // Server: other identities behind the same port, each answering for its own names; without
    // siblings of their own; referenced. A hello that names none of them is met by this context.
    struct tls_context *const *siblings;
    size_t sibling_count;
    struct tls_ticket_keys *ticket_keys; // resumption in both roles; referenced; NULL: none
};

// Both ends SPIFFE: sidecar to sidecar, edge with SPIFFE clients, control-plane port. One context
// serves accepts and connects. Errors: RM_ERR_CRYPTO, RM_ERR_NO_MEMORY, RM_ERR_CONFIG.
RM_NODISCARD enum rm_err tls_context_new_spiffe(const struct tls_spiffe_profile *profile,
                                                struct tls_context **out, struct rm_error *error);
// A client whose server is pinned: before any trust bundle is known, the server must prove exactly
// `control_id` (spiffe://td/remora/control) under a root whose SPKI SHA-256 is one of `pins`, sent
// in its chain. No client certificate. ALPN "h2".
RM_NODISCARD enum rm_err tls_context_new_pinned(const char *control_id,
                                                const uint8_t (*pins)[KEY_ID_BYTES],
                                                size_t pin_count, struct tls_context **out,
                                                struct rm_error *error);
struct tls_context *tls_context_ref(struct tls_context *context);
// Live sessions keep what they need. `context` may be NULL.
void tls_context_unref(struct tls_context *context);
// For trust with the same roots (trust_same_roots) and other withdrawals: verdicts use it from now
// on. Nothing else of a context ever changes.
void tls_context_set_trust(struct tls_context *context, struct trust_snapshot *trust);
// The context is replaced: sessions kept for resumption are forgotten, also those that live
// connections would still bring. `context` may be NULL.
void tls_context_retire(struct tls_context *context);

// Called once when the handshake ended: RM_OK, or an error with `failure` (borrowed for the call).
// On RM_OK the stream is ready: the first bytes written in this call ride with the client's
// Finished. On an error the user still closes the stream.
typedef void (*tls_ready_fn)(void *context, enum rm_err result, const struct tls_failure *failure);

struct tls_session_options {
    struct tls_context *tls; // referenced
    const char *sni;         // client: server name to send; NULL: none
    const char *const
        *expected_ids; // the peer must prove one of these; NULL: any trusted one; copied
    size_t expected_count;
    const char *const *alpn; // client: offered here instead of the context's; NULL: all
    size_t alpn_count;
    struct tls_pace *pace;  // the loop's; borrowed until the handshake ended; NULL: none
    uint32_t timeout_ms;    // of the handshake; 0: TLS_HANDSHAKE_TIMEOUT_MS
    const void *resume_key; // client: names the other end (its address); borrowed for the call;
                            // NULL: full handshake
    size_t resume_key_length;
};
// Puts TLS on `lower`, which it takes (also on error). *out is given at once, for stream_close();
// reads and writes work after on_ready(RM_OK).
RM_NODISCARD enum rm_err tls_accept(struct stream *lower, const struct tls_session_options *options,
                                    tls_ready_fn on_ready, void *context, struct stream **out);
RM_NODISCARD enum rm_err tls_connect(struct stream *lower,
                                     const struct tls_session_options *options,
                                     tls_ready_fn on_ready, void *context, struct stream **out);

// Facts of a ready TLS stream; NULL when `stream` is not TLS.
const struct tls_facts *tls_stream_facts(const struct stream *stream);
// True while a handshake waits for a turn of ours rather than for its peer.
bool tls_stream_is_waiting(const struct stream *stream);
// Why a TLS stream failed, during or after the handshake; NULL when `stream` is not TLS.
const struct tls_failure *tls_stream_failure(const struct stream *stream);
// Ends a tunnel on the mesh's behalf: sends user_canceled, then closes (STREAM_CLOSE_ABORT
// follows).
void tls_stream_cancel(struct stream *stream);
