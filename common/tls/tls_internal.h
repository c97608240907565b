// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the files of this room share:
//
//   library.c    wolfSSL prepared once: clock, priorities
//   context.c    contexts of both profiles
//   open.c       a session is made
//   session.c    a session's life as a stream
//   handshake.c  the handshake's steps and its end
//   pace.c       how many steps a turn of the loop makes
//   bytes.c      the byte path
//   hello.c      SNI and ALPN
//   select.c     which context answers a hello, where there are several
//   ticket.c     a server's tickets: what is in them, which are believed
//   ticket_keys.c  their keys
//   resume.c     a client's sessions, kept per other end
//   verify.c     the SPIFFE profile: library, anchor, verdict
//   pinned.c     the pinned profile
//   refuse.c     why certificates were refused
//   failure.c    foreign codes become faults
//   explain.c    sentences about chains, dates and alerts
//   found.c      what the peer's hello offered or chose
//   text.c       the sentence for people
//   alert.c      names of alerts
//   probe*.c     a look at servers that are not trusted: no stream, no traffic
#pragma once

// options.h first: it holds the settings the library was built with.
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/settings.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/machine.h"
#include "base/map.h"
#include "crypto/crypto.h"
#include "identity/verdict.h"
#include "tls/tls.h"

#define TLS_RECORD_MAX_BYTES 16384   // RFC 8446 5.1: plaintext of one record
#define TLS_RECORD_HEADER_BYTES 5    // RFC 8446 5.1
#define TLS_RECORD_OVERHEAD_BYTES 22 // header, content type, tag: RFC 8446 5.2
#define TLS_HELLO_MAX_BYTES (TLS_RECORD_HEADER_BYTES + TLS_RECORD_MAX_BYTES) // in one record
// Room that application bytes leave free for what TLS itself must say: close_notify, alerts,
// answers to key updates (27 bytes each). A peer that provokes more than this in one read floods
// us.
#define TLS_ANSWER_MAX_BYTES 1024
// Less room than this waits for the queue to drain instead of making a tiny record.
#define TLS_RECORD_WORTH_BYTES 1024
// A record is of use to its reader only when all of it has arrived. At the start of a burst records
// fit one segment, even over IPv6 with time stamps in a tunnel (MTU 1420), so that the first
// segment can be read at once.
#define TLS_RECORD_SMALL_BYTES (1348 - TLS_RECORD_OVERHEAD_BYTES)
// The first two flights of slow start, 10 and 20 segments (RFC 6928 2): a full record would not fit
// what is left of them and wait for a round trip.
#define TLS_BURST_SMALL_BYTES (30 * TLS_RECORD_SMALL_BYTES)
// After so long without output a new burst begins: TCP starts slowly again after a retransmission
// time-out of silence (RFC 5681 4.1), which is 1 s on a path not yet measured (RFC 6298 2.1).
#define TLS_BURST_SILENCE_MS 1000
// A HelloRetryRequest is smaller, a server's whole first flight always larger.
#define TLS_RETRY_REQUEST_MAX_BYTES 256
// Of the peer's first flight, kept to tell what it is and what it offers should the handshake fail.
// Versions, suites and groups come early in every hello; key shares and tickets may be cut off.
#define TLS_FIRST_BYTES 1024

// --- Context -------------------------------------------------------------------------------------

// The pinned profile's part of a context.
struct tls_pins {
    char *control_id;                 // owned: the only SPIFFE ID that will do
    char *trust_domain;               // owned: its trust domain
    uint8_t (*key_ids)[KEY_ID_BYTES]; // owned: SHA-256 of acceptable roots' SPKI
    size_t count;                     // of key_ids
};

struct tls_context {
    WOLFSSL_CTX *client;           // owned
    WOLFSSL_CTX *server;           // owned; NULL without an identity
    struct tls_identity *identity; // owned reference; may be NULL
    struct trust_snapshot *trust;  // owned reference; NULL when pinned
    struct tls_pins *pins;         // owned; NULL unless pinned
    struct link_cache *links;      // owned: of the peers' chains; NULL when pinned
    char *alpn[TLS_ALPN_MAX];      // owned
    size_t alpn_count;             // of alpn
    char **own_names;              // owned; strict SNI
    size_t own_name_count;         // of own_names
    struct tls_context **siblings; // owned references: answer for their own names at the same port
    size_t sibling_count;          // of siblings
    struct tls_ticket_keys *ticket_keys;  // owned reference; NULL: no resumption
    uint8_t ticket_binding[SHA256_BYTES]; // what a ticket belongs to: our identity, this profile
    struct tls_resumables *resumables;    // owned; NULL: a client here never resumes
    bool is_alpn_required;                // absent ALPN is refused
    bool is_certificate_required;         // server: a client without certificate is refused
    bool is_sni_strict;                   // server: absent or unknown SNI is refused
    uint32_t ref_count;                   // one thread
};

// Gives wolfSSL our clock, once per process.
void tls_library_prepare(void);
// Suites in the order that fits the CPU, for wolfSSL_CTX_set_cipher_list(). Static.
const char *tls_library_suites(void);
// IANA's name of the group a finished handshake used. Static.
const char *tls_library_group(WOLFSSL *ssl);

// --- Session -------------------------------------------------------------------------------------

enum tls_state {
    TLS_HANDSHAKING, // wolfSSL asks for flights
    TLS_READY,       // an ordinary stream; errors are in read_status and write_status
    TLS_FAILED,      // the handshake failed; waits for stream_close()
    TLS_FLUSHING,    // closed by the user; the last bytes are on their way
    TLS_CLOSING,     // the lower stream is closing
};

// Room that wolfSSL leaves in a ticket for what we add (deploy/install-deps.sh).
#define TLS_TICKET_EXTRA_BYTES WOLFSSL_TICKET_EXTRA_PADDING_SZ

// The first readable ticket of a ClientHello; no other one is believed on that connection.
struct tls_offer {
    uint8_t bytes[TLS_TICKET_EXTRA_BYTES]; // our part of it
    size_t length;                         // of bytes; 0: none was readable
    bool is_allowed;                       // the verdict said IDENTITY
    enum tls_ticket_use use;               // so far
};

// What only the handshake needs; freed when it succeeds.
struct tls_handshake {
    struct tls_session *session;    // it belongs to
    struct tls_pace *pace;          // borrowed; NULL: each step is made at once
    struct list paced;              // among those that wait for their turn
    tls_ready_fn on_ready;          // NULL once it was called
    void *ready_context;            // for on_ready
    char **expected_ids;            // owned; NULL: any trusted identity
    size_t expected_count;          // of expected_ids
    uint64_t started_ms;            // loop time
    uint8_t first[TLS_FIRST_BYTES]; // the peer's very first bytes
    size_t first_length;            // of first
    size_t sent_length;             // bytes that wolfSSL gave to send
    char alpn_offered[64];          // what the client offered, for people; "" when unknown
    bool is_anonymous;              // the client showed no certificate, and may
    struct buffer hello;            // server with siblings: what of the first record came
    struct tls_offer offer;         // server: what the ClientHello's tickets said
    struct peer *offered_peer;      // client: whose session is offered; owned; NULL: none
};

struct tls_session {
    struct stream base;               // first: this is a stream
    struct stream *lower;             // owned until its on_closed
    struct tls_context *context;      // owned reference
    WOLFSSL *ssl;                     // owned
    struct sm sm;                     // enum tls_state
    struct tls_handshake *handshake;  // owned; NULL after a good handshake
    struct tls_failure *failure;      // owned; NULL while all is well
    struct peer *peer;                // owned reference; NULL until a verdict said IDENTITY
    struct tls_resumable *resumable;  // client: where tickets go; owned reference; NULL: nowhere
    uint8_t *input;                   // chunk read ahead from the lower stream; NULL when drained
    size_t input_start;               // first byte that wolfSSL has not taken
    size_t input_end;                 // after the last
    uint8_t *output;                  // chunk of ciphertext on its way; NULL when drained
    size_t output_start;              // first byte that the lower stream has not taken
    size_t output_end;                // after the last
    enum rm_err lower_status;         // RM_OK, or how reading the lower stream ended
    enum rm_err read_status;          // RM_OK, or how reading ended, for good
    enum rm_err lost_status;          // RM_OK, or how writing the lower stream failed
    enum rm_err write_status;         // RM_OK, or why writing ended, for good
    unsigned wanted;                  // by the user
    uint32_t answered_bytes;          // output that a read provoked since it began
    uint32_t burst_bytes;             // written since the last silence, up to TLS_BURST_SMALL_BYTES
    uint64_t burst_ms;                // loop time of the last write
    struct deferred turn;             // flushes, and calls the user where no socket event would
    struct timer timer;               // handshake deadline, later the linger
    struct chunk_waiter chunk_waiter; // queued while is_starved
    bool is_server;                   // our role
    bool is_reading;                  // inside a read: output is an answer and counted
    bool is_refilled;                 // the lower stream was read once in this read
    bool is_starved;                  // waits for a chunk
    bool may_read;                    // a chunk came free: a read may succeed now
    bool is_output_blocked;           // the lower stream took less than was offered
    bool is_finished;                 // nothing more will be written but close_notify
    bool owes_end;                    // close_notify waits for a chunk
    bool is_cancelled;                // user_canceled is in the output
    bool is_cancelled_by_peer;        // user_canceled arrived
    bool is_lower_broken;             // a write to the lower stream failed
    bool has_new_ticket;              // came in this read
    char *sni;                        // sent or received; owned; NULL: none
    struct tls_facts facts;           // valid when ready
};

extern const struct stream_ops tls_stream_ops;
extern const struct sm_state tls_session_states[]; // by enum tls_state
static inline struct tls_session *tls_session_of(struct stream *stream)
{
    return (struct tls_session *)(void *)stream; // base is first
}

// session.c
// Sets what the session waits for after anything changed.
void tls_session_arm(struct tls_session *session);
void tls_session_on_lower(void *context, unsigned events);
void tls_session_on_turn(void *context);
void tls_session_on_timer(void *context);
void tls_session_on_chunk(void *context);
// Frees everything; the lower stream is closed or was never owned.
void tls_session_free(struct tls_session *session);
// Waits for a chunk of memory; the session's turn comes when there is one.
void tls_session_starve(struct tls_session *session);
void tls_handshake_free(struct tls_handshake *handshake);

// open.c
// Copies whom the peer must prove to be. Errors: RM_ERR_CONFIG, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err tls_session_expect(struct tls_session *session,
                                            const struct tls_session_options *options);

// What a failure says while nothing failed.
extern const struct tls_failure tls_no_failure;

// handshake.c
void tls_handshake_step(struct tls_session *session);
// Ends the handshake as failed; session->failure is filled. Tells the user.
void tls_handshake_fail(struct tls_session *session, enum rm_err result);

// pace.c
// Makes the next step of the handshake, now or when its turn comes.
void tls_pace_step(struct tls_session *session);
// It has a step to make and waits for a turn of ours, not for the peer.
bool tls_pace_is_waiting(const struct tls_session *session);

// bytes.c
int tls_bytes_receive(WOLFSSL *ssl, char *buffer, int size, void *context); // wolfSSL's callbacks
int tls_bytes_send(WOLFSSL *ssl, char *bytes, int size, void *context);
enum rm_err tls_bytes_read(struct tls_session *session, uint8_t *bytes, size_t capacity,
                           size_t *length);
enum rm_err tls_bytes_write(struct tls_session *session, const struct iovec *parts, int count,
                            size_t *written);
// Offers the lower stream what waits. Errors end up in write_status.
void tls_bytes_flush(struct tls_session *session);
// Makes sure there is memory for output; false: the session waits for a chunk.
bool tls_bytes_reserve(struct tls_session *session);
// Keeps the peer's very first bytes, to tell what it is if it is not TLS.
void tls_bytes_keep_first(struct tls_session *session, const uint8_t *bytes, size_t length);
void tls_bytes_drop_input(struct tls_session *session);
void tls_bytes_drop_output(struct tls_session *session);
bool tls_bytes_has_input(const struct tls_session *session);
bool tls_bytes_has_output(const struct tls_session *session);
// The lower stream failed a write and it is not yet known why: look when it can be read.
bool tls_bytes_is_lost(const struct tls_session *session);
void tls_bytes_look(struct tls_session *session);
// True when a write would be taken, or would tell why not.
bool tls_bytes_is_open(const struct tls_session *session);

// hello.c
// "" when there is none. Borrowed from the session.
const char *tls_session_sni(const struct tls_session *session);
// True when `name` is one of the context's own.
bool tls_context_knows(const struct tls_context *context, const char *name);
// Per-session SNI and ALPN of a client; ALPN of a server.
RM_NODISCARD enum rm_err tls_hello_prepare(struct tls_session *session,
                                           const struct tls_session_options *options);
// wolfSSL calls it on each ClientHello, with or without SNI in it.
int tls_hello_on_client(WOLFSSL *ssl, int *alert, void *context);
// Both ends, after the handshake: fills alpn and sni of the facts; false when ALPN is required and
// was not negotiated (session->failure says so).
bool tls_hello_check(struct tls_session *session);

// open.c
// Makes wolfSSL's part of a session for session->context. Errors: RM_ERR_NO_MEMORY, RM_ERR_CONFIG.
RM_NODISCARD enum rm_err tls_session_begin_library(struct tls_session *session,
                                                   const struct tls_session_options *options);

// select.c
// RM_OK: wolfSSL may go on. RM_ERR_WOULD_BLOCK: the hello is incomplete, or there is no chunk.
// Anything else: session->failure says why the handshake failed.
RM_NODISCARD enum rm_err tls_select_step(struct tls_session *session);

// ticket.c
// wolfSSL's callback, for sealing and opening.
int tls_ticket_on_library(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                          unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                          unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int is_sealing,
                          unsigned char *bytes, int length, int *out_length, void *context);
// A server whose verdict was just made: a peer that does not fit gets no ticket.
void tls_ticket_consider(struct tls_session *session);
// The peer of a resumed server session; NULL when none may be believed, or without memory.
struct peer *tls_ticket_peer(const struct tls_session *session);
// What tickets of a context belong to.
void tls_ticket_bind(struct tls_context *context);

// ticket_keys.c
// What is authenticated with a ticket beside its own head.
struct tls_ticket_binding {
    uint8_t digest[SHA256_BYTES]; // of the context's binding, SNI and ALPN
};
// Seals `length` bytes in place; false without randomness or memory.
RM_NODISCARD bool tls_ticket_keys_seal(struct tls_ticket_keys *keys,
                                       const struct tls_ticket_binding *binding,
                                       uint8_t name[WOLFSSL_TICKET_NAME_SZ],
                                       uint8_t iv[WOLFSSL_TICKET_IV_SZ],
                                       uint8_t mac[WOLFSSL_TICKET_MAC_SZ], uint8_t *bytes,
                                       size_t length);
// Opens in place; false when no key of ours fits, or anything was changed.
RM_NODISCARD bool tls_ticket_keys_open(struct tls_ticket_keys *keys,
                                       const struct tls_ticket_binding *binding,
                                       const uint8_t name[WOLFSSL_TICKET_NAME_SZ],
                                       const uint8_t iv[WOLFSSL_TICKET_IV_SZ],
                                       const uint8_t mac[WOLFSSL_TICKET_MAC_SZ], uint8_t *bytes,
                                       size_t length);

// resume.c
struct tls_resumables *tls_resumables_new(void); // NULL when memory is exhausted
void tls_resumables_free(struct tls_resumables *resumables);
void tls_resumables_clear(struct tls_resumables *resumables); // and keeps nothing from now on
// Offers a session when there is one that the verdict still allows. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err tls_resume_prepare(struct tls_session *session,
                                            const struct tls_session_options *options);
// After a read: keeps the session that a new ticket made resumable.
void tls_resume_keep(struct tls_session *session);
void tls_resumable_unref(struct tls_resumable *resumable);

// verify.c and pinned.c: wolfSSL's verify callbacks. 0 refuses.
int tls_verify_spiffe(int is_verified, WOLFSSL_X509_STORE_CTX *store);
int tls_verify_pinned(int is_verified, WOLFSSL_X509_STORE_CTX *store);

// One look at the chain a peer sent.
struct tls_examination {
    struct der certificates[CHAIN_MAX_CERTIFICATES]; // as sent; borrowed
    size_t count;                                    // of certificates
    struct link_cache *links;                        // borrowed; NULL: verifies everything
    enum rm_err result;                              // RM_OK when the leaf could be read
    const char *why;                                 // why it is not anchored; static; may be NULL
    struct certificate leaf;                         // valid when result is RM_OK
    struct chain_facts facts;                        // the same; borrows leaf
    struct verdict_answer answer;                    // DENIED unless every check passed
    int64_t now_s;                                   // when it was judged
};
// Copies the chain's borrowed pointers out of wolfSSL's store.
void tls_examination_init(struct tls_examination *examination, const WOLFSSL_X509_STORE_CTX *store);
void tls_examination_deinit(struct tls_examination *examination);
// Finds the anchor and judges. `expected_ids` as in struct verdict_question.
void tls_examination_judge(struct tls_examination *examination, const struct trust_snapshot *trust,
                           bool peer_is_client, const char *const *expected_ids,
                           size_t expected_count);
// The verdict on a peer that an earlier handshake proved, by what is trusted and expected now.
bool tls_session_still_allows(const struct tls_session *session, const struct chain_facts *facts);
// Records what a good examination proved. False when memory is exhausted (the failure is filled).
bool tls_examination_accept(struct tls_session *session, const struct tls_examination *examination);
// Records why the peer is refused. `library_error` is wolfSSL's own verdict, 0 when it had none.
void tls_examination_refuse(struct tls_session *session, const struct tls_examination *examination,
                            int library_error);

// --- Failures ------------------------------------------------------------------------------------

#define TLS_DETAIL_NO_CERTIFICATE "wanted a certificate chain, found none"
// The session's failure, made on first use; NULL when memory is exhausted.
struct tls_failure *tls_failure_of(struct tls_session *session);
// Records `fault` and a sentence unless one is recorded already: the first is nearest to the cause.
void tls_failure_set(struct tls_session *session, enum fault fault, const char *format, ...)
    RM_PRINTF(3, 4);
// Records what wolfSSL's error means, with the alerts that went either way. The result is for
// on_ready or for a read.
enum rm_err tls_failure_from_library(struct tls_session *session, int library_error);
// The peer ended a standing connection with user_canceled.
void tls_failure_set_cancelled(struct tls_session *session);
// The code that goes with a recorded failure.
enum rm_err tls_failure_code(const struct tls_failure *failure);
// True for errors of ours that have no memory behind them.
bool tls_library_error_is_memory(int library_error);

// --- Sentences -----------------------------------------------------------------------------------

// What the peer's alert can mean, seen from our own certificate and clock.
void tls_explain_alert(const struct tls_session *session, uint8_t alert, char *out,
                       size_t out_bytes);
// Dates, our clock, the difference.
void tls_explain_dates(const struct tls_session *session, const struct tls_examination *examination,
                       char *out, size_t out_bytes);
// found.c: "wanted ..., found ..." out of the peer's first message.
enum tls_found { TLS_FOUND_VERSIONS, TLS_FOUND_SUITES, TLS_FOUND_GROUPS };
void tls_explain_found(const struct tls_session *session, enum tls_found found, char *out,
                       size_t out_bytes);
// The peer's hello names a group that we support: what failed is not the choice of it.
bool tls_found_group_is_ours(const struct tls_session *session);
// Which of the untrusted-chain faults this chain shows; writes what was found.
enum fault tls_explain_chain(const struct tls_examination *examination, char *out,
                             size_t out_bytes);
// Appends, cut at the end of `out`.
void tls_explain_add(char *out, size_t out_bytes, const char *format, ...) RM_PRINTF(3, 4);
// Copies peer-controlled text with everything unprintable replaced.
void tls_explain_text(const char *text, size_t length, char *out, size_t out_bytes);
