// SPDX-License-Identifier: GPL-3.0-or-later
#include "stream/credentials.h"

#include <errno.h>
#include <unistd.h>

static bool credentials_has_unix_socket(int descriptor)
{
    int domain = AF_UNSPEC;
    socklen_t length = sizeof(domain);
    return descriptor >= 0 &&
           getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
           domain == AF_UNIX;
}

// Groups beyond the primary one. A peer that has more of them than we look at keeps only its
// primary group: access is not widened by guessing.
static void credentials_read_groups(int descriptor, struct stream_credentials *out)
{
    socklen_t bytes = (socklen_t)((STREAM_MAX_GROUPS - 1) * sizeof(gid_t));
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, &out->groups[1], &bytes) == 0) {
        out->group_count += bytes / sizeof(gid_t);
    }
}

enum rm_err stream_credentials_get(const struct stream *stream, struct stream_credentials *out)
{
    int descriptor = stream_descriptor(stream);
    if (!credentials_has_unix_socket(descriptor)) {
        return RM_ERR_UNSUPPORTED;
    }
    struct ucred kernel;
    socklen_t length = sizeof(kernel);
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &kernel, &length) != 0) {
        return rm_err_from_errno(errno);
    }
    if (length != sizeof(kernel)) {
        return RM_ERR_IO;
    }
    *out = (struct stream_credentials){
        .uid = kernel.uid, .pid = kernel.pid, .groups = {kernel.gid}, .group_count = 1};
    credentials_read_groups(descriptor, out);
    return RM_OK;
}

bool stream_credentials_may_administer(const struct stream_credentials *credentials, gid_t group)
{
    if (credentials->uid == 0 || credentials->uid == geteuid()) {
        return true;
    }
    for (size_t i = 0; i < credentials->group_count && group != GROUP_NONE; i++) {
        if (credentials->groups[i] == group) {
            return true;
        }
    }
    return false;
}
