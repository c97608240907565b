// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "http1/http1_internal.h"

static void on_all_closed(void *context)
{
    struct http1_server *server = context;
    void (*done)(void *) = server->done;
    void *done_context = server->done_context;
    loop_close(server->loop);
    rm_free(server);
    if (done != NULL) {
        done(done_context);
    }
}

struct http1_server *http1_server_new(struct loop *loop, http1_handler_fn handler, void *context)
{
    struct http1_server *server = rm_calloc(1, sizeof(*server));
    if (server == NULL) {
        return NULL;
    }
    server->loop = loop;
    server->handler = handler;
    server->context = context;
    list_init(&server->connections);
    deferred_init(&server->closed, on_all_closed, server);
    loop_open(loop);
    return server;
}

// A probe must find room although a crowd is connected and says nothing. False when all are being
// answered.
static bool make_room(struct http1_server *server)
{
    if (server->connection_count < HTTP1_MAX_CONNECTIONS) {
        return true;
    }
    list_each (node, &server->connections) {
        struct http1_connection *connection = list_entry(node, struct http1_connection, node);
        if (sm_is(&connection->sm, HTTP1_READING)) {
            http1_connection_close(connection, STREAM_CLOSE_ABORT);
            return true;
        }
    }
    return false;
}

void http1_server_on_tls(struct http1_server *server, http1_tls_fn on_tls)
{
    server->on_tls = on_tls;
}

void http1_server_accept(struct http1_server *server, struct stream *stream)
{
    if (server->is_closing || !make_room(server)) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return;
    }
    http1_connection_new(server, stream);
}

void http1_server_settle(struct http1_server *server)
{
    if (server->is_closing && server->connection_count == 0) {
        deferred_schedule(server->loop, &server->closed);
    }
}

void http1_server_close(struct http1_server *server, void (*done)(void *context), void *context)
{
    server->is_closing = true;
    server->done = done;
    server->done_context = context;
    list_each_safe (node, following, &server->connections) {
        struct http1_connection *connection = list_entry(node, struct http1_connection, node);
        // An answer on its way is finished first; it ends its connection then.
        if (sm_is(&connection->sm, HTTP1_WRITING)) {
            connection->keeps_alive = false;
        } else {
            http1_connection_close(connection, STREAM_CLOSE_ORDERLY);
        }
    }
    http1_server_settle(server);
}
