// SPDX-License-Identifier: GPL-3.0-or-later
#include "stream/credentials.h"

#include <errno.h>

static bool credentials_has_unix_socket(int descriptor)
{
    int domain = AF_UNSPEC;
    socklen_t length = sizeof(domain);
    return descriptor >= 0 &&
           getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
           domain == AF_UNIX;
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
    *out = (struct stream_credentials){.uid = kernel.uid, .gid = kernel.gid, .pid = kernel.pid};
    return RM_OK;
}
