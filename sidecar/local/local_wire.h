// SPDX-License-Identifier: GPL-3.0-or-later
//
// The messages of remora.sidecar.v1.Local as plain structs. A response is built in a buffer piece
// by piece: serialised messages that are concatenated are one message whose lists are joined.
// Errors of building: RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY. Stateless.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "crypto/crypto.h"
#include "diagnose/diagnose.h"
#include "mesh/view.h"
#include "worker/listing.h"

// name, method of the service, handler, whether it answers with a stream
// clang-format off
#define LOCAL_METHOD_LIST(X)                                                  \
    X(GET_STATUS, GetStatus, local_get_status, false)                         \
    X(GET_VIEW, GetView, local_get_view, true)                                \
    X(LIST_CONNECTIONS, ListConnections, local_list_connections, true)        \
    X(LIST_CERTIFICATES, ListCertificates, local_list_certificates, false)    \
    X(SET_LOG_LEVEL, SetLogLevel, local_set_log_level, false)                 \
    X(RENEW, Renew, local_renew, false)                                       \
    X(DIAGNOSE, Diagnose, local_diagnose, true)
// clang-format on

enum local_method {
#define LOCAL_METHOD_ENUM(name, wire, handler, is_streaming) LOCAL_##name,
    LOCAL_METHOD_LIST(LOCAL_METHOD_ENUM)
#undef LOCAL_METHOD_ENUM
        LOCAL_METHOD_COUNT,
};

// --- Requests. Texts are borrowed from the request.
struct local_request {
    union {
        struct {
            const char *service;       // "": all
            const char *peer_identity; // "": all
        } list_connections;
        struct {
            const char *level;   // as given
            uint32_t duration_s; // 0: until the next reload
        } set_log_level;
        struct {
            const char *name; // of the identity; "": the first
        } renew;
        struct diagnose_request diagnose;
    } of;          // which one: the method
    void *message; // private; owned
};
// Errors: RM_ERR_MALFORMED with a sentence, RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err local_wire_decode(enum local_method method, const uint8_t *bytes,
                                           size_t length, struct local_request *out,
                                           struct rm_error *error);
void local_request_deinit(struct local_request *request);

// --- Answers.
struct local_level {
    const char *level;       // in force
    const char *configured;  // what it falls back to
    int64_t falls_back_at_s; // 0: not by itself
};
struct local_view_version {
    bool is_complete;               // false: nothing below counts
    struct mesh_version version;    // of the view
    uint8_t hash[SHA256_BYTES];     // canonical
    size_t hash_length;             // 0: none yet
    int64_t last_heard_ago_ms;      // -1: never
    size_t counts[MESH_KIND_COUNT]; // of resources
};
struct local_status {
    const char *version;     // of the sidecar
    int64_t started_at_s;    // Unix seconds
    int64_t now_ms;          // our clock
    bool is_ready;           // serves
    const char *waits_for;   // when not ready
    const char *config_path; // of the configuration
    const char *identity;    // SPIFFE ID; NULL: none yet
    size_t worker_count;     // threads
    struct local_level level;
    const char *control_address; // NULL: no control plane
    bool is_connected;           // to it
    int64_t clock_offset_ms;     // its clock minus ours
    struct local_view_version view;
};
RM_NODISCARD enum rm_err local_wire_status(struct buffer *out, const struct local_status *status);
// Of the own identity that the configuration calls `own_name`. `is_view`: for GetView, else for
// GetStatus.
RM_NODISCARD enum rm_err local_wire_bundle(struct buffer *out, const struct trust_domain *domain,
                                           const char *own_name, bool is_view);
RM_NODISCARD enum rm_err local_wire_view_version(struct buffer *out,
                                                 const struct local_view_version *version);
// A service, endpoint or withdrawal, for GetView; bundles go by local_wire_bundle().
RM_NODISCARD enum rm_err local_wire_resource(struct buffer *out,
                                             const struct mesh_resource *resource);
RM_NODISCARD enum rm_err local_wire_connection(struct buffer *out,
                                               const struct listing_record *record, size_t worker);

struct local_certificate {
    const char *name;       // in the configuration's `identities`; "": its `identity`
    const char *identity;   // SPIFFE ID; NULL: none yet
    const uint8_t *serial;  // borrowed
    size_t serial_length;   // of serial
    int64_t not_before_s;   // Unix seconds
    int64_t not_after_s;    // Unix seconds
    int64_t next_renewal_s; // 0: not planned
    const char *last_error; // "": none
    const char *source;     // "control", "files"
};
// `is_listed`: one of a ListCertificatesResponse.
RM_NODISCARD enum rm_err local_wire_certificate(struct buffer *out,
                                                const struct local_certificate *certificate,
                                                bool is_listed);
RM_NODISCARD enum rm_err local_wire_level(struct buffer *out, const struct local_level *level,
                                          const char *before);

// --- local_diagnose_wire.c
RM_NODISCARD enum rm_err local_wire_diagnose_step(struct buffer *out,
                                                  const struct diagnose_step *step);
RM_NODISCARD enum rm_err local_wire_diagnose_finding(struct buffer *out,
                                                     const struct diagnose_finding *finding);
RM_NODISCARD enum rm_err local_wire_diagnose_end(struct buffer *out, bool is_well);
