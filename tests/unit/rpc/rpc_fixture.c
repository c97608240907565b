// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

#include <stdio.h>

#include "identity/peer.h"

static struct world *the_world; // one at a time

static void record_bytes(struct record *record, const uint8_t *bytes, size_t length)
{
    record->bytes = realloc(record->bytes, record->byte_count + length + 1);
    if (length > 0) {
        memcpy(record->bytes + record->byte_count, bytes, length);
    }
    record->byte_count += length;
    record->message_count++;
    assert_int_equal(record->close_count, 0);
}

// --- server ---

static enum rpc_status on_open(void *server_context, struct rpc_call *call, const char **text)
{
    struct world *world = server_context;
    if (world->manners.refuses != RPC_OK) {
        *text = "refused";
        return world->manners.refuses;
    }
    if (world->manners.allows_large) {
        rpc_call_allow_large(call);
    }
    struct record *record = &world->server_calls[world->server_count++];
    record->call = call;
    rpc_call_set_context(call, record);
    assert_ptr_equal(rpc_call_context(call), record);
    return RPC_OK;
}

static void on_message(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct record *record = context;
    const struct manners *manners = &the_world->manners;
    record_bytes(record, bytes, length);
    if (manners->echoes) {
        enum rm_err result = rpc_call_send(call, bytes, length);
        if (result != RM_OK) {
            rpc_call_end(call, rpc_status_from_err(result), "echo failed");
        }
    }
    if (manners->on_message != NULL) {
        manners->on_message(record);
    }
}

static void on_half_close(void *context, struct rpc_call *call)
{
    struct record *record = context;
    record->half_close_count++;
    if (the_world->manners.ends) {
        rpc_call_end(call, RPC_OK, NULL);
        rpc_call_end(call, RPC_INTERNAL, "the first end counts");
    }
    if (the_world->manners.on_half_close != NULL) {
        the_world->manners.on_half_close(record);
    }
}

static void on_writable(void *context, struct rpc_call *call)
{
    (void)call;
    ((struct record *)context)->writable_count++;
}

static void on_server_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    struct record *record = context;
    assert_ptr_equal(record->call, call);
    record->close_count++;
    record->status = status;
    record->call = NULL;
    // A closed call takes nothing and asks for nothing.
    assert_int_equal(rpc_call_send(call, (const uint8_t *)"x", 1), RM_ERR_CLOSED);
    rpc_call_end(call, RPC_OK, NULL);
    assert_int_equal(rpc_call_queued_bytes(call), 0);
    if (the_world->manners.on_close != NULL) {
        the_world->manners.on_close(record);
    }
}

#define COMMON                                                                                     \
    .on_open = on_open, .on_message = on_message, .on_half_close = on_half_close,                  \
    .on_writable = on_writable, .on_close = on_server_close
static const struct rpc_method methods[] = {
    {.path = "/test.T/Unary", COMMON},
    {.path = "/test.T/Upload", .is_client_streaming = true, COMMON},
    {.path = "/test.T/Watch", .is_server_streaming = true, COMMON},
    {.path = "/test.T/Chat", .is_client_streaming = true, .is_server_streaming = true, COMMON},
};

// --- client ---

static void on_client_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                              size_t length)
{
    (void)call;
    struct record *record = context;
    record_bytes(record, bytes, length);
    if (the_world->on_client_message != NULL) {
        the_world->on_client_message(the_world, record);
    }
}

static void on_client_writable(void *context, struct rpc_call *call)
{
    (void)call;
    ((struct record *)context)->writable_count++;
}

static void on_client_close(void *context, struct rpc_call *call, enum rpc_status status,
                            const char *text)
{
    struct record *record = context;
    record->close_count++;
    record->status = status;
    record->call = NULL;
    snprintf(record->text, sizeof(record->text), "%s", text);
    assert_int_equal(rpc_call_send(call, (const uint8_t *)"x", 1), RM_ERR_CLOSED);
    assert_int_equal(rpc_call_half_close(call), RM_ERR_CLOSED);
    rpc_call_cancel(call);
}

static const struct rpc_client_handler client_handler = {
    on_client_message,
    on_client_writable,
    on_client_close,
};

static void on_client_end(void *context, enum rm_err reason, const char *detail)
{
    (void)detail;
    struct world *world = context;
    world->client = NULL;
    world->client_end_count++;
    world->client_reason = reason;
    for (size_t i = 0; i < world->client_count; i++) {
        assert_int_equal(world->client_calls[i].close_count, 1); // all calls first
    }
}

static struct world *world_begin(void)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    the_world = world;
    world->loop = loop_new("test");
    world->server = rpc_server_new(world->loop);
    assert_non_null(world->server);
    assert_int_equal(rpc_server_add(world->server, methods, 4, world), RM_OK);
    world->manners = (struct manners){.echoes = true, .ends = true};
    return world;
}

static void set_peer(struct stream *stream, const char *peer_id)
{
    const struct chain_facts facts = {.spiffe_id = peer_id,
                                      .spiffe_id_length = strlen(peer_id),
                                      .serial = {1},
                                      .serial_length = 1};
    struct peer *peer = peer_new(&facts, false);
    assert_non_null(peer);
    memory_stream_set_peer(stream, peer);
    peer_unref(peer);
}

static void start_client(struct world *world, struct stream *stream)
{
    assert_int_equal(rpc_client_new(stream, "control.test", on_client_end, world, &world->client),
                     RM_OK);
}

struct world *world_new(const char *peer_id)
{
    struct world *world = world_begin();
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(memory_stream_pair(world->loop, 65536, &a, &b), RM_OK);
    if (peer_id != NULL) {
        set_peer(a, peer_id);
    }
    assert_int_equal(rpc_server_accept(world->server, a), RM_OK);
    start_client(world, b);
    return world;
}

struct world *world_new_client(struct stream **server_end)
{
    struct world *world = world_begin();
    struct stream *b = NULL;
    assert_int_equal(memory_stream_pair(world->loop, 65536, server_end, &b), RM_OK);
    start_client(world, b);
    return world;
}

static void on_drained(void *context)
{
    ((struct world *)context)->is_drained = true;
}

static void world_finish(void *context)
{
    struct world *world = context;
    if (world->client != NULL) {
        rpc_client_abort(world->client, RM_ERR_CANCELLED);
    }
    if (!world->is_drained) {
        rpc_server_drain(world->server, 1000, on_drained, world);
    }
}

void world_run(struct world *world, const scenario_step_fn *steps)
{
    scenario_run(world->loop, steps, world, world_finish);
}

static void free_records(struct record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(records[i].close_count, 1); // exactly once each
        free(records[i].bytes);
    }
}

void world_free(struct world *world)
{
    assert_null(world->client);
    assert_int_equal(rpc_server_connection_count(world->server), 0);
    free_records(world->server_calls, world->server_count);
    free_records(world->client_calls, world->client_count);
    rpc_server_free(world->server);
    loop_free(world->loop);
    free(world);
}

struct record *call_open(struct world *world, const char *path, uint32_t deadline_ms)
{
    struct record *record = &world->client_calls[world->client_count];
    if (rpc_client_call(world->client, path, deadline_ms, &client_handler, record, &record->call) !=
        RM_OK) {
        return NULL;
    }
    world->client_count++;
    return record;
}

void call_send(struct record *record, size_t length)
{
    uint8_t *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 7 + length);
    }
    assert_int_equal(rpc_call_send(record->call, bytes, length), RM_OK);
    free(bytes);
}

void call_finish(struct record *record)
{
    assert_int_equal(rpc_call_half_close(record->call), RM_OK);
}

struct record *call_unary(struct world *world, size_t length)
{
    struct record *record = call_open(world, "/test.T/Unary", 0);
    assert_non_null(record);
    call_send(record, length);
    call_finish(record);
    return record;
}

bool step_first_closed(void *context)
{
    struct world *world = context;
    return world->client_count > 0 && world->client_calls[0].close_count == 1;
}

bool step_all_closed(void *context)
{
    struct world *world = context;
    for (size_t i = 0; i < world->client_count; i++) {
        if (world->client_calls[i].close_count == 0) {
            return false;
        }
    }
    for (size_t i = 0; i < world->server_count; i++) {
        if (world->server_calls[i].close_count == 0) {
            return false;
        }
    }
    return true;
}

bool step_turns(void *context)
{
    struct world *world = context;
    if (++world->count < 100) {
        return false;
    }
    world->count = 0;
    return true;
}
