// SPDX-License-Identifier: GPL-3.0-or-later
//
// The sidecar's configuration as read from YAML (common/config). Immutable and counted: a reload
// makes a new one; workers keep theirs until they got the next.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/group.h"
#include "config/config.h"
#include "stream/socket.h"

// Handshakes of strangers under way in the whole sidecar. Each costs some 9 KiB, silent ones a
// little less: 36 MiB at worst. Four thousand are more than a second's work of a processor.
#define SIDECAR_HANDSHAKES 4096
#define SIDECAR_HANDSHAKE_BYTES 12288 // resident; measured: 9.1 KiB, silent 7.7 KiB
// Of these from one source address, so that one machine cannot fill the room.
#define SIDECAR_HANDSHAKES_PER_SOURCE 2048

#define SIDECAR_LOCAL_LISTEN "unix:/run/remora/sidecar.sock" // where nothing else is configured

enum sidecar_access_log { ACCESS_LOG_OFF, ACCESS_LOG_ERRORS, ACCESS_LOG_ALL };

struct sidecar_identity_control {
    char *address;             // "host:port" of the control plane; NULL: not this way
    char *trust_domain;        // own; needed without a token's or bundle's
    char *bundle_file;         // PEM roots of the own trust domain; NULL: the token's pins
    char *join_token_file;     // 0600; NULL: re-join from state_dir only
    char *state_dir;           // 0700; NULL: nothing is kept
    int64_t lifetime_ms;       // wanted lifetime of certificates; 0: the control plane's default
    struct config_place place; // in the file
};
struct sidecar_identity_files {
    char *certificate;            // PEM chain, leaf first; NULL: not this way
    char *key;                    // PEM, 0600
    char *bundle;                 // PEM roots of the leaf's own trust domain
    struct config_list federated; // struct sidecar_federated
    struct config_place place;    // in the file
};
struct sidecar_federated {
    char *trust_domain;
    char *bundle; // PEM
};

// One more identity of this host, beside identity.files: for services and destinations that say
// `as: <name>`.
struct sidecar_more_identity {
    char *name;                          // what `as` calls it
    struct sidecar_identity_files files; // its own
};
#define SIDECAR_MORE_IDENTITIES_MAX 16 // each is watched, and has contexts in every worker

struct sidecar_inbound_service {
    char *name;                           // service
    char *as;                             // one of `identities`; NULL: the first identity
    size_t own_index;                     // derived from `as`: 0 is `identity`
    int64_t port;                         // its port
    char *target;                         // "127.0.0.1:8080" or "unix:/path"
    struct config_strings allow;          // SPIFFE IDs and globs; empty: only the view's rules
    struct stream_address target_address; // parsed
    struct config_place place;            // in the file
};
struct sidecar_edge {
    char *listen;                         // own address
    char *service;                        // one of inbound services
    struct stream_address listen_address; // parsed
    struct config_place place;            // in the file
};
struct sidecar_outbound {
    char *listen;                         // "127.0.0.1:8080" or "unix:/path"
    char *service;                        // service name in the view, or for the fixed endpoint
    int64_t port;                         // fixed endpoint: the service's port
    char *endpoint;                       // fixed tunnel address "host:port"; NULL: from the view
    char *identity;                       // fixed: the SPIFFE ID it must prove
    bool is_exposed;                      // key `expose`: may listen on more than loopback
    char *as;                             // one of `identities`; NULL: the first identity
    size_t own_index;                     // derived from `as`: 0 is `identity`
    char *socket_mode;                    // Unix socket permissions, octal; NULL: 0600
    struct stream_address listen_address; // parsed
    int mode;                             // parsed socket_mode
    struct config_place place;            // in the file
};

struct sidecar_config {
    char *path;                              // the file it came from
    struct config_place identity_place;      // in the file
    struct sidecar_identity_control control; // exactly one of control and files
    struct sidecar_identity_files files;
    struct config_list more_identities;    // key `identities`: struct sidecar_more_identity
    char *inbound_listen;                  // tunnel port; default "0.0.0.0:15008"
    struct config_list services;           // struct sidecar_inbound_service
    struct config_list edges;              // struct sidecar_edge
    struct config_list outbound;           // struct sidecar_outbound
    char *health_listen;                   // default "0.0.0.0:15021"
    char *metrics_listen;                  // default "0.0.0.0:15020"
    char *local_listen;                    // key `local.listen`; NULL: SIDECAR_LOCAL_LISTEN
    char *local_group;                     // that may use it; NULL: none
    char *zone;                            // topology zone; NULL: unknown
    int64_t workers;                       // 1..64; 0: one per CPU, at most 8
    bool is_resuming;                      // key `resumption`: TLS sessions are resumed
    int64_t drain_ms;                      // longest drain at SIGTERM
    int64_t connection_grace_ms;           // lives past the peer's notAfter when nothing vouches
    int64_t idle_timeout_ms;               // 0: never
    int64_t connect_timeout_ms;            // to an endpoint or a target
    int64_t vanished_ms;                   // a peer that answers nothing for so long is gone
    int64_t handshakes;                    // of strangers under way, in all workers
    int64_t handshakes_per_source;         // of these from one address
    int64_t view_wait_ms;                  // captured connections wait for the first view
    int log_level, log_format, access_log; // enums
    struct stream_address inbound_address; // parsed
    struct stream_address health_address;  // parsed
    struct stream_address metrics_address; // parsed
    struct stream_address local_address;   // parsed, when has_local
    gid_t local_gid;                       // of local_group; GROUP_NONE: none
    bool has_local;                        // local_listen is not "off"
    uint32_t ref_count;                    // private, atomic
};

// Reads and checks everything that can be checked without a network. Errors: RM_ERR_CONFIG ... with
// file, line and column.
RM_NODISCARD enum rm_err sidecar_config_read(const char *path, struct sidecar_config **out,
                                             struct rm_error *error);
// The files of own identity number `index`: 0 is `identity.files`, others follow `identities`.
const struct sidecar_identity_files *sidecar_config_files(const struct sidecar_config *config,
                                                          size_t index);
struct sidecar_config *sidecar_config_ref(struct sidecar_config *config);
void sidecar_config_unref(struct sidecar_config *config);
