// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who may call what: one table of method paths and the class of caller each wants. Every method's
// on_open asks here first; a method that the table does not know is refused. Belongs to the control
// loop.
//
//   class     over the Unix socket                    over TCP
//   anyone    yes                                     yes, unless an SVID was shown and is revoked
//   workload  no: it has no SVID                      a live, unrevoked SVID of the own trust
//   domain admin     root, our own user, the admin group     such an SVID whose SPIFFE ID is listed
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/group.h"
#include "identity/trust.h"
#include "rpc/rpc.h"

enum access_class { ACCESS_NOBODY = 0, ACCESS_ANYONE, ACCESS_WORKLOAD, ACCESS_ADMIN };

struct access_rule {
    const char *path;         // "/remora.identity.v1.Identity/Issue"
    enum access_class caller; // that may call it
};
// The table; for tests and for whoever lists it.
const struct access_rule *access_rules(size_t *count);
// ACCESS_NOBODY for a path that is not in the table.
enum access_class access_class_of(const char *path);

// What the control plane judges its callers by, now: roots and withdrawals. Borrowed until the next
// turn of the loop; NULL refuses every SVID.
struct trust_source {
    struct trust_snapshot *(*trust)(void *context); // asked at each call
    void *context;                                  // for it
};

struct access_options {
    const char *trust_domain;   // own; copied
    const char *const *admins;  // SPIFFE IDs; copied
    size_t admin_count;         // of admins
    gid_t admin_group;          // GROUP_NONE: none
    struct trust_source source; // copied; must outlive it
};

struct access;
// Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err access_new(const struct access_options *options, struct access **out);
void access_free(struct access *access);
// New admins and group after a reload; what was there stays on an error.
RM_NODISCARD enum rm_err access_set_admins(struct access *access, const char *const *admins,
                                           size_t count, gid_t group);

// For a method's on_open: RPC_OK, or the status to return with *text (borrowed until the next
// call): UNAUTHENTICATED, or PERMISSION_DENIED with the exact reason. Refusals are logged.
enum rpc_status access_check(struct access *access, struct rpc_call *call, const char *path,
                             const char **text);
// The same question again for a stream that stands: false once its caller's SVID is withdrawn.
bool access_still_holds(struct access *access, const struct peer *peer);

#define ACCESS_ACTOR_BYTES 2176 // a SPIFFE ID, or a source address
// Who calls, for audit records: the SPIFFE ID, "uid 0" for a Unix peer, or the source address.
void access_actor(struct rpc_call *call, char out[ACCESS_ACTOR_BYTES]);
