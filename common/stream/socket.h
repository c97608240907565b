// SPDX-License-Identifier: GPL-3.0-or-later
//
// Streams over TCP and Unix sockets, and their listeners.
#pragma once

#include "base/error.h"
#include "stream/stream.h"

#define SOCKET_BACKLOG 4096        // the kernel cuts it to net.core.somaxconn
#define SOCKET_ACCEPT_PER_TURN 64  // so that a storm does not starve established connections
#define SOCKET_ACCEPT_RETRY_MS 100 // pause when descriptors or memory ran out
// A peer that answers nothing for about so long is gone: probes begin after half of it when a
// connection is idle, and bytes under way are looked at twice in it.
#define SOCKET_VANISHED_MS 60000
#define SOCKET_VANISHED_MIN_MS 3000 // the kernel counts seconds
#define SOCKET_PROBES 3             // unanswered ones, of keep-alive or of a zero window: gone

// Parses "10.0.0.1:80", "[::1]:80", ":80" (any, dual stack where there is one) or "unix:/path"
// ("unix:@name" is abstract). Numeric only. Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err socket_address_parse(const char *text, struct stream_address *out,
                                              struct rm_error *error);
bool socket_address_is_loopback(const struct stream_address *address); // or Unix
// Equal address and port.
bool socket_address_equal(const struct stream_address *a, const struct stream_address *b);

// Replaces SOCKET_VANISHED_MS for sockets made later, in the whole process. Thread-safe.
void socket_set_vanished_ms(uint32_t vanished_ms);

// Wraps a connected socket, which it takes (closed on error too). Sets TCP_NODELAY and keep-alive
// on TCP. Errors: RM_ERR_CLOSED (not connected), RM_ERR_NO_MEMORY ...
RM_NODISCARD enum rm_err socket_stream_new(struct loop *loop, int descriptor, struct stream **out);

struct socket_connect;
typedef void (*socket_connect_fn)(void *context, enum rm_err result, struct stream *stream);
// Connects within `timeout_ms`. The callback comes exactly once, later; `stream` is given on RM_OK.
// The result may be any of RM_ERR_REFUSED, _UNREACHABLE, _TIMEOUT, _RESET, _NOT_FOUND (Unix),
// _PERMISSION (Unix), _BUSY (Unix: backlog full) ... Errors: RM_ERR_NO_DESCRIPTORS,
// RM_ERR_NO_MEMORY
// ... (then no callback).
RM_NODISCARD enum rm_err socket_connect(struct loop *loop, const struct stream_address *address,
                                        uint32_t timeout_ms, socket_connect_fn on_connect,
                                        void *context, struct socket_connect **out);
// No callback afterwards.
void socket_connect_cancel(struct socket_connect *connect);

struct listener;
typedef void (*listener_fn)(void *context, struct stream *stream); // gives the stream
struct listener_options {
    struct stream_address address; // where; port 0 lets the kernel choose
    bool reuse_port;               // several listeners share one port (SO_REUSEPORT)
    int unix_mode;                 // permissions of a Unix socket, e.g. 0600
    int unix_uid;                  // its owner, -1: ours
    int unix_gid;                  // its group, -1: ours
    bool has_reserve;              // may use descriptors that others must leave: health, admin
    // Each time it pauses by itself; on_accept's context; or NULL.
    void (*on_shortage)(void *context);
};
// Listens. An existing Unix socket that nobody answers on is replaced; one that answers is
// RM_ERR_ADDRESS_IN_USE. Errors: RM_ERR_ADDRESS_IN_USE, RM_ERR_PERMISSION ... with a sentence that
// names the address, the cause and the fix.
RM_NODISCARD enum rm_err listener_open(struct loop *loop, const struct listener_options *options,
                                       listener_fn on_accept, void *context, struct listener **out,
                                       struct rm_error *error);
const struct stream_address *listener_address(const struct listener *listener);
// Stops accepting without closing; resumes. When descriptors (descriptors.h) or memory run short,
// the listener pauses by itself and looks again after SOCKET_ACCEPT_RETRY_MS. One log line for all
// listeners of the process, until there was no shortage for DESCRIPTORS_QUIET_MS.
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);
// Queued connections are accepted and handed over first, from the loop, when `drain` is set;
// without it on_accept is not called again. The socket is closed, and a Unix socket's path removed,
// on return or right after the last hand-over. Frees itself. Safe inside on_accept.
void listener_close(struct listener *listener, bool drain);
