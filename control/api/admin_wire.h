// SPDX-License-Identifier: GPL-3.0-or-later
//
// The messages of remora.admin.v1.Admin as plain structs, the server's side. A request is unpacked
// once; its texts are borrowed from it. Answers are appended to a bounded buffer: a list grows
// element by element, since protobuf messages that follow one another merge. Stateless.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "crypto/crypto.h"
#include "identity/peer.h"
#include "records/records.h"

// name, name of the method on the wire, handler
#define ADMIN_METHOD_LIST(X)                                                                       \
    X(GET_STATUS, GetStatus, admin_get_status)                                                     \
    X(CREATE_SERVICE, CreateService, admin_create_service)                                         \
    X(UPDATE_SERVICE, UpdateService, admin_update_service)                                         \
    X(DELETE_SERVICE, DeleteService, admin_delete_service)                                         \
    X(LIST_SERVICES, ListServices, admin_list_services)                                            \
    X(CREATE_TOKEN, CreateToken, admin_create_token)                                               \
    X(DELETE_TOKEN, DeleteToken, admin_delete_token)                                               \
    X(LIST_TOKENS, ListTokens, admin_list_tokens)                                                  \
    X(LIST_IDENTITIES, ListIdentities, admin_list_identities)                                      \
    X(LIST_CERTIFICATES, ListCertificates, admin_list_certificates)                                \
    X(REVOKE_CERTIFICATE, RevokeCertificate, admin_revoke_certificate)                             \
    X(GET_BUNDLE, GetBundle, admin_get_bundle)                                                     \
    X(BACKUP, Backup, admin_backup)

enum admin_method {
#define ADMIN_METHOD_ENUM(name, wire, handler) ADMIN_##name,
    ADMIN_METHOD_LIST(ADMIN_METHOD_ENUM)
#undef ADMIN_METHOD_ENUM
        ADMIN_METHOD_COUNT,
};

struct admin_texts {
    char *const *items; // borrowed from the request
    size_t count;       // of items
};

struct admin_create_service {
    const char *name;              // of the service
    uint32_t port;                 // not checked yet
    struct admin_texts identities; // that own it
    struct admin_texts allow;      // patterns
    struct admin_texts dns_names;  // for its identities' certificates
    bool is_guarded;               // deny also while allow is empty
};

struct admin_update_service {
    const char *name;                     // of the service
    struct admin_texts add_identities;    // see admin.proto, as for all that follow
    struct admin_texts remove_identities; //
    struct admin_texts add_allow;         //
    struct admin_texts remove_allow;      //
    struct admin_texts add_dns_names;     //
    struct admin_texts remove_dns_names;  //
    bool clear_guard;                     //
};

struct admin_create_token {
    const char *identity;              // SPIFFE ID or "ns/..."
    struct admin_texts services;       // that its holder may serve
    struct admin_texts address_ranges; // CIDR
    uint32_t lifetime_s;               // 0: the default
};

struct admin_list_certificates {
    const char *identity; // "": all
    bool include_expired; // also those
};

struct admin_revoke_certificate {
    const uint8_t *serial; // borrowed
    size_t serial_length;  // of serial
    const char *reason;    // for the audit log
};

struct admin_request {
    void *message; // private: what all below borrows from
    union {
        struct admin_create_service create_service;
        struct admin_update_service update_service;
        struct admin_create_token create_token;
        struct admin_list_certificates list_certificates;
        struct admin_revoke_certificate revoke_certificate;
        const char *name; // DeleteService: name; DeleteToken: id
    } of;                 // which one: the method
};

// On error `out` is empty. Errors: RM_ERR_MALFORMED, RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err admin_wire_decode(enum admin_method method, const uint8_t *bytes,
                                           size_t length, struct admin_request *out,
                                           struct rm_error *error);
// Safe to repeat.
void admin_request_deinit(struct admin_request *request);

// Answers. Everything is borrowed. Errors: RM_ERR_TOO_LARGE (the buffer's limit), RM_ERR_NO_MEMORY.
struct admin_authority {
    const char *kind;             // "root", "intermediate"
    const char *subject;          // for people
    uint8_t key_id[KEY_ID_BYTES]; // SHA-256 of its SPKI
    int64_t not_after_s;          // Unix seconds
};

struct admin_status {
    const char *version;                       // of the control plane
    const char *trust_domain;                  // own
    const char *mode;                          // "self", "offline-root"
    const char *mode_warning;                  // "": nothing
    const char *address;                       // where workloads connect
    int64_t started_at_s;                      // Unix seconds
    int64_t now_ms;                            // wall clock
    const uint8_t *store_id;                   // STORE_ID_BYTES
    uint64_t store_version;                    // revision
    const struct admin_authority *authorities; // in force
    size_t authority_count;                    // of authorities
    uint32_t connected_sidecars;               // Sync streams
    uint32_t live_certificates;                // the newest of each live lineage
    uint32_t services;                         // records
    char *const *alarms;                       // newest first
    size_t alarm_count;                        // of alarms
};

struct admin_endpoint {
    const char *instance_id;  // of the sidecar
    const char *identity;     // it registered with
    const char *address;      // tunnel
    const char *zone;         // "": unknown
    const uint8_t *view_hash; // SHA256_BYTES that it acknowledged; NULL: nothing yet
    uint64_t view_version;    // that it acknowledged; 0: nothing yet
};

struct admin_service {
    const char *name;                        // of the service
    uint16_t port;                           // of the service
    const struct record_strings *identities; // that own it
    const struct record_strings *allow;      // patterns
    const struct record_strings *dns_names;  // for certificates
    bool is_guarded;                         // no allow rule matches: denied
    const struct admin_endpoint *endpoints;  // connected instances
    size_t endpoint_count;                   // of endpoints
};

struct admin_token {
    const char *id;                        // its public part
    const char *identity;                  // it gives
    const struct record_strings *services; // its holder may serve
    int64_t expires_at_s;                  // must be used before
    int64_t used_at_s;                     // 0: unused
};

struct admin_identity {
    const char *identity;         // SPIFFE ID
    const char *const *services;  // it may serve
    size_t service_count;         // of services
    uint32_t live_certificates;   // the newest of each live lineage
    uint32_t connected_instances; // Sync streams
};

struct admin_certificate {
    uint8_t serial[ISSUE_SERIAL_BYTES]; // its own
    uint8_t lineage[LINEAGE_BYTES];     // it belongs to
    const char *identity;               // SPIFFE ID
    const char *state;                  // see admin.proto
    const char *last_error;             // as the sidecar reported; NULL: none
    int64_t not_before_s;               // Unix seconds
    int64_t not_after_s;                // Unix seconds
    int64_t next_renewal_s;             // as the sidecar reported; 0: unknown
};

RM_NODISCARD enum rm_err admin_wire_status(struct buffer *out, const struct admin_status *status);
// A Service, or with `is_listed` one element of ListServicesResponse.
RM_NODISCARD enum rm_err admin_wire_service(struct buffer *out, const struct admin_service *service,
                                            bool is_listed);
RM_NODISCARD enum rm_err admin_wire_created_token(struct buffer *out, const char *token,
                                                  const char *id, int64_t expires_at_s);
// One element of the list, as the next two.
RM_NODISCARD enum rm_err admin_wire_token(struct buffer *out, const struct admin_token *token);
RM_NODISCARD enum rm_err admin_wire_identity(struct buffer *out,
                                             const struct admin_identity *identity);
RM_NODISCARD enum rm_err admin_wire_certificate(struct buffer *out,
                                                const struct admin_certificate *certificate);
RM_NODISCARD enum rm_err admin_wire_revoked(struct buffer *out,
                                            const uint8_t lineage[LINEAGE_BYTES],
                                            const char *identity, uint32_t certificate_count);
// The trust domain, then each root by itself.
RM_NODISCARD enum rm_err admin_wire_bundle_domain(struct buffer *out, const char *trust_domain);
RM_NODISCARD enum rm_err admin_wire_bundle_root(struct buffer *out, const uint8_t *der,
                                                size_t length);
RM_NODISCARD enum rm_err admin_wire_backup_chunk(struct buffer *out, const uint8_t *bytes,
                                                 size_t length);
