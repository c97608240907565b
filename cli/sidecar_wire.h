// SPDX-License-Identifier: GPL-3.0-or-later
//
// The messages of remora.sidecar.v1.Local as plain structs, the caller's side; as cli_wire.h.
#pragma once

#include "cli_wire.h"

// --- Requests.
RM_NODISCARD enum rm_err wire_list_connections(const char *service, const char *peer_identity,
                                               struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_set_log_level(const char *level, uint32_t duration_s,
                                            struct wire_bytes *out);
RM_NODISCARD enum rm_err wire_renew(const char *name, struct wire_bytes *out);

// --- Answers.
struct wire_binary {
    const uint8_t *bytes; // borrowed
    size_t length;        // of bytes
};

struct wire_log_level {
    const char *level;       // in force
    const char *configured;  // what it falls back to
    int64_t falls_back_at_s; // 0: not by itself
};
struct wire_view_version {
    bool is_complete;            // false: the first has not come
    struct wire_binary store_id; // of the control plane's store
    uint64_t number;             // of the view
    struct wire_binary hash;     // SHA-256 of its canonical form
    int64_t last_heard_ago_ms;   // -1: never
    uint32_t service_count;      // in it
    uint32_t endpoint_count;     // in it
    uint32_t withdrawal_count;   // in it
};
struct wire_bundle {
    const char *trust_domain; // whose roots
    const char *own_name;     // of the own identity that trusts it; "": the first
    size_t key_id_count;      // for wire_bundle_key_id()
    const void *message;      // private
};
struct wire_binary wire_bundle_key_id(const struct wire_bundle *bundle, size_t index);

struct wire_sidecar_status {
    const char *version;             // of the sidecar
    int64_t started_at_s;            // Unix seconds
    int64_t now_ms;                  // its clock
    bool is_ready;                   // serves
    const char *waits_for;           // when not ready
    const char *config_path;         // its configuration
    const char *identity;            // "": none yet
    uint32_t workers;                // threads
    struct wire_log_level log_level; // of it
    const char *control_address;     // "": no control plane
    bool is_connected;               // to it
    int64_t clock_offset_ms;         // its clock minus ours
    bool has_view;                   // `view` counts
    struct wire_view_version view;   // in force
    size_t bundle_count;             // for wire_status_bundle()
    const void *message;             // private
};
struct wire_bundle wire_status_bundle(const struct wire_sidecar_status *status, size_t index);
typedef enum rm_err (*wire_sidecar_status_fn)(void *context,
                                              const struct wire_sidecar_status *status);
RM_NODISCARD enum rm_err wire_read_sidecar_status(const uint8_t *bytes, size_t length,
                                                  wire_sidecar_status_fn visit, void *context);

struct wire_view_service {
    const char *name;             // of the service
    uint32_t port;                // of the service
    struct wire_texts identities; // that own it
    struct wire_texts allow;      // patterns
    bool is_guarded;              // no pattern matches: denied
};
struct wire_view_endpoint {
    const char *service;     // whose
    const char *instance_id; // of the sidecar
    const char *address;     // tunnel
    const char *identity;    // it registered with
    const char *zone;        // "": unknown
    bool is_ready;           // takes new connections
};
struct wire_view_withdrawal {
    const char *kind;    // "revoked_lineage" ...
    const char *subject; // what is withdrawn
    int64_t expires_s;   // Unix seconds
};
// What a piece of the view holds; each may be NULL.
struct wire_view_visitor {
    enum rm_err (*version)(void *context, const struct wire_view_version *version);
    enum rm_err (*bundle)(void *context, const struct wire_bundle *bundle);
    enum rm_err (*service)(void *context, const struct wire_view_service *service);
    enum rm_err (*endpoint)(void *context, const struct wire_view_endpoint *endpoint);
    enum rm_err (*withdrawal)(void *context, const struct wire_view_withdrawal *withdrawal);
    void *context; // for all of them
};
RM_NODISCARD enum rm_err wire_read_view(const uint8_t *bytes, size_t length,
                                        const struct wire_view_visitor *visitor);

struct wire_connection {
    struct wire_binary id;          // empty: not known yet
    const char *direction;          // "inbound" ...
    const char *state;              // "relay" ...
    const char *service;            // "": not known yet
    uint32_t port;                  // the service's
    const char *local_identity;     // SPIFFE ID
    const char *peer_identity;      // "": not known yet
    struct wire_binary peer_serial; // of its certificate
    int64_t peer_not_after_s;       // of it
    const char *remote;             // address
    const char *application;        // address
    uint64_t sent_bytes;            // towards the remote
    uint64_t received_bytes;        // from it
    uint64_t age_ms;                // since it began
    const char *tls_version;        // "": not known yet
    const char *suite;              // the same
    const char *group;              // the same
    bool is_resumed;                // TLS session resumed
    uint32_t handshake_ms;          // how long it took
    uint32_t worker;                // thread
};
typedef enum rm_err (*wire_connection_fn)(void *context, const struct wire_connection *connection);
RM_NODISCARD enum rm_err wire_read_connections(const uint8_t *bytes, size_t length,
                                               wire_connection_fn visit, void *context);

struct wire_own_certificate {
    const char *name;          // in the configuration's `identities`; "": its `identity`
    const char *identity;      // SPIFFE ID; "": there is none yet
    struct wire_binary serial; // big-endian
    int64_t not_before_s;      // Unix seconds
    int64_t not_after_s;       // Unix seconds
    int64_t next_renewal_s;    // 0: not planned
    const char *last_error;    // "": none
    const char *source;        // "control", "files"
};
typedef enum rm_err (*wire_own_certificate_fn)(void *context,
                                               const struct wire_own_certificate *certificate);
// `is_list`: a ListCertificatesResponse, else one Certificate.
RM_NODISCARD enum rm_err wire_read_own_certificates(const uint8_t *bytes, size_t length,
                                                    bool is_list, wire_own_certificate_fn visit,
                                                    void *context);

typedef enum rm_err (*wire_log_level_fn)(void *context, const struct wire_log_level *level,
                                         const char *before);
RM_NODISCARD enum rm_err wire_read_log_level(const uint8_t *bytes, size_t length,
                                             wire_log_level_fn visit, void *context);
