// SPDX-License-Identifier: GPL-3.0-or-later
//
// The control plane's configuration as read from YAML (common/config). Immutable; a reload reads a
// new one and takes over what may change while it runs.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/group.h"
#include "base/log.h"
#include "base/secret.h"
#include "config/config.h"
#include "stream/socket.h"

#define CONTROL_KEK_BYTES 32                 // AES-256
#define CONTROL_KEK_CREDENTIAL "remora-kek"  // name in $CREDENTIALS_DIRECTORY
#define CONTROL_LEAST_LIFETIME_MS 300000     // of certificates
#define CONTROL_LEAST_TEST_LIFETIME_MS 10000 // with test_lifetimes
#define CONTROL_MOST_LIFETIME_MS 86400000    // of certificates
enum control_mode { CONTROL_MODE_SELF, CONTROL_MODE_OFFLINE_ROOT };

struct control_limits {
    int64_t attestations_per_second; // per source address, without an SVID
    int64_t attestation_burst;       // the same, at once
    int64_t signings_per_second;     // per source address, of all kinds
    int64_t signing_burst;           // the same, at once
};

struct control_certificates {
    int64_t lifetime_ms; // unless a workload asks for another
    int64_t minimum_ms;  // shortest a workload may ask for
    int64_t maximum_ms;  // longest
    struct config_place place;
};

struct control_config {
    char *trust_domain;              // own
    char *data_dir;                  // 0700
    char *listen;                    // gRPC over TLS
    struct config_strings dns_names; // of the control plane's own certificate
    char *admin_socket_path;         // NULL: <data_dir>/admin.sock
    char *admin_group;               // name or number; NULL: none
    struct config_strings admins;    // SPIFFE IDs that administer over TCP
    char *kek_file;                  // NULL: the systemd credential, else <data_dir>/kek
    struct control_certificates certificates;
    bool is_test_lifetimes; // lifetimes down to 10 s
    int mode;               // enum control_mode, of init
    char *health_listen;    // /healthz/live, /healthz/ready, /metrics
    int log_level;          // enum log_level
    int log_format;         // enum log_format
    struct control_limits limits;
    int64_t drain_ms; // for calls under way at SIGTERM

    char *path;                           // of the file; owned
    char *admin_path;                     // of the socket; owned
    char *kek_path;                       // owned
    bool is_kek_in_data_dir;              // convenient, and less safe
    gid_t admin_gid;                      // GROUP_NONE: none
    struct stream_address listen_address; // parsed
    struct stream_address health_address; // parsed
    struct stream_address admin_address;  // parsed
    struct config_place admins_place;     // of the key
    struct config_place group_place;      // of admin_socket.group
    struct config_place socket_place;     // of admin_socket.path
};

// Errors: RM_ERR_CONFIG ... with file, line and column.
RM_NODISCARD enum rm_err control_config_read(const char *path, struct control_config **out,
                                             struct rm_error *error);
// `config` may be NULL.
void control_config_free(struct control_config *config);
// What a running control plane cannot change: RM_ERR_CONFIG names the first such key that differs.
RM_NODISCARD enum rm_err control_config_check_reload(const struct control_config *current,
                                                     const struct control_config *next,
                                                     struct rm_error *error);

// --- kek.c: the key-encryption key's file: 64 hex digits, or 32 bytes as they are.
RM_NODISCARD enum rm_err kek_read(const struct control_config *config, struct secret *out,
                                  struct rm_error *error);
// Makes the file (0600) when it is not there; *was_made tells.
RM_NODISCARD enum rm_err kek_make(const struct control_config *config, bool *was_made,
                                  struct rm_error *error);
