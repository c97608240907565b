// SPDX-License-Identifier: GPL-3.0-or-later
//
// The messages of remora.mesh.v1.Mesh/Sync as plain structs, and their bytes. Both ends use it:
// what one end would refuse, the other does not send. Every length and count is checked; one bad
// part refuses the message. Stateless and thread-safe.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/peer.h"
#include "mesh/view.h"

#define MESH_WIRE_MAX_REQUEST_BYTES (512U << 10) // the longest Hello and some room
#define MESH_WIRE_MAX_RESPONSE_BYTES (4U << 20)  // one gRPC message; a larger view comes in parts
#define MESH_WIRE_MAX_SUBSCRIPTIONS 1024         // services that one workload calls
#define MESH_WIRE_MAX_EXPOSED 64                 // services that one workload offers
#define MESH_WIRE_MAX_TEXT_BYTES 1024            // an error or a software name
#define MESH_WIRE_INSTANCE_ID_CHARS 16           // lower-case hex
#define MESH_WIRE_HASH_BYTES 32                  // SHA-256 of the canonical view
// What a resource costs in a response beside its own bytes, at most: tag and length.
#define MESH_WIRE_PUT_OVERHEAD_BYTES 6

enum mesh_request_kind {
    MESH_REQUEST_NONE,      // never on the wire
    MESH_REQUEST_HELLO,     // first
    MESH_REQUEST_ACK,       // of one response
    MESH_REQUEST_SUBSCRIBE, // to more services
    MESH_REQUEST_STATUS,    // for operators
    MESH_REQUEST_GOODBYE,   // leaving
};

// Lists of names come out of the decoder sorted, no two alike. Texts are printable ASCII.
struct mesh_hello {
    char instance_id[MESH_WIRE_INSTANCE_ID_CHARS + 1]; // random per process start
    char **services;                                   // that it calls; "*": all
    size_t service_count;                              // 0..MESH_WIRE_MAX_SUBSCRIPTIONS
    char **exposes;                                    // services that it offers
    size_t expose_count;                               // 0..MESH_WIRE_MAX_EXPOSED
    bool has_resume;                                   // resume counts
    struct mesh_version resume;                        // the view it has
    char *software;                                    // "remora-sidecar/0.1.0"; may be NULL
    char *zone;                                        // NULL or "": unknown
    char *tunnel_address; // "10.0.0.5:15008", ":15008" (the connection's source); NULL or "": none
};

struct mesh_ack {
    struct mesh_version version;             // that was applied or refused
    uint8_t view_hash[MESH_WIRE_HASH_BYTES]; // of the view it now has
    char *error;                             // why it was refused; NULL or "": applied
};

struct mesh_subscribe {
    char **services;      // more that it calls
    size_t service_count; // 1..MESH_WIRE_MAX_SUBSCRIPTIONS
};

struct mesh_status {
    int64_t not_after_s;              // of the current certificate, Unix seconds
    int64_t next_renewal_s;           // Unix seconds
    char *last_error;                 // of the last failed renewal; NULL or "": it succeeded
    uint8_t serial[SERIAL_MAX_BYTES]; // of the current certificate
    uint8_t serial_length;            // 0..SERIAL_MAX_BYTES
};

struct mesh_request {
    enum mesh_request_kind kind; // which member counts
    union {
        struct mesh_hello hello;
        struct mesh_ack ack;
        struct mesh_subscribe subscribe;
        struct mesh_status status;
    } of; // owned by the decoder's caller; the encoder borrows
};

// *bytes is the caller's (rm_free). Texts are cut at their limit and what is not printable becomes
// '?'. Errors: RM_ERR_MALFORMED, RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_wire_encode_request(const struct mesh_request *request,
                                                  uint8_t **bytes, size_t *length,
                                                  struct rm_error *error);
// On error `out` is empty. Errors: RM_ERR_MALFORMED, RM_ERR_LIMIT, RM_ERR_TOO_LARGE,
// RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_wire_decode_request(const uint8_t *bytes, size_t length,
                                                  struct mesh_request *out, struct rm_error *error);
// Frees what the decoder gave. Safe to repeat.
void mesh_request_deinit(struct mesh_request *request);

// One resource, checked, for as many responses as want it. out->bytes is the caller's (rm_free).
// Errors: as mesh_resource_check(), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_wire_encode_resource(const struct mesh_resource *resource,
                                                   struct mesh_bytes *out, struct rm_error *error);

struct mesh_response_parts {
    struct mesh_version version;         // of the view after it
    bool is_full;                        // replaces everything
    const struct mesh_bytes *resources;  // from mesh_wire_encode_resource(); borrowed
    size_t resource_count;               // of resources
    const struct mesh_removal *removals; // borrowed
    size_t removal_count;                // of removals
    int64_t server_time_ms;              // our wall clock
};

// Splices the encoded resources into one response. *bytes is the caller's (rm_free).
// Errors: RM_ERR_TOO_LARGE (over MESH_WIRE_MAX_RESPONSE_BYTES: send it in parts), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_wire_encode_response(const struct mesh_response_parts *parts,
                                                   uint8_t **bytes, size_t *length);

// A decoded response. delta.puts are references and delta.removals owns its keys.
struct mesh_response {
    struct mesh_delta delta; // for mesh_view_apply()
    int64_t server_time_ms;  // the control plane's wall clock
};

// Computes the key ids of bundles; every other rule is mesh_view_apply()'s to check.
// On error `out` is empty. Errors: RM_ERR_MALFORMED, RM_ERR_LIMIT, RM_ERR_TOO_LARGE,
// RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_wire_decode_response(const uint8_t *bytes, size_t length,
                                                   struct mesh_response *out,
                                                   struct rm_error *error);
// Frees what the decoder gave. Safe to repeat.
void mesh_response_deinit(struct mesh_response *response);
