// SPDX-License-Identifier: GPL-3.0-or-later
//
// The level-trigger rules of stream.h, where TLS makes them hard: bytes that were decrypted or read
// ahead while the transport is silent, an exhausted chunk pool, room to write without any event.
#include "tls_fixture.h"

#include <string.h>

static void assert_event_within_turns(struct pair *pair, struct end *end, unsigned event)
{
    end->events = 0;
    world_turns(pair->loop, 4);
    assert_true((end->events & event) != 0);
}

static void rest_of_a_record_is_announced(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    uint8_t byte;
    size_t length = 0;
    pair_init(&pair, world->client, world->server);
    end_write(&pair.client, "abc");
    stream_want(pair.server.stream, STREAM_READ);
    world_turns(pair.loop, 4);
    for (int i = 0; i < 3; i++) {
        assert_event_within_turns(&pair, &pair.server, STREAM_READ);
        assert_int_equal(stream_read(pair.server.stream, &byte, 1, &length), RM_OK);
        assert_int_equal(byte, "abc"[i]);
    }
    assert_int_equal(stream_read(pair.server.stream, &byte, 1, &length), RM_ERR_WOULD_BLOCK);
    pair.server.events = 0;
    world_turns(pair.loop, 4);
    assert_int_equal(pair.server.events, 0);
    pair_deinit(&pair);
}

static void records_read_ahead_are_announced(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    char text[4];
    size_t length = 0;
    pair_init(&pair, world->client, world->server);
    for (int i = 0; i < 5; i++) {
        end_write(&pair.client, "one");
    }
    world_turns(pair.loop, 4);
    stream_want(pair.server.stream, STREAM_READ);
    for (int i = 0; i < 5; i++) {
        assert_event_within_turns(&pair, &pair.server, STREAM_READ);
        assert_int_equal(stream_read(pair.server.stream, (uint8_t *)text, 3, &length), RM_OK);
        assert_int_equal(length, 3);
    }
    pair_deinit(&pair);
}

// Wanted later, long after the bytes came.
static void bytes_are_announced_when_wanted_again(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    uint8_t byte;
    size_t length = 0;
    pair_init(&pair, world->client, world->server);
    end_write(&pair.client, "ab");
    stream_want(pair.server.stream, STREAM_READ);
    world_turns(pair.loop, 4);
    assert_int_equal(stream_read(pair.server.stream, &byte, 1, &length), RM_OK);
    stream_want(pair.server.stream, 0);
    pair.server.events = 0;
    world_turns(pair.loop, 4);
    assert_int_equal(pair.server.events, 0);
    stream_want(pair.server.stream, STREAM_READ);
    assert_event_within_turns(&pair, &pair.server, STREAM_READ);
    pair_deinit(&pair);
}

static void events_are_never_called_from_inside(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    uint8_t byte;
    size_t length = 0;
    pair_init(&pair, world->client, world->server);
    end_write(&pair.server, "ab");
    world_turns(pair.loop, 4);
    pair.client.event_count = 0;
    stream_want(pair.client.stream, STREAM_READ | STREAM_WRITE);
    assert_int_equal(stream_read(pair.client.stream, &byte, 1, &length), RM_OK);
    end_write(&pair.client, "x");
    assert_int_equal(stream_finish(pair.client.stream), RM_OK);
    assert_int_equal(pair.client.event_count, 0);
    pair_deinit(&pair);
}

static void end_is_announced_again_and_again(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    uint8_t byte;
    size_t length = 0;
    pair_init(&pair, world->client, world->server);
    assert_int_equal(stream_finish(pair.client.stream), RM_OK);
    stream_want(pair.server.stream, STREAM_READ);
    world_turns(pair.loop, 4);
    for (int i = 0; i < 3; i++) {
        assert_event_within_turns(&pair, &pair.server, STREAM_READ);
        assert_int_equal(stream_read(pair.server.stream, &byte, 1, &length), RM_ERR_EOF);
    }
    pair_deinit(&pair);
}

static void room_is_announced(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    stream_want(pair.client.stream, STREAM_WRITE);
    assert_event_within_turns(&pair, &pair.client, STREAM_WRITE);
    assert_event_within_turns(&pair, &pair.client, STREAM_WRITE);
    stream_want(pair.client.stream, 0);
    pair.client.events = 0;
    world_turns(pair.loop, 4);
    assert_int_equal(pair.client.events, 0);
    pair_deinit(&pair);
}

// A busy peer and a user with a large buffer do not hold the loop: one read takes one chunk.
static void one_read_takes_one_chunk(void **state)
{
    const struct world *world = *state;
    static uint8_t bytes[4 * CHUNK_BYTES];
    struct pair pair = {.loop = loop_new("test")};
    struct stream *a = NULL;
    struct stream *b = NULL;
    size_t written = 0;
    size_t length = 0;
    assert_int_equal(memory_stream_pair(pair.loop, sizeof(bytes), &a, &b), RM_OK);
    end_connect(&pair.client, a, world->client);
    end_accept(&pair.server, b, world->server);
    world_until(pair.loop, pair_is_done, &pair);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stream_write_bytes(pair.client.stream, bytes, CHUNK_BYTES, &written),
                         RM_OK);
        world_turns(pair.loop, 4);
    }
    assert_int_equal(stream_read(pair.server.stream, bytes, sizeof(bytes), &length), RM_OK);
    assert_in_range(length, CHUNK_BYTES / 2, CHUNK_BYTES);
    pair_deinit(&pair);
}

static size_t take_all_chunks(struct loop *loop, uint8_t *chunks[CHUNK_MAX_PER_LOOP])
{
    size_t count = 0;
    while (count < CHUNK_MAX_PER_LOOP && (chunks[count] = chunk_get(loop)) != NULL) {
        count++;
    }
    return count;
}

static void exhausted_chunks_are_waited_for(void **state)
{
    const struct world *world = *state;
    static uint8_t *chunks[CHUNK_MAX_PER_LOOP];
    struct pair pair;
    char text[16];
    size_t length = 0;
    size_t written = 0;
    pair_init(&pair, world->client, world->server);
    end_write(&pair.client, "ping");
    world_turns(pair.loop, 4);
    size_t count = take_all_chunks(pair.loop, chunks);
    stream_want(pair.server.stream, STREAM_READ);
    world_turns(pair.loop, 4);
    assert_int_equal(stream_read(pair.server.stream, (uint8_t *)text, sizeof(text), &length),
                     RM_ERR_WOULD_BLOCK);
    assert_int_equal(stream_write_bytes(pair.client.stream, "x", 1, &written), RM_ERR_WOULD_BLOCK);
    stream_want(pair.client.stream, STREAM_WRITE);
    uint32_t quiet_from = pair.server.event_count + pair.client.event_count;
    world_turns(pair.loop, 20);
    assert_in_range(pair.server.event_count + pair.client.event_count, quiet_from, quiet_from + 2);

    pair.client.events = 0;
    pair.server.events = 0;
    chunk_put(pair.loop, chunks[--count]);
    chunk_put(pair.loop, chunks[--count]);
    world_turns(pair.loop, 6);
    assert_true((pair.server.events & STREAM_READ) != 0);
    assert_true((pair.client.events & STREAM_WRITE) != 0);
    assert_int_equal(stream_read(pair.server.stream, (uint8_t *)text, sizeof(text), &length),
                     RM_OK);
    assert_int_equal(length, 4);
    assert_int_equal(stream_write_bytes(pair.client.stream, "x", 1, &written), RM_OK);
    while (count > 0) {
        chunk_put(pair.loop, chunks[--count]);
    }
    pair_deinit(&pair);
}

static void assert_end_waits_for_chunks(const struct world *world, bool is_closed)
{
    static uint8_t *chunks[CHUNK_MAX_PER_LOOP];
    struct pair pair;
    char text[16];
    size_t length = 0;
    pair_init(&pair, world->client, world->server);
    size_t count = take_all_chunks(pair.loop, chunks);
    stream_want(pair.server.stream, STREAM_READ);
    if (is_closed) {
        end_close(&pair.client, STREAM_CLOSE_ORDERLY);
    } else {
        assert_int_equal(stream_finish(pair.client.stream), RM_OK);
    }
    world_turns(pair.loop, 20);
    assert_int_equal(stream_read(pair.server.stream, (uint8_t *)text, sizeof(text), &length),
                     RM_ERR_WOULD_BLOCK);
    while (count > 0) {
        chunk_put(pair.loop, chunks[--count]);
    }
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_ERR_EOF);
    pair_deinit(&pair);
}

// Thousands that end in one turn are more than there are chunks: none may be forgotten.
static void end_waits_for_chunks(void **state)
{
    assert_end_waits_for_chunks(*state, false);
    assert_end_waits_for_chunks(*state, true);
}

static void handshake_waits_for_chunks(void **state)
{
    const struct world *world = *state;
    static uint8_t *chunks[CHUNK_MAX_PER_LOOP];
    struct pair pair = {.loop = loop_new("test")};
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(memory_stream_pair(pair.loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
    size_t count = take_all_chunks(pair.loop, chunks);
    end_connect(&pair.client, a, world->client);
    end_accept(&pair.server, b, world->server);
    world_turns(pair.loop, 20);
    assert_false(pair.client.is_done || pair.server.is_done);
    chunk_put(pair.loop, chunks[--count]);
    chunk_put(pair.loop, chunks[--count]);
    world_until(pair.loop, pair_is_done, &pair);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_OK);
    while (count > 0) {
        chunk_put(pair.loop, chunks[--count]);
    }
    pair_deinit(&pair);
}

static void idle_sessions_hold_no_chunk(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    char text[16];
    pair_init(&pair, world->client, world->server);
    end_write(&pair.client, "ping");
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_OK);
    stream_want(pair.server.stream, STREAM_READ);
    stream_want(pair.client.stream, STREAM_READ);
    world_turns(pair.loop, 4);
    assert_int_equal(chunk_lent_count(pair.loop), 0);
    pair_deinit(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rest_of_a_record_is_announced),
        cmocka_unit_test(records_read_ahead_are_announced),
        cmocka_unit_test(bytes_are_announced_when_wanted_again),
        cmocka_unit_test(events_are_never_called_from_inside),
        cmocka_unit_test(end_is_announced_again_and_again),
        cmocka_unit_test(room_is_announced),
        cmocka_unit_test(one_read_takes_one_chunk),
        cmocka_unit_test(exhausted_chunks_are_waited_for),
        cmocka_unit_test(end_waits_for_chunks),
        cmocka_unit_test(handshake_waits_for_chunks),
        cmocka_unit_test(idle_sessions_hold_no_chunk),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
