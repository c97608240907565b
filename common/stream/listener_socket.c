// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/listener_internal.h"
#include "stream/socket_internal.h"

// --- Sentences for people. -----------------------------------------------------------------------

static enum rm_err listener_explain(const struct stream_address *address, int system_error,
                                    struct rm_error *error)
{
    char text[STREAM_ADDRESS_TEXT_BYTES];
    stream_address_text(address, text);
    enum rm_err code = rm_err_from_errno(system_error);
    bool is_unix = address->address.ss_family == AF_UNIX;
    switch (system_error) {
    case EADDRINUSE:
        if (is_unix) {
            return rm_error_set(error, code,
                                "cannot listen on %s: another process listens there; find it with "
                                "`ss -lxp`, stop it or choose another path",
                                text);
        }
        return rm_error_set(error, code,
                            "cannot listen on %s: another process uses this port; find it with "
                            "`ss -ltnp 'sport = %s'`, stop it or choose another port",
                            text, strrchr(text, ':'));
    case EACCES:
    case EPERM:
        return rm_error_set(error, code,
                            is_unix ? "cannot listen on %s: permission denied; the folder must be "
                                      "writable for us"
                                    : "cannot listen on %s: permission denied; ports below 1024 "
                                      "need CAP_NET_BIND_SERVICE, or choose a higher one",
                            text);
    case EADDRNOTAVAIL:
        return rm_error_set(error, RM_ERR_CONFIG,
                            "cannot listen on %s: no interface of this machine has this address; "
                            "`ip address` lists those it has",
                            text);
    case ENOENT:
    case ENOTDIR:
        return rm_error_set(
            error, code, "cannot listen on %s: the folder does not exist; create it first", text);
    default:
        return rm_error_set_errno(error, system_error, "cannot listen on %s", text);
    }
}

// --- Unix sockets. -------------------------------------------------------------------------------

// Nobody answers on a socket whose owner died without removing it.
static bool listener_is_stale(const struct stream_address *address)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return false;
    }
    bool is_refused =
        connect(probe, (const struct sockaddr *)&address->address, address->length) != 0 &&
        errno == ECONNREFUSED;
    (void)close(probe);
    return is_refused;
}

static enum rm_err listener_clear_path(const struct stream_address *address, const char *path,
                                       struct rm_error *error)
{
    struct stat found;
    if (lstat(path, &found) != 0) {
        return errno == ENOENT ? RM_OK : listener_explain(address, errno, error);
    }
    if (!S_ISSOCK(found.st_mode)) {
        return rm_error_set(
            error, RM_ERR_EXISTS,
            "cannot listen on unix:%s: the file there is no socket; move it away or "
            "choose another path",
            path);
    }
    if (!listener_is_stale(address)) {
        return listener_explain(address, EADDRINUSE, error);
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return listener_explain(address, errno, error);
    }
    return RM_OK;
}

// Nobody can connect before listen(), so the path may have any mode until then.
static enum rm_err listener_set_owner(const struct listener_options *options, const char *path,
                                      struct rm_error *error)
{
    if ((options->unix_uid >= 0 || options->unix_gid >= 0) &&
        lchown(path, options->unix_uid >= 0 ? (uid_t)options->unix_uid : (uid_t)-1,
               options->unix_gid >= 0 ? (gid_t)options->unix_gid : (gid_t)-1) != 0) {
        return rm_error_set_errno(error, errno,
                                  "cannot give unix:%s to user %d and group %d: that needs "
                                  "CAP_CHOWN, or membership in the group",
                                  path, options->unix_uid, options->unix_gid);
    }
    if (chmod(path, (mode_t)options->unix_mode) != 0) {
        return rm_error_set_errno(error, errno, "cannot set the mode of unix:%s to %04o", path,
                                  (unsigned)options->unix_mode);
    }
    return RM_OK;
}

static enum rm_err listener_bind_path(const struct listener_options *options, const char *path,
                                      struct listener_socket *out, struct rm_error *error)
{
    RM_TRY(listener_clear_path(&options->address, path, error));
    if (bind(out->descriptor, (const struct sockaddr *)&options->address.address,
             options->address.length) != 0) {
        return listener_explain(&options->address, errno, error);
    }
    struct stat made;
    if (lstat(path, &made) != 0) {
        return listener_explain(&options->address, errno, error);
    }
    out->has_path = true;
    out->device = made.st_dev;
    out->inode = made.st_ino;
    return listener_set_owner(options, path, error);
}

// --- All sockets. --------------------------------------------------------------------------------

static enum rm_err listener_bind(const struct listener_options *options,
                                 struct listener_socket *out, struct rm_error *error)
{
    const char *path = NULL;
    if (socket_address_unix_path(&options->address, &path) > 0 && path[0] != '\0') {
        return listener_bind_path(options, path, out, error);
    }
    const int on = 1;
    const int off = 0;
    if (options->address.address.ss_family != AF_UNIX) {
        // A restart must not wait for connections that are still being forgotten.
        (void)setsockopt(out->descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (options->address.address.ss_family == AF_INET6) {
        (void)setsockopt(out->descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    if (options->reuse_port &&
        setsockopt(out->descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
        return listener_explain(&options->address, errno, error);
    }
    if (bind(out->descriptor, (const struct sockaddr *)&options->address.address,
             options->address.length) != 0) {
        return listener_explain(&options->address, errno, error);
    }
    return RM_OK;
}

// On a machine without IPv6, any address is IPv4's.
static void listener_fall_back_to_v4(struct listener_options *options)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(void *)&options->address.address;
    if (options->address.address.ss_family != AF_INET6 ||
        !IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
        return;
    }
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6->sin6_port};
    memset(&options->address, 0, sizeof(options->address));
    memcpy(&options->address.address, &v4, sizeof(v4));
    options->address.length = sizeof(v4);
}

static int listener_make_socket(struct listener_options *options)
{
    const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int descriptor = socket(options->address.address.ss_family, type, 0);
    if (descriptor < 0 && errno == EAFNOSUPPORT) {
        listener_fall_back_to_v4(options);
        descriptor = socket(options->address.address.ss_family, type, 0);
    }
    return descriptor;
}

enum rm_err listener_socket_open(const struct listener_options *given, struct listener_socket *out,
                                 struct rm_error *error)
{
    struct listener_options options = *given;
    *out = (struct listener_socket){.descriptor = listener_make_socket(&options)};
    if (out->descriptor < 0) {
        return listener_explain(&given->address, errno, error);
    }
    out->address = options.address;
    enum rm_err result = listener_bind(&options, out, error);
    if (result != RM_OK) {
        goto failed;
    }
    // What accepted sockets inherit need not be set on each of them.
    socket_options_set(out->descriptor, options.address.address.ss_family);
    out->address.length = sizeof(out->address.address);
    if (listen(out->descriptor, SOCKET_BACKLOG) != 0 ||
        getsockname(out->descriptor, (struct sockaddr *)&out->address.address,
                    &out->address.length) != 0) {
        result = listener_explain(&options.address, errno, error);
        goto failed;
    }
    return RM_OK;

failed:
    listener_socket_close(out);
    return result;
}

void listener_socket_close(struct listener_socket *socket)
{
    const char *path = NULL;
    struct stat found;
    if (socket->has_path && socket_address_unix_path(&socket->address, &path) > 0 &&
        lstat(path, &found) == 0 && found.st_dev == socket->device &&
        found.st_ino == socket->inode) {
        (void)unlink(path);
    }
    socket->has_path = false;
    (void)close(socket->descriptor);
    socket->descriptor = -1;
}
