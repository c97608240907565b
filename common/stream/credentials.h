// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who is at the other end of a Unix socket, as the kernel recorded it at connect time.
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "stream/stream.h"

struct stream_credentials {
    uid_t uid; // effective, as are the others
    gid_t gid; // primary group only
    pid_t pid; // for logs: the process may be gone and its number another's
};

// Errors: RM_ERR_UNSUPPORTED (not a Unix socket), RM_ERR_IO.
RM_NODISCARD enum rm_err stream_credentials_get(const struct stream *stream,
                                                struct stream_credentials *out);
