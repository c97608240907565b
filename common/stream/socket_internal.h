// SPDX-License-Identifier: GPL-3.0-or-later
//
// A stream over a TCP or Unix socket. The kernel holds all of its bytes; the stream itself holds
// none.
//
//   OPEN --close orderly, peer's end not seen--> LINGERING --peer's end, or too late--> CLOSED
//   OPEN --close abort, or nothing to wait for--> CLOSED --next turn--> on_closed, freed
#pragma once

#include <netinet/in.h>

#include "loop/loop.h"
#include "stream/socket.h"
#include "stream/stream.h"

#define SOCKET_DISCARD_PER_TURN 65536 // bytes thrown away in one turn while lingering

enum socket_state { SOCKET_OPEN, SOCKET_LINGERING, SOCKET_CLOSED };

struct socket_stream {
    struct stream head;     // first
    struct watch *watch;    // on `descriptor`; owned
    struct timer timer;     // OPEN: looks for a stalled peer; LINGERING: its end
    struct deferred closed; // calls on_closed and frees
    uint64_t acked_bytes;   // at the last look for a stall
    union {
        sa_family_t family;     // AF_UNIX: the kernel is asked when it must be
        struct sockaddr_in v4;  // kept, for the kernel forgets it when the connection dies
        struct sockaddr_in6 v6; // the same
    } remote;
    int descriptor;       // owned; -1 once closed
    enum rm_err error;    // first failure; a later read must not take it for an orderly end
    uint8_t state;        // enum socket_state
    bool is_finished : 1; // our end was sent
    bool has_ended : 1;   // the peer's end was read
    bool is_drained : 1;  // a read came back short: nothing to read before the next event
    bool is_full : 1;     // a write came back short: no room before the next event
    bool was_unacked : 1; // bytes were under way at the last look for a stall
};

// Takes `descriptor` (non-blocking) even on error. `remote` is borrowed. Errors: RM_ERR_NO_MEMORY
// ...
RM_NODISCARD enum rm_err socket_stream_adopt(struct loop *loop, int descriptor,
                                             const struct stream_address *remote,
                                             struct stream **out);
// Before a read: RM_OK when it is worth asking the kernel.
RM_NODISCARD enum rm_err socket_may_read(const struct socket_stream *socket);
// The same before a write.
RM_NODISCARD enum rm_err socket_may_write(const struct socket_stream *socket);
// What the kernel's answer to a read (bytes, 0 for the end, -1 and errno) means.
RM_NODISCARD enum rm_err socket_on_read(struct socket_stream *socket, ssize_t result,
                                        size_t *length);
// What its answer to a write of `length` bytes means.
RM_NODISCARD enum rm_err socket_on_write(struct socket_stream *socket, ssize_t result,
                                         size_t length, size_t *written);
enum rm_err socket_splice_in(struct stream *stream, struct pipe *pipe, size_t capacity,
                             size_t *length);
enum rm_err socket_splice_out(struct stream *stream, struct pipe *pipe, size_t length,
                              size_t *written);
// Closes the descriptor and lets on_closed follow.
void socket_stream_release(struct socket_stream *socket);
// Ends our side and waits for the peer's, or releases at once when there is nothing to wait for.
void socket_linger_start(struct socket_stream *socket);
// The descriptor is readable while lingering.
void socket_linger_on_readable(struct socket_stream *socket);
// Bytes were sent: someone must look whether they arrive.
void socket_stall_watch(struct socket_stream *socket);
// Between two looks.
uint32_t socket_stall_period_ms(void);
void socket_stall_on_timer(struct socket_stream *socket);

// Keep-alive and no delay, on TCP. Accepted sockets inherit them from their listener's.
void socket_options_set(int descriptor, int family);
// Whether close() resets. TCP starts so: when the process dies, the kernel must not end for us what
// we never ended. An orderly close takes it back.
void socket_options_set_reset(int descriptor, bool is_reset);

// Turns ::ffff:10.0.0.1 into 10.0.0.1: an address has one form for policy and logs.
void socket_address_unmap(struct stream_address *address);
// Bytes of the path or abstract name (which begins with a NUL); 0 for unnamed and other families.
size_t socket_address_unix_path(const struct stream_address *address, const char **path);
