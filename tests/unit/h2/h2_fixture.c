// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

#include <stdio.h>

static void write_fields(char *out, size_t capacity, const struct h2_header *headers, size_t count)
{
    size_t used = strlen(out);
    for (size_t i = 0; i < count && used < capacity; i++) {
        assert_int_equal(strlen(headers[i].name), headers[i].name_length);
        assert_int_equal(strlen(headers[i].value), headers[i].value_length);
        int n =
            snprintf(out + used, capacity - used, "%s: %s\n", headers[i].name, headers[i].value);
        used += (size_t)n;
    }
}

static struct habits *habits_of(struct tap *tap)
{
    return tap->is_server ? &tap->world->server.habits : &tap->world->client.habits;
}

static void tap_on_headers(void *context, const struct h2_header *headers, size_t count,
                           bool is_trailer, bool is_end)
{
    (void)is_end;
    struct tap *tap = context;
    assert_int_equal(tap->close_count, 0);
    if (is_trailer) {
        tap->trailer_count++;
        write_fields(tap->trailers, sizeof(tap->trailers), headers, count);
    } else {
        tap->head_count++;
        write_fields(tap->head, sizeof(tap->head), headers, count);
    }
    if (habits_of(tap)->on_headers != NULL) {
        habits_of(tap)->on_headers(tap->world, tap);
    }
}

static void tap_on_data(void *context, const uint8_t *bytes, size_t length)
{
    struct tap *tap = context;
    assert_int_equal(tap->close_count, 0);
    if (tap->body_length + length > tap->body_capacity) {
        tap->body_capacity = 2 * (tap->body_length + length);
        tap->body = realloc(tap->body, tap->body_capacity);
    }
    memcpy(tap->body + tap->body_length, bytes, length);
    tap->body_length += length;
    if (habits_of(tap)->consumes) {
        h2_stream_consume(tap->stream, length);
    }
    if (habits_of(tap)->on_data != NULL) {
        habits_of(tap)->on_data(tap->world, tap);
    }
}

static void tap_on_end(void *context)
{
    struct tap *tap = context;
    tap->end_count++;
    if (habits_of(tap)->echoes) {
        tap_respond(tap, false);
        if (h2_stream_send(tap->stream, tap->body, tap->body_length, false) == RM_OK) {
            tap_trailers(tap, "0");
        }
    }
    if (habits_of(tap)->on_end != NULL) {
        habits_of(tap)->on_end(tap->world, tap);
    }
}

static void tap_on_writable(void *context)
{
    struct tap *tap = context;
    assert_int_equal(tap->close_count, 0);
    tap->writable_count++;
}

static void tap_on_close(void *context, uint32_t code)
{
    struct tap *tap = context;
    tap->close_count++;
    tap->close_code = code;
    tap->stream = NULL;
    if (habits_of(tap)->on_close != NULL) {
        habits_of(tap)->on_close(tap->world, tap);
    }
}

static const struct h2_stream_handler tap_handler = {
    tap_on_headers, tap_on_data, tap_on_end, tap_on_writable, tap_on_close,
};

static struct tap *tap_new(struct world *world, struct side *side)
{
    assert_true(side->tap_count < MAX_TAPS);
    struct tap *tap = &side->taps[side->tap_count++];
    tap->world = world;
    tap->is_server = side == &world->server;
    return tap;
}

static enum rm_err server_on_stream(void *context, struct h2_stream *stream,
                                    const struct h2_stream_handler **handler,
                                    void **handler_context)
{
    struct world *world = context;
    if (world->server.refuses) {
        return RM_ERR_BUSY;
    }
    struct tap *tap = tap_new(world, &world->server);
    tap->stream = stream;
    *handler = &tap_handler;
    *handler_context = tap;
    return RM_OK;
}

static void side_on_end(struct side *side, enum rm_err reason, const char *detail)
{
    side->session = NULL;
    side->end_count++;
    side->reason = reason;
    snprintf(side->detail, sizeof(side->detail), "%s", detail);
    for (size_t i = 0; i < side->tap_count; i++) {
        assert_int_equal(side->taps[i].close_count, 1); // all streams first
    }
}

static void server_on_end(void *context, enum rm_err reason, const char *detail)
{
    side_on_end(&((struct world *)context)->server, reason, detail);
}

static void client_on_end(void *context, enum rm_err reason, const char *detail)
{
    side_on_end(&((struct world *)context)->client, reason, detail);
}

static const struct h2_session_handler server_handler = {server_on_stream, server_on_end};
static const struct h2_session_handler client_handler = {NULL, client_on_end};

static struct world *world_begin(void)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->loop = loop_new("test");
    assert_non_null(world->loop);
    world->server.habits.consumes = true;
    world->client.habits.consumes = true;
    world->is_raw_reading = true;
    return world;
}

struct world *world_new(size_t capacity_bytes)
{
    struct world *world = world_begin();
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(memory_stream_pair(world->loop, capacity_bytes, &a, &b), RM_OK);
    assert_int_equal(h2_server_new(a, &server_handler, world, &world->server.session), RM_OK);
    assert_int_equal(h2_client_new(b, &client_handler, world, &world->client.session), RM_OK);
    return world;
}

static void raw_want(struct world *world)
{
    unsigned events = world->is_raw_reading ? STREAM_READ : 0;
    events |= world->out_length > 0 ? STREAM_WRITE : 0;
    stream_want(world->raw, events);
}

static void raw_read(struct world *world)
{
    uint8_t bytes[4096];
    size_t length = 0;
    enum rm_err result = RM_OK;
    while ((result = stream_read(world->raw, bytes, sizeof(bytes), &length)) == RM_OK) {
        world->in = realloc(world->in, world->in_length + length);
        memcpy(world->in + world->in_length, bytes, length);
        world->in_length += length;
    }
    if (result != RM_ERR_WOULD_BLOCK) {
        world->is_raw_ended = true;
        world->is_raw_reading = false;
    }
}

static void raw_send(struct world *world)
{
    size_t written = 0;
    enum rm_err result = stream_write_bytes(world->raw, world->out, world->out_length, &written);
    if (result == RM_OK) {
        memmove(world->out, world->out + written, world->out_length - written);
        world->out_length -= written;
    } else if (result != RM_ERR_WOULD_BLOCK) {
        world->out_length = 0;
        world->is_raw_ended = true;
    }
}

static void raw_on_event(void *context, unsigned events)
{
    struct world *world = context;
    if ((events & STREAM_READ) != 0) {
        raw_read(world);
    }
    if ((events & STREAM_WRITE) != 0 && world->out_length > 0) {
        raw_send(world);
    }
    raw_want(world);
}

struct world *world_new_raw(bool with_server, size_t capacity_bytes)
{
    struct world *world = world_begin();
    struct stream *a = NULL;
    assert_int_equal(memory_stream_pair(world->loop, capacity_bytes, &a, &world->raw), RM_OK);
    stream_own(world->raw, raw_on_event, world);
    raw_want(world);
    enum rm_err result = with_server
                             ? h2_server_new(a, &server_handler, world, &world->server.session)
                             : h2_client_new(a, &client_handler, world, &world->client.session);
    assert_int_equal(result, RM_OK);
    return world;
}

static void world_finish(void *context)
{
    struct world *world = context;
    if (world->server.session != NULL) {
        h2_session_abort(world->server.session, RM_ERR_CANCELLED);
    }
    if (world->client.session != NULL) {
        h2_session_abort(world->client.session, RM_ERR_CANCELLED);
    }
    if (world->raw != NULL) {
        stream_close(world->raw, STREAM_CLOSE_ABORT, NULL, NULL);
    }
}

void world_run(struct world *world, const scenario_step_fn *steps)
{
    scenario_run(world->loop, steps, world, world_finish);
}

static void side_free(struct side *side)
{
    for (size_t i = 0; i < side->tap_count; i++) {
        assert_int_equal(side->taps[i].close_count, 1); // exactly once each
        free(side->taps[i].body);
    }
}

void world_free(struct world *world)
{
    assert_true(world->server.end_count <= 1 && world->client.end_count <= 1);
    assert_null(world->server.session);
    assert_null(world->client.session);
    side_free(&world->server);
    side_free(&world->client);
    loop_free(world->loop);
    free(world->in);
    free(world->out);
    free(world);
}

static struct h2_header field(const char *name, const char *value)
{
    return (struct h2_header){name, value, strlen(name), strlen(value)};
}

struct tap *world_request(struct world *world, const char *path, bool is_end, enum rm_err *result)
{
    const struct h2_header headers[] = {
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "test"),
    };
    struct tap *tap = tap_new(world, &world->client);
    enum rm_err opened =
        h2_request(world->client.session, headers, 4, is_end, &tap_handler, tap, &tap->stream);
    if (result != NULL) {
        *result = opened;
    } else {
        assert_int_equal(opened, RM_OK);
    }
    if (opened != RM_OK) {
        world->client.tap_count--;
        return NULL;
    }
    return tap;
}

void tap_respond(struct tap *tap, bool is_end)
{
    const struct h2_header headers[] = {field(":status", "200"), field("x-test", "yes")};
    (void)!h2_stream_respond(tap->stream, headers, 2, is_end);
}

void tap_send(struct tap *tap, size_t length, bool is_end)
{
    uint8_t *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
    assert_int_equal(h2_stream_send(tap->stream, bytes, length, is_end), RM_OK);
    free(bytes);
}

void tap_trailers(struct tap *tap, const char *status)
{
    const struct h2_header headers[] = {field("grpc-status", status)};
    (void)!h2_stream_trailers(tap->stream, headers, 1);
}

// --- the raw peer ---

void raw_write(struct world *world, const void *bytes, size_t length)
{
    world->out = realloc(world->out, world->out_length + length + 1);
    memcpy(world->out + world->out_length, bytes, length);
    world->out_length += length;
    raw_want(world);
}

void raw_frame(struct world *world, uint8_t type, uint8_t flags, uint32_t stream_id,
               const void *payload, size_t length)
{
    const uint8_t head[9] = {(uint8_t)(length >> 16),
                             (uint8_t)(length >> 8),
                             (uint8_t)length,
                             type,
                             flags,
                             (uint8_t)(stream_id >> 24),
                             (uint8_t)(stream_id >> 16),
                             (uint8_t)(stream_id >> 8),
                             (uint8_t)stream_id};
    raw_write(world, head, sizeof(head));
    if (length > 0) {
        raw_write(world, payload, length);
    }
}

void raw_preface(struct world *world)
{
    static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    raw_write(world, magic, sizeof(magic) - 1);
    raw_frame(world, FRAME_SETTINGS, 0, 0, NULL, 0);
}

void raw_request(struct world *world, uint32_t stream_id, bool is_end)
{
    // RFC 7541 A: :method POST, :scheme http, :path /, then :authority "t".
    static const uint8_t block[] = {0x83, 0x86, 0x84, 0x41, 0x01, 't'};
    raw_frame(world, FRAME_HEADERS, FLAG_END_HEADERS | (is_end ? FLAG_END_STREAM : 0), stream_id,
              block, sizeof(block));
}

const uint8_t *raw_find(const struct world *world, uint8_t type, size_t n, size_t *length,
                        uint32_t *stream_id)
{
    static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    size_t at = 0;
    if (world->in_length >= 24 && memcmp(world->in, magic, 24) == 0) {
        at = 24;
    }
    while (world->in_length - at >= 9) {
        const uint8_t *head = world->in + at;
        size_t size = ((size_t)head[0] << 16) | ((size_t)head[1] << 8) | head[2];
        if (world->in_length - at - 9 < size) {
            return NULL;
        }
        if (head[3] == type && n-- == 0) {
            *length = size;
            *stream_id = ((uint32_t)head[5] << 24) | ((uint32_t)head[6] << 16) |
                         ((uint32_t)head[7] << 8) | head[8];
            return head + 9;
        }
        at += 9 + size;
    }
    return NULL;
}

uint32_t raw_goaway_code(const struct world *world)
{
    uint32_t code = UINT32_MAX;
    size_t length = 0;
    uint32_t stream_id = 0;
    const uint8_t *payload = NULL;
    for (size_t n = 0; (payload = raw_find(world, FRAME_GOAWAY, n, &length, &stream_id)) != NULL;
         n++) {
        assert_true(length >= 8);
        code = ((uint32_t)payload[4] << 24) | ((uint32_t)payload[5] << 16) |
               ((uint32_t)payload[6] << 8) | payload[7];
    }
    return code;
}

bool step_server_ended(void *context)
{
    return ((struct world *)context)->server.end_count == 1;
}

bool step_client_ended(void *context)
{
    return ((struct world *)context)->client.end_count == 1;
}

bool step_both_ended(void *context)
{
    return step_server_ended(context) && step_client_ended(context);
}
