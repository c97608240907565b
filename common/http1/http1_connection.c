// SPDX-License-Identifier: GPL-3.0-or-later
//
// One connection: a head in, an answer out, and again. While an answer leaves nothing is read, so a
// client that pipelines costs no more than HTTP1_MAX_HEAD_BYTES.
#include <string.h>

#include "base/alloc.h"
#include "http1/http1_internal.h"

static const struct sm_state states[] = {
    [HTTP1_READING] = {"reading", SM_BIT(HTTP1_WRITING) | SM_BIT(HTTP1_CLOSING)},
    [HTTP1_WRITING] = {"writing", SM_BIT(HTTP1_READING) | SM_BIT(HTTP1_CLOSING)},
    [HTTP1_CLOSING] = {"closing", 0},
};

static void on_closed(void *context)
{
    struct http1_connection *connection = context;
    struct http1_server *server = connection->server;
    list_remove(&connection->node);
    server->connection_count--;
    rm_free(connection);
    http1_server_settle(server);
}

void http1_connection_close(struct http1_connection *connection, enum stream_close_mode mode)
{
    if (sm_is(&connection->sm, HTTP1_CLOSING)) {
        return;
    }
    sm_move(&connection->sm, HTTP1_CLOSING);
    timer_stop(&connection->timer);
    buffer_deinit(&connection->in);
    buffer_deinit(&connection->head);
    buffer_deinit(&connection->body);
    stream_close(connection->stream, mode, on_closed, connection);
}

static void on_deadline(void *context)
{
    http1_connection_close(context, STREAM_CLOSE_ABORT);
}

// False: the connection was closed for want of memory.
static bool start_timer(struct http1_connection *connection, uint64_t delay_ms)
{
    if (timer_start(&connection->timer, delay_ms) != RM_OK) {
        http1_connection_close(connection, STREAM_CLOSE_ABORT);
        return false;
    }
    return true;
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Status";
    }
}

// Makes the answer ready to leave. Errors: RM_ERR_NO_MEMORY, RM_ERR_TOO_LARGE.
static enum rm_err compose(struct http1_connection *connection, const struct http1_answer *answer,
                           bool has_body)
{
    RM_TRY(buffer_printf(&connection->head,
                         "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                         "Cache-Control: no-store\r\n%s%s\r\n",
                         answer->status, status_text(answer->status), answer->content_type,
                         buffer_length(&answer->body),
                         answer->status == 405 ? "Allow: GET, HEAD\r\n" : "",
                         connection->keeps_alive ? "" : "Connection: close\r\n"));
    if (has_body) {
        connection->body = answer->body;
    }
    return RM_OK;
}

static void write_answer(struct http1_connection *connection, struct http1_answer *answer,
                         bool has_body)
{
    sm_move(&connection->sm, HTTP1_WRITING);
    enum rm_err result = compose(connection, answer, has_body);
    if (result != RM_OK || !has_body) {
        buffer_deinit(&answer->body);
    }
    if (result != RM_OK) {
        http1_connection_close(connection, STREAM_CLOSE_ABORT);
        return;
    }
    if (start_timer(connection, HTTP1_ANSWER_TIMEOUT_MS)) {
        stream_want(connection->stream, STREAM_WRITE);
    }
}

// What cannot be understood ends the connection: where the next request begins is unknown.
static void refuse(struct http1_connection *connection, int status)
{
    struct http1_answer answer = {.status = status, .content_type = "text/plain"};
    buffer_init(&answer.body, HTTP1_MAX_ANSWER_BYTES);
    connection->keeps_alive = false;
    write_answer(connection, &answer, false);
}

static void answer_request(struct http1_connection *connection, const struct http1_head *head)
{
    struct http1_server *server = connection->server;
    struct http1_answer answer = {.status = 500, .content_type = "text/plain"};
    buffer_init(&answer.body, HTTP1_MAX_ANSWER_BYTES);
    server->handler(server->context, &head->request, &answer);
    connection->keeps_alive = head->keeps_alive && !server->is_closing;
    write_answer(connection, &answer, !head->is_head_method);
}

static void drop_blank_lines(struct buffer *in)
{
    for (int i = 0; i < HTTP1_MAX_PIPELINED_BLANKS; i++) {
        if (buffer_length(in) >= 2 && memcmp(buffer_data(in), "\r\n", 2) == 0) {
            buffer_consume(in, 2);
        }
    }
}

// A client that speaks TLS begins with a handshake record: RFC 8446 5.1.
static void note_tls(const struct http1_connection *connection)
{
    static const uint8_t handshake_record[] = {22, 3};
    const struct http1_server *server = connection->server;
    if (server->on_tls != NULL && buffer_length(&connection->in) >= sizeof(handshake_record) &&
        memcmp(buffer_data(&connection->in), handshake_record, sizeof(handshake_record)) == 0) {
        const struct stream_address remote = stream_remote(connection->stream);
        server->on_tls(server->context, &remote);
    }
}

// Looks at what was read. True: something was answered.
static bool look_for_request(struct http1_connection *connection)
{
    drop_blank_lines(&connection->in);
    size_t head_bytes = 0;
    size_t length = buffer_length(&connection->in);
    enum rm_err result = http1_head_find(buffer_data(&connection->in), length, &head_bytes);
    if (result == RM_ERR_WOULD_BLOCK && length < HTTP1_MAX_HEAD_BYTES) {
        return false;
    }
    if (result != RM_OK) {
        note_tls(connection);
        refuse(connection, result == RM_ERR_WOULD_BLOCK ? 431 : 400);
        return true;
    }
    struct http1_head head;
    // The buffer is ours: the parser cuts it into strings.
    char *bytes = (char *)connection->in.bytes + connection->in.start;
    int status = http1_head_parse(bytes, head_bytes, &head);
    if (status != 0) {
        refuse(connection, status);
        return true;
    }
    answer_request(connection, &head);
    if (!sm_is(&connection->sm, HTTP1_CLOSING)) {
        buffer_consume(&connection->in, head_bytes);
    }
    return true;
}

static void read_next(struct http1_connection *connection)
{
    bool is_idle = buffer_length(&connection->in) == 0;
    if (is_idle) {
        buffer_deinit(&connection->in); // an idle connection holds no memory
    }
    if (start_timer(connection, is_idle ? HTTP1_IDLE_TIMEOUT_MS : HTTP1_HEAD_TIMEOUT_MS)) {
        stream_want(connection->stream, STREAM_READ);
    }
}

static void on_readable(struct http1_connection *connection)
{
    bool is_first = buffer_length(&connection->in) == 0;
    uint8_t *space = NULL;
    size_t length = 0;
    size_t room = HTTP1_MAX_HEAD_BYTES - buffer_length(&connection->in);
    enum rm_err result = buffer_reserve(&connection->in, room, &space);
    if (result == RM_OK) {
        result = stream_read(connection->stream, space, room, &length);
    }
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    if (result != RM_OK) {
        http1_connection_close(connection,
                               result == RM_ERR_EOF ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT);
        return;
    }
    buffer_commit(&connection->in, length);
    // The head's deadline runs from its first byte; later bytes do not move it.
    if (!look_for_request(connection) && is_first) {
        (void)start_timer(connection, HTTP1_HEAD_TIMEOUT_MS);
    }
}

static void on_answered(struct http1_connection *connection)
{
    buffer_deinit(&connection->head);
    buffer_deinit(&connection->body);
    if (!connection->keeps_alive) {
        http1_connection_close(connection, STREAM_CLOSE_ORDERLY);
        return;
    }
    sm_move(&connection->sm, HTTP1_READING);
    if (buffer_length(&connection->in) == 0 || !look_for_request(connection)) {
        read_next(connection);
    }
}

static void on_writable(struct http1_connection *connection)
{
    struct iovec parts[2] = {
        {(void *)buffer_data(&connection->head), buffer_length(&connection->head)},
        {(void *)buffer_data(&connection->body), buffer_length(&connection->body)},
    };
    size_t written = 0;
    int count = parts[1].iov_len > 0 ? 2 : 1;
    struct iovec *first = parts[0].iov_len > 0 ? parts : parts + 1;
    enum rm_err result =
        stream_write(connection->stream, first, first == parts ? count : 1, &written);
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    if (result != RM_OK) {
        http1_connection_close(connection, STREAM_CLOSE_ABORT);
        return;
    }
    size_t from_head = written < parts[0].iov_len ? written : parts[0].iov_len;
    buffer_consume(&connection->head, from_head);
    buffer_consume(&connection->body, written - from_head);
    if (buffer_length(&connection->head) + buffer_length(&connection->body) == 0) {
        on_answered(connection);
    }
}

static void on_event(void *context, unsigned events)
{
    struct http1_connection *connection = context;
    if (sm_is(&connection->sm, HTTP1_READING) && (events & STREAM_READ) != 0) {
        on_readable(connection);
    } else if (sm_is(&connection->sm, HTTP1_WRITING) && (events & STREAM_WRITE) != 0) {
        on_writable(connection);
    }
}

void http1_connection_new(struct http1_server *server, struct stream *stream)
{
    struct http1_connection *connection = rm_calloc(1, sizeof(*connection));
    if (connection == NULL) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return;
    }
    connection->server = server;
    connection->stream = stream;
    sm_init(&connection->sm, "http1", 0, states, HTTP1_READING);
    buffer_init(&connection->in, HTTP1_MAX_HEAD_BYTES);
    buffer_init(&connection->head, HTTP1_MAX_ANSWER_HEAD_BYTES);
    buffer_init(&connection->body, HTTP1_MAX_ANSWER_BYTES);
    timer_init(&connection->timer, server->loop, on_deadline, connection);
    list_append(&server->connections, &connection->node);
    server->connection_count++;
    stream_own(stream, on_event, connection);
    // A fresh connection has asked for nothing yet: it gets the short deadline, not the idle one.
    if (start_timer(connection, HTTP1_HEAD_TIMEOUT_MS)) {
        stream_want(stream, STREAM_READ);
    }
}
