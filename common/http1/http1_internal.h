// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the http1 room: judging a request head, and one connection.
#pragma once

#include "base/list.h"
#include "base/machine.h"
#include "http1/http1.h"
#include "loop/loop.h"

#define HTTP1_MAX_PIPELINED_BLANKS 2  // empty lines before a request (RFC 9112 2.2: at least one)
#define HTTP1_ANSWER_TIMEOUT_MS 30000 // for the whole answer to be taken
#define HTTP1_MAX_ANSWER_HEAD_BYTES 512

// --- http1_head.c ---
// A request head that was judged. Points into the connection's own bytes.
struct http1_head {
    struct http1_request request; // for the handler
    bool is_head_method;          // HEAD: the answer has no body
    bool keeps_alive;             // the client may ask again
};

// Length of the head at the front of `bytes` with its final empty line. RM_ERR_WOULD_BLOCK: more
// are needed. RM_ERR_MALFORMED: a byte that no head contains.
RM_NODISCARD enum rm_err http1_head_find(const uint8_t *bytes, size_t length, size_t *head_bytes);
// Judges a whole head, writing NULs into it. Gives 0, or the HTTP status to refuse it with.
int http1_head_parse(char *bytes, size_t length, struct http1_head *head);

// --- http1_connection.c ---
// READING --whole head--> WRITING --answer left, keep-alive--> READING
//    \--------- end, error, deadline ---------/--> CLOSING --on_closed--> freed
enum http1_state { HTTP1_READING, HTTP1_WRITING, HTTP1_CLOSING };

struct http1_connection {
    struct list node;            // in server->connections
    struct sm sm;                // enum http1_state
    struct http1_server *server; // borrowed
    struct stream *stream;       // owned
    struct buffer in;            // requests not answered yet; empty when idle
    struct buffer head;          // of the answer; head, then body
    struct buffer body;          // of the answer
    bool keeps_alive;            // after the answer that is being written
    struct timer timer;          // head, answer or idle deadline
};

struct http1_server {
    struct loop *loop;           // borrowed
    http1_handler_fn handler;    // answers
    http1_tls_fn on_tls;         // told of clients that speak TLS; NULL: nobody is
    void *context;               // for handler and on_tls
    struct list connections;     // struct http1_connection
    size_t connection_count;     // in it
    bool is_closing;             // no new connections
    struct deferred closed;      // tells of the end
    void (*done)(void *context); // may be NULL
    void *done_context;          // for done
};

// Takes the stream.
void http1_connection_new(struct http1_server *server, struct stream *stream);
void http1_connection_close(struct http1_connection *connection, enum stream_close_mode mode);
// The last connection may be gone.
void http1_server_settle(struct http1_server *server);
