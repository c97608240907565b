// SPDX-License-Identifier: GPL-3.0-or-later
//
// The stream contract: an ordered byte pipe with half-close, over TCP, a Unix socket, memory, or
// TLS over any of these. Pull-based, like a non-blocking socket, so that an idle stream holds no
// buffer and back-pressure is simply not reading. A stream belongs to one loop's thread.
//
// Rules that every implementation keeps and every user may rely on:
// - on_event is called only from the loop, never from inside another stream call.
// - It is level-triggered: while an event is wanted and holds (or may hold), it is called again in
//   each turn. So a user may stop after any amount.
// - on_event may close the stream. After stream_close() on_event is never called again.
// - on_closed is called exactly once, last, from the loop; the stream's memory goes right after.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.h"
#include "identity/peer.h"
#include "loop/loop.h"

enum { STREAM_READ = 1, STREAM_WRITE = 2 };

enum stream_close_mode {
    STREAM_CLOSE_ORDERLY, // flush what was taken (bounded time), say end in both directions, close
    STREAM_CLOSE_ABORT,   // drop what is queued; the other end sees a reset, not an orderly end
};

struct stream;
typedef void (*stream_event_fn)(void *context, unsigned events);
typedef void (*stream_closed_fn)(void *context);

// Where a stream comes from and goes to; for logs and policy. Borrowed from the stream.
struct stream_address {
    struct sockaddr_storage address; // ss_family AF_UNSPEC when unknown (memory)
    socklen_t length;
};

struct stream_ops {
    enum rm_err (*read)(struct stream *stream, uint8_t *bytes, size_t capacity, size_t *length);
    enum rm_err (*write)(struct stream *stream, const struct iovec *parts, int count,
                         size_t *written);
    enum rm_err (*splice_in)(struct stream *stream, struct pipe *pipe, size_t capacity,
                             size_t *length); // NULL unless the stream's bytes are the kernel's
    enum rm_err (*splice_out)(struct stream *stream, struct pipe *pipe, size_t length,
                              size_t *written); // the same
    enum rm_err (*finish)(struct stream *stream);
    void (*want)(struct stream *stream, unsigned events);
    void (*close)(struct stream *stream, enum stream_close_mode mode);
    const struct peer *(*peer)(const struct stream *stream);
    struct stream_address (*remote)(const struct stream *stream);
    struct stream_address (*local)(const struct stream *stream);
    int (*descriptor)(const struct stream *stream);
};

// The head of every stream; implementations embed it first.
struct stream {
    const struct stream_ops *ops; // static
    struct loop *loop;            // it belongs to
    stream_event_fn on_event;     // set by stream_own()
    stream_closed_fn on_closed;   // set by stream_close()
    void *context;                // for on_event
    void *closed_context;         // for on_closed
};

// Names the one user of the stream; replaces an earlier one (a relay takes over from a handshake).
void stream_own(struct stream *stream, stream_event_fn on_event, void *context);

// Reads 1..capacity bytes. RM_ERR_WOULD_BLOCK: want STREAM_READ (a stream that knows that it is
// drained says so again until then); RM_ERR_EOF: the other end finished in order (again on each
// further call); RM_ERR_TRUNCATED: TLS ended without close_notify; RM_ERR_CANCELLED: the other
// end's mesh ended it; RM_ERR_RESET; RM_ERR_TLS.
RM_NODISCARD enum rm_err stream_read(struct stream *stream, uint8_t *bytes, size_t capacity,
                                     size_t *length);
// Takes as much as it can now; *written tells. RM_ERR_WOULD_BLOCK: nothing taken, want
// STREAM_WRITE. Bytes taken are sent in order without further calls. RM_ERR_CLOSED after
// stream_finish().
RM_NODISCARD enum rm_err stream_write(struct stream *stream, const struct iovec *parts, int count,
                                      size_t *written);
RM_NODISCARD enum rm_err stream_write_bytes(struct stream *stream, const void *bytes, size_t length,
                                            size_t *written);
// Whether the stream's bytes can pass through a pipe of its loop's, unseen: sockets without TLS.
bool stream_can_splice(const struct stream *stream);
// As stream_read() and stream_write(), with a pipe as the other end: into an empty one, out of one
// that holds `length` bytes. The process ignores SIGPIPE. RM_ERR_UNSUPPORTED: the kernel will not,
// and nothing was moved; copy instead.
RM_NODISCARD enum rm_err stream_splice_in(struct stream *stream, struct pipe *pipe, size_t capacity,
                                          size_t *length);
RM_NODISCARD enum rm_err stream_splice_out(struct stream *stream, struct pipe *pipe, size_t length,
                                           size_t *written);
// Half-close: no more writes; the end follows what was taken. Reading goes on. Never blocks.
RM_NODISCARD enum rm_err stream_finish(struct stream *stream);
// Which events to be told of (STREAM_READ | STREAM_WRITE); 0 for none.
void stream_want(struct stream *stream, unsigned events);
// Once. `on_closed` may be NULL.
void stream_close(struct stream *stream, enum stream_close_mode mode, stream_closed_fn on_closed,
                  void *context);
// The authenticated other end, or NULL. Borrowed from the stream; peer_ref() to keep.
const struct peer *stream_peer(const struct stream *stream);
// Asked of the kernel where it is not kept: who needs an address again keeps it. Of length 0 when
// it is unknown, as that of a memory pipe.
struct stream_address stream_remote(const struct stream *stream);
struct stream_address stream_local(const struct stream *stream);
// The socket underneath (TLS gives its lower stream's), or -1 for memory. For credentials and
// options only: never read, write or close it.
int stream_descriptor(const struct stream *stream);
// Whether its connection was reset or given up by the kernel, although nothing was read or written
// that would have told; *why says which. False for streams in memory.
bool stream_is_lost(const struct stream *stream, enum rm_err *why);

#define STREAM_ADDRESS_TEXT_BYTES 128
// "10.0.0.1:80", "[::1]:80", "unix:/run/x.sock", "memory".
void stream_address_text(const struct stream_address *address, char out[STREAM_ADDRESS_TEXT_BYTES]);

// Orderly close: longest wait for what is queued and for the peer's end.
#define STREAM_LINGER_MS 5000
