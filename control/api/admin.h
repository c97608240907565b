// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora.admin.v1.Admin, the control plane's side: services, join tokens, identities, certificates,
// revocation, status and backup, for operators. Every method asks access_check() first; every
// change goes through the room that owns it, with the caller's name for the audit log. Belongs to
// the control loop.
// Life: admin_api_new -> admin_api_add_to (each server) -> admin_api_free.
#pragma once

#include <stdint.h>

#include "api/access.h"
#include "attest/attest.h"
#include "base/error.h"
#include "ca/authority.h"
#include "loop/loop.h"
#include "push/push.h"
#include "registry/registry.h"
#include "rpc/rpc.h"
#include "store/store.h"

#define ADMIN_API_DEFAULT_TOKEN_LIFETIME_S 3600 // when a request names none
#define ADMIN_API_BACKUP_CHUNK_BYTES 65536      // of one piece of a backup
#define ADMIN_API_MAX_CALLS 64                  // under way at once; beyond: RESOURCE_EXHAUSTED

struct admin_api;

// Everything is borrowed for the life of the API.
struct admin_api_options {
    struct loop *loop;           // the control loop
    struct store *store;         // open
    struct registry *registry;   // ready
    struct push *push;           // whom it knows as connected
    struct attest *attest;       // loaded
    struct authority *authority; // loaded
    struct access *access;       // asked by every method
    const char *trust_domain;    // own; copied
    const char *address;         // where workloads connect, for GetStatus: "10.0.0.1:15010"
    const char *data_folder;     // a backup lies here, unlinked, while it is sent; copied
    int64_t started_at_s;        // of this process, Unix seconds
};

// Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err admin_api_new(const struct admin_api_options *options,
                                       struct admin_api **out);
// Registers the methods; for each server once. Errors: RM_ERR_EXISTS, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err admin_api_add_to(struct admin_api *api, struct rpc_server *server);
// After the last call closed (rpc_server_drain's done). Answers of the store that are still on
// their way are awaited; none of the other rooms is touched any more. `api` may be NULL.
void admin_api_free(struct admin_api *api);
