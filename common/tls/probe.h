// SPDX-License-Identifier: GPL-3.0-or-later
//
// A look at a TLS server that is not trusted, and may be anything: what it says in its hello, shows
// as a chain, wants and refuses. A probe is no stream and has none to give: it carries nobody's
// bytes, in neither direction, and what it reports is plain data. So the one place where a refused
// chain does not end a handshake (probe_verify.c) cannot become a way around verification: there is
// nothing behind it to reach.
//
// It shows our certificate where the server asks for one, as any connection would; the proof of
// possession in it holds for this one handshake (RFC 8446 4.4.3).
//
// Life: tls_probe_start -> on_done (at most once), or tls_probe_cancel. One loop's thread.
#pragma once

#include "crypto/certificate.h"
#include "tls/tls.h"

// After a handshake the server's own end is waited for: an alert, a ticket, or an orderly close in
// answer to ours. One that says nothing at all is left after this.
#define TLS_PROBE_LISTEN_MS 1500
#define TLS_PROBE_MAX_RECEIVED_BYTES 262144 // far above any handshake and a page's head

struct tls_probe;

struct tls_probe_options {
    struct tls_identity *identity;   // shown when asked for; referenced; NULL: none
    struct trust_snapshot *trust;    // what a real connection would judge by; referenced
    const char *sni;                 // NULL: none; copied
    const char *const *alpn;         // offered; copied
    size_t alpn_count;               // at most TLS_ALPN_MAX; 0: no ALPN
    const char *const *expected_ids; // as in struct tls_session_options; copied
    size_t expected_count;           // of expected_ids
    uint32_t timeout_ms;             // of the handshake; 0: TLS_HANDSHAKE_TIMEOUT_MS
    bool asks_date;                  // over HTTP/1.1, when that was negotiated: one HEAD request,
                                     // of whose answer nothing but the date is kept
};

// What the server's hello says in clear. RFC 8446 4.1.3, 4.1.4.
struct tls_probe_hello {
    bool is_there;    // a ServerHello came
    bool has_retried; // a HelloRetryRequest came before it, or alone
    uint16_t version; // 0x0304; 0 unknown
    uint16_t suite;   // 0x1301; 0 unknown
    uint16_t group;   // of the key share, or the one asked for; 0 unknown
};

struct tls_probe_report {
    enum rm_err result;           // RM_OK: the handshake came to its end
    struct tls_failure failure;   // why not; or what the server said after it (is_refused)
    struct tls_failure judgement; // why a real connection would refuse the chain; NONE: it would
                                  // not, or no chain came
    struct tls_probe_hello hello; // in clear
    char alpn[32];                // chosen; "" none
    struct der chain[CHAIN_MAX_CERTIFICATES]; // as sent; borrowed for the call
    size_t chain_count;                       // of chain; 0: none came
    bool is_certificate_wanted;               // it asked for a certificate of ours
    bool is_refused;                          // it refused after the handshake, as TLS 1.3 does
    bool is_confirmed;     // it showed that its side of the handshake is done, too
    uint32_t ticket_count; // session tickets it gave
    int64_t date_s;        // its Date header, Unix seconds; 0: none
    uint64_t handshake_us; // from the first byte to the handshake's end, well or not
};

typedef void (*tls_probe_fn)(void *context, const struct tls_probe_report *report);
// Takes `lower` (also on error). `report` is borrowed for the call; the probe is gone afterwards.
// Errors: RM_ERR_CONFIG (a name that no hello can carry), RM_ERR_NO_MEMORY, RM_ERR_CRYPTO; then
// on_done never comes.
RM_NODISCARD enum rm_err tls_probe_start(struct stream *lower,
                                         const struct tls_probe_options *options,
                                         tls_probe_fn on_done, void *context,
                                         struct tls_probe **out);
// on_done will not come.
void tls_probe_cancel(struct tls_probe *probe);

// "TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519MLKEM768"; other numbers as "0x1234". `out` is
// terminated.
#define TLS_PROBE_NAME_BYTES 48
void tls_probe_version_name(uint16_t version, char out[TLS_PROBE_NAME_BYTES]);
void tls_probe_suite_name(uint16_t suite, char out[TLS_PROBE_NAME_BYTES]);
void tls_probe_group_name(uint16_t group, char out[TLS_PROBE_NAME_BYTES]);
