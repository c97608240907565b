// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who is at the other end of a Unix socket, as the kernel recorded it at connect time, and the one
// rule by which administration over such a socket is admitted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/group.h"
#include "stream/stream.h"

#define STREAM_MAX_GROUPS 256 // of a peer that are looked at
struct stream_credentials {
    uid_t uid;                       // effective
    pid_t pid;                       // for logs: the process may be gone and its number another's
    gid_t groups[STREAM_MAX_GROUPS]; // primary first, then supplementary
    size_t group_count;              // of groups
};

// Errors: RM_ERR_UNSUPPORTED (not a Unix socket), RM_ERR_IO.
RM_NODISCARD enum rm_err stream_credentials_get(const struct stream *stream,
                                                struct stream_credentials *out);
// True for root, our own user, and members of `group` (GROUP_NONE: nobody else).
bool stream_credentials_may_administer(const struct stream_credentials *credentials, gid_t group);
