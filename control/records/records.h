// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the control plane keeps in its store, as plain structs: proto/remora/store/v1/store.proto.
// A record that a decode filled owns its strings and bytes (rm_malloc) until <noun>_deinit(); one
// that is only encoded may borrow them. Stateless.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "crypto/issue.h"
#include "identity/peer.h"
#include "identity/trust.h"
#include "store/store.h"

#define RECORD_MAX_BYTES (256U << 10) // of one encoded record; a service with all its patterns

struct record_strings {
    char **items; // owned, as each of them
    size_t count; // of items
};

struct record_bytes {
    uint8_t *bytes; // owned; NULL when empty
    size_t length;  // of bytes
};

// "ca/root", "ca/intermediate"
struct authority_record {
    struct record_bytes certificate; // DER
    struct record_bytes sealed_key;  // PKCS#8 under the key-encryption key; empty: it is elsewhere
};

// "served"
struct served_record {
    uint8_t store_id[STORE_ID_BYTES]; // of the store when it was served last
    int64_t replaced_at_s;            // when it was first seen to be another; 0: never
};

// "token/<id>"
struct token_record {
    uint8_t secret_hash[SHA256_BYTES];    // of the secret's 32 bytes
    char *identity;                       // SPIFFE ID that it gives
    struct record_strings services;       // that its holder may serve
    struct record_strings address_ranges; // CIDR
    int64_t created_at_s;                 // Unix seconds
    int64_t expires_at_s;                 // must be used before
    int64_t used_at_s;                    // 0: unused; what follows counts when used
    uint8_t used_key_hash[SHA256_BYTES];  // of the SPKI it was burnt against
    uint8_t lineage[LINEAGE_BYTES];       // that it began
};

enum lineage_state { LINEAGE_LIVE, LINEAGE_LAPSED, LINEAGE_REVOKED };

// "lineage/<16 hex digits>"
struct lineage_record {
    char *identity;                              // SPIFFE ID
    struct record_strings services;              // its evidence allows it to serve
    struct record_strings address_ranges;        // CIDR
    int64_t attested_at_s;                       // last fresh evidence
    uint8_t serial[ISSUE_SERIAL_BYTES];          // newest certificate
    uint8_t key_hash[SHA256_BYTES];              // of its SPKI
    bool has_previous;                           // false: it is the first
    uint8_t previous_serial[ISSUE_SERIAL_BYTES]; // that it renewed
    int64_t not_after_s;                         // of the newest certificate
    enum lineage_state state;                    // LIVE until lapsed or revoked
    char *evidence;                              // "join_token/<id>", "rejoin"
    struct record_bytes rejoin_key;              // SPKI, DER; empty: none
};

// "certificate/<32 hex digits of the serial>"
struct certificate_record {
    char *identity;                      // SPIFFE ID
    uint8_t lineage[LINEAGE_BYTES];      // it belongs to
    int64_t not_before_s;                // Unix seconds
    int64_t not_after_s;                 // Unix seconds
    uint8_t issuer_key_id[KEY_ID_BYTES]; // SHA-256 of the issuer's SPKI
};

// "service/<name>"
struct service_record {
    uint16_t port;                    // 1..65535
    struct record_strings identities; // that own it
    struct record_strings allow;      // patterns
    bool is_guarded;                  // no allow rule matches: denied
    struct record_strings dns_names;  // for its identities' certificates
};

// "endpoint/<service>/<instance id>"
struct endpoint_record {
    char *identity;                 // it registered with
    char *address;                  // "10.0.0.1:15008"
    char *zone;                     // "" when unknown
    uint8_t lineage[LINEAGE_BYTES]; // of the registering certificate
};

// "withdrawal/<kind>:<hex of subject>"
struct withdrawal_record {
    enum trust_withdrawal_kind kind; // what subject is
    struct record_bytes subject;     // see trust_builder_withdraw()
    int64_t before_s;                // TRUST_REVOKED_IDENTITY
    int64_t expires_s;               // afterwards no certificate it covers can live
    char *reason;                    // for people
};

// "rejoin/<hex of SHA-256 of SPKI>"
struct rejoin_record {
    char *identity;                 // SPIFFE ID it proves
    struct record_bytes public_key; // SPKI, DER
    uint8_t lineage[LINEAGE_BYTES]; // newest that it belongs to
    int64_t expires_s;              // Unix seconds
};

// "audit/<16 hex digits of wall ms>-<8 hex random>"
struct audit_record {
    char *action;  // "issue", "renew", "revoke", "service_create" ...
    char *actor;   // SPIFFE ID, "uid 0", or source address
    char *subject; // what it was done to
    char *detail;  // may be ""
};

void authority_record_deinit(struct authority_record *record);
void served_record_deinit(struct served_record *record);
void token_record_deinit(struct token_record *record);
void lineage_record_deinit(struct lineage_record *record);
void certificate_record_deinit(struct certificate_record *record);
void service_record_deinit(struct service_record *record);
void endpoint_record_deinit(struct endpoint_record *record);
void withdrawal_record_deinit(struct withdrawal_record *record);
void rejoin_record_deinit(struct rejoin_record *record);
void audit_record_deinit(struct audit_record *record);

RM_NODISCARD enum rm_err record_strings_dup(const char *const *items, size_t count,
                                            struct record_strings *out);
void record_strings_deinit(struct record_strings *strings);
RM_NODISCARD enum rm_err record_bytes_dup(const void *bytes, size_t length,
                                          struct record_bytes *out);
void record_bytes_deinit(struct record_bytes *bytes);
