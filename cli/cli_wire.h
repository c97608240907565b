// SPDX-License-Identifier: GPL-3.0-or-later
//
// The messages of remora.admin.v1.Admin as plain structs, the caller's side. Requests are encoded
// into bytes of the caller's (rm_free). Answers are visited: what a visitor sees is borrowed for
// the call. Errors of encoding: RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY; of decoding also
// RM_ERR_MALFORMED. A visitor's error stops and is returned. Stateless.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define WIRE_MAX_BYTES (4U << 20) // one gRPC message

struct wire_bytes {
    uint8_t *bytes; // owned
    size_t length;  // of bytes
};

struct wire_texts {
    char **items; // borrowed
    size_t count; // of items
};

// --- Requests. One without fields is empty: no bytes at all.
struct wire_create_service {
    const char *name;             // of the service
    uint32_t port;                // of the service
    struct wire_texts identities; // that own it
    struct wire_texts allow;      // patterns
    struct wire_texts dns_names;  // for certificates
};
struct wire_update_service {
    const char *name;                    // of the service
    struct wire_texts add_identities;    // see admin.proto, as for all that follow
    struct wire_texts remove_identities; //
    struct wire_texts add_allow;         //
    struct wire_texts remove_allow;      //
    struct wire_texts add_dns_names;     //
    struct wire_texts remove_dns_names;  //
    bool clear_guard;                    //
};
struct wire_create_token {
    const char *identity;             // SPIFFE ID or "ns/..."
    struct wire_texts services;       // its holder may serve
    struct wire_texts address_ranges; // CIDR
    uint32_t lifetime_s;              // 0: the control plane's default
};
RM_NODISCARD enum rm_err wire_create_service(const struct wire_create_service *request,
                                             struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_update_service(const struct wire_update_service *request,
                                             struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_delete_service(const char *name, struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_create_token(const struct wire_create_token *request,
                                           struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_delete_token(const char *id, struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_list_certificates(bool include_expired, const char *identity,
                                                struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_revoke_certificate(const uint8_t *serial, size_t serial_length,
                                                 const char *reason, struct wire_bytes *out);

// --- Answers.
struct wire_endpoint {
    const char *instance_id;  // of the sidecar
    const char *identity;     // it registered with
    const char *address;      // tunnel
    const char *zone;         // "": unknown
    const uint8_t *view_hash; // that it acknowledged
    size_t view_hash_length;  // 0: none yet
    uint64_t view_version;    // of that view
};
struct wire_service {
    const char *name;             // of the service
    uint32_t port;                // of the service
    struct wire_texts identities; // that own it
    struct wire_texts allow;      // patterns
    struct wire_texts dns_names;  // for certificates
    bool is_guarded;              // no pattern matches: denied
    size_t endpoint_count;        // for wire_service_endpoint()
    const void *message;          // private
};
struct wire_endpoint wire_service_endpoint(const struct wire_service *service, size_t index);
typedef enum rm_err (*wire_service_fn)(void *context, const struct wire_service *service);
// `is_list`: a ListServicesResponse, else one Service.
RM_NODISCARD enum rm_err wire_read_services(const uint8_t *bytes, size_t length, bool is_list,
                                            wire_service_fn visit, void *context);

struct wire_token {
    const char *secret;         // the whole token; NULL in a list
    const char *id;             // its public part
    const char *identity;       // it gives
    struct wire_texts services; // its holder may serve
    int64_t expires_at_s;       // Unix seconds
    int64_t used_at_s;          // 0: unused
};
typedef enum rm_err (*wire_token_fn)(void *context, const struct wire_token *token);
RM_NODISCARD enum rm_err wire_read_created_token(const uint8_t *bytes, size_t length,
                                                 wire_token_fn visit, void *context);
RM_NODISCARD enum rm_err wire_read_tokens(const uint8_t *bytes, size_t length, wire_token_fn visit,
                                          void *context);

struct wire_identity {
    const char *identity;         // SPIFFE ID
    struct wire_texts services;   // it may serve
    uint32_t live_certificates;   // that its instances use
    uint32_t connected_instances; // Sync streams
};
typedef enum rm_err (*wire_identity_fn)(void *context, const struct wire_identity *identity);
RM_NODISCARD enum rm_err wire_read_identities(const uint8_t *bytes, size_t length,
                                              wire_identity_fn visit, void *context);

struct wire_certificate {
    const uint8_t *serial;  // big-endian
    size_t serial_length;   // of serial
    const uint8_t *lineage; // it belongs to
    size_t lineage_length;  // of lineage
    const char *identity;   // SPIFFE ID
    const char *state;      // "live" ...
    const char *last_error; // "": none
    int64_t not_before_s;   // Unix seconds
    int64_t not_after_s;    // Unix seconds
    int64_t next_renewal_s; // 0: unknown
};
typedef enum rm_err (*wire_certificate_fn)(void *context,
                                           const struct wire_certificate *certificate);
RM_NODISCARD enum rm_err wire_read_certificates(const uint8_t *bytes, size_t length,
                                                wire_certificate_fn visit, void *context);

struct wire_revoked {
    const uint8_t *lineage; // that was revoked
    size_t lineage_length;  // of lineage
    const char *identity;   // SPIFFE ID
    uint32_t certificates;  // that had not expired
};
typedef enum rm_err (*wire_revoked_fn)(void *context, const struct wire_revoked *revoked);
RM_NODISCARD enum rm_err wire_read_revoked(const uint8_t *bytes, size_t length,
                                           wire_revoked_fn visit, void *context);

struct wire_authority {
    const char *kind;      // "root", "intermediate"
    const char *subject;   // for people
    const uint8_t *key_id; // SHA-256 of its SPKI
    size_t key_id_length;  // of key_id
    int64_t not_after_s;   // Unix seconds
};
struct wire_status {
    const char *version;         // of the control plane
    const char *trust_domain;    // own
    const char *mode;            // "self", "offline-root"
    const char *mode_warning;    // "": nothing
    const char *address;         // where workloads connect
    int64_t started_at_s;        // Unix seconds
    int64_t now_ms;              // the control plane's clock
    const uint8_t *store_id;     // a new one means a new store
    size_t store_id_length;      // of store_id
    uint64_t store_version;      // revision
    uint32_t connected_sidecars; // Sync streams
    uint32_t live_certificates;  // that sidecars use
    uint32_t services;           // records
    struct wire_texts alarms;    // newest first
    size_t authority_count;      // for wire_status_authority()
    const void *message;         // private
};
struct wire_authority wire_status_authority(const struct wire_status *status, size_t index);
typedef enum rm_err (*wire_status_fn)(void *context, const struct wire_status *status);
RM_NODISCARD enum rm_err wire_read_status(const uint8_t *bytes, size_t length, wire_status_fn visit,
                                          void *context);

typedef enum rm_err (*wire_root_fn)(void *context, const char *trust_domain, const uint8_t *der,
                                    size_t length);
// Each root of the bundle.
RM_NODISCARD enum rm_err wire_read_bundle(const uint8_t *bytes, size_t length, wire_root_fn visit,
                                          void *context);
