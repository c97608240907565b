// SPDX-License-Identifier: GPL-3.0-or-later
//
// The first records after a silence fit one TCP segment each, so that a reader can use the first
// segment at once; what follows goes in full records. Read from the wire: the ends shake hands,
// then the test takes what the client sends from under the server.
#include "tls_fixture.h"

#include <string.h>

#include "../loop/clock_ahead.h"
#include "tls/tls_internal.h"

#define SEGMENT_MIN_BYTES 1348 // MTU 1420 of a tunnel, less IPv6, TCP and its time stamps
#define FULL_WIRE_BYTES (TLS_RECORD_MAX_BYTES + TLS_RECORD_OVERHEAD_BYTES)
#define RECORDS_MAX 256

struct wire {
    struct pair pair;                         // over memory
    struct stream *lower;                     // borrowed: what the server would read
    uint8_t bytes[4 * TLS_BURST_SMALL_BYTES]; // of one burst, as sent
    size_t length;                            // of bytes
    size_t sizes[RECORDS_MAX];                // of the records in it, header and all
    size_t count;                             // of sizes
};

static void wire_init(struct wire *wire, const struct world *world)
{
    struct stream *client = NULL;
    memset(wire, 0, sizeof(*wire));
    wire->pair.loop = loop_new("test");
    assert_int_equal(memory_stream_pair(wire->pair.loop, PKI_MEMORY_BYTES, &client, &wire->lower),
                     RM_OK);
    end_connect(&wire->pair.client, client, world->client);
    end_accept(&wire->pair.server, wire->lower, world->server);
    world_until(wire->pair.loop, pair_is_done, &wire->pair);
    stream_want(wire->pair.server.stream, 0);
}

static void wire_take(struct wire *wire)
{
    size_t length = 0;
    while (wire->length < sizeof(wire->bytes) &&
           stream_read(wire->lower, wire->bytes + wire->length, sizeof(wire->bytes) - wire->length,
                       &length) == RM_OK) {
        wire->length += length;
    }
}

// RFC 8446 5.2: type, version, length.
static void wire_parse(struct wire *wire)
{
    size_t offset = 0;
    wire->count = 0;
    while (offset < wire->length) {
        const uint8_t *header = wire->bytes + offset;
        assert_true(wire->length - offset >= TLS_RECORD_HEADER_BYTES);
        assert_int_equal(header[0], 23); // application data
        assert_true(wire->count < RECORDS_MAX);
        size_t size = TLS_RECORD_HEADER_BYTES + (size_t)(header[3] << 8 | header[4]);
        wire->sizes[wire->count++] = size;
        offset += size;
    }
    assert_int_equal(offset, wire->length);
}

// Writes so many bytes, all at once as far as they are taken, and takes them from the wire.
static void wire_write(struct wire *wire, size_t total)
{
    static const uint8_t bytes[3 * TLS_BURST_SMALL_BYTES];
    size_t sent = 0;
    wire->length = 0;
    assert_true(total <= sizeof(bytes));
    while (sent < total) {
        size_t written = 0;
        enum rm_err result =
            stream_write_bytes(wire->pair.client.stream, bytes, total - sent, &written);
        assert_true(result == RM_OK || result == RM_ERR_WOULD_BLOCK);
        sent += written;
        world_turns(wire->pair.loop, 2);
        wire_take(wire);
    }
    world_turns(wire->pair.loop, 2);
    wire_take(wire);
    wire_parse(wire);
}

static void assert_begins_small(const struct wire *wire)
{
    size_t small = TLS_BURST_SMALL_BYTES / TLS_RECORD_SMALL_BYTES;
    assert_true(wire->count > small);
    for (size_t i = 0; i < small; i++) {
        assert_in_range(wire->sizes[i], SEGMENT_MIN_BYTES / 2, SEGMENT_MIN_BYTES);
    }
    assert_int_equal(wire->sizes[small], FULL_WIRE_BYTES);
}

static void a_burst_begins_small_and_goes_on_full(void **state)
{
    struct wire wire;
    wire_init(&wire, *state);
    wire_write(&wire, 3 * TLS_BURST_SMALL_BYTES);
    assert_begins_small(&wire);
    pair_deinit(&wire.pair);
}

static void what_follows_at_once_goes_full(void **state)
{
    struct wire wire;
    wire_init(&wire, *state);
    wire_write(&wire, TLS_BURST_SMALL_BYTES);
    clock_ahead_ms += TLS_BURST_SILENCE_MS / 2;
    wire_write(&wire, 2 * (size_t)TLS_RECORD_MAX_BYTES);
    assert_int_equal(wire.count, 2);
    assert_int_equal(wire.sizes[0], FULL_WIRE_BYTES);
    assert_int_equal(wire.sizes[1], FULL_WIRE_BYTES);
    pair_deinit(&wire.pair);
}

static void after_a_silence_records_are_small_again(void **state)
{
    struct wire wire;
    wire_init(&wire, *state);
    wire_write(&wire, 2 * TLS_BURST_SMALL_BYTES);
    clock_ahead_ms += TLS_BURST_SILENCE_MS;
    wire_write(&wire, 3 * TLS_BURST_SMALL_BYTES);
    assert_begins_small(&wire);
    pair_deinit(&wire.pair);
}

// A steady trickle is no silence: its records grow full once it wrote enough.
static void a_trickle_is_one_burst(void **state)
{
    struct wire wire;
    wire_init(&wire, *state);
    for (size_t sent = 0; sent < TLS_BURST_SMALL_BYTES; sent += TLS_RECORD_SMALL_BYTES) {
        wire_write(&wire, TLS_RECORD_SMALL_BYTES);
        assert_int_equal(wire.count, 1);
        clock_ahead_ms += TLS_BURST_SILENCE_MS - 100;
    }
    wire_write(&wire, TLS_RECORD_MAX_BYTES);
    assert_int_equal(wire.count, 1);
    pair_deinit(&wire.pair);
}

// Requests of a keep-alive connection cost one record each, as before, silence or not.
static void a_small_write_is_one_record(void **state)
{
    struct wire wire;
    wire_init(&wire, *state);
    for (int i = 0; i < 3; i++) {
        wire_write(&wire, 1200);
        assert_int_equal(wire.count, 1);
        assert_int_equal(wire.sizes[0], 1200 + TLS_RECORD_OVERHEAD_BYTES);
        clock_ahead_ms += TLS_BURST_SILENCE_MS;
    }
    pair_deinit(&wire.pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_begins_small_and_goes_on_full),
        cmocka_unit_test(what_follows_at_once_goes_full),
        cmocka_unit_test(after_a_silence_records_are_small_again),
        cmocka_unit_test(a_trickle_is_one_burst),
        cmocka_unit_test(a_small_write_is_one_record),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
