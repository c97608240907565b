// SPDX-License-Identifier: GPL-3.0-or-later
//
// A handshake costs one round trip: the client's Finished and what its user writes in on_ready
// leave in one write, and so do the server's whole flight and its answers. Many small writes of one
// turn leave together.
#include "tls_fixture.h"

#include <string.h>

#include "base/alloc.h"

// Passes everything to the lower stream and counts writes.
struct tap {
    struct stream head;   // first
    struct stream *lower; // owned until closed
    uint32_t write_count; // that took bytes
    size_t write_bytes;   // in the last of them
};

static struct tap *tap_of(struct stream *stream)
{
    return (struct tap *)(void *)stream;
}

static enum rm_err tap_read(struct stream *stream, uint8_t *bytes, size_t capacity, size_t *length)
{
    return stream_read(tap_of(stream)->lower, bytes, capacity, length);
}

static enum rm_err tap_write(struct stream *stream, const struct iovec *parts, int count,
                             size_t *written)
{
    struct tap *tap = tap_of(stream);
    enum rm_err result = stream_write(tap->lower, parts, count, written);
    tap->write_count += result == RM_OK ? 1 : 0;
    tap->write_bytes = result == RM_OK ? *written : tap->write_bytes;
    return result;
}

static enum rm_err tap_finish(struct stream *stream)
{
    return stream_finish(tap_of(stream)->lower);
}

static void tap_want(struct stream *stream, unsigned events)
{
    stream_want(tap_of(stream)->lower, events);
}

static void tap_on_event(void *context, unsigned events)
{
    struct tap *tap = context;
    tap->head.on_event(tap->head.context, events);
}

static void tap_on_closed(void *context)
{
    struct tap *tap = context;
    tap->head.on_closed(tap->head.closed_context);
    rm_free(tap);
}

static void tap_close(struct stream *stream, enum stream_close_mode mode)
{
    stream_close(tap_of(stream)->lower, mode, tap_on_closed, stream);
}

static const struct stream_ops tap_ops = {
    .read = tap_read,
    .write = tap_write,
    .finish = tap_finish,
    .want = tap_want,
    .close = tap_close,
};

static struct tap *tap_new(struct stream *lower)
{
    struct tap *tap = rm_calloc(1, sizeof(*tap));
    tap->head.ops = &tap_ops;
    tap->head.loop = lower->loop;
    tap->lower = lower;
    stream_own(lower, tap_on_event, tap);
    return tap;
}

// Two ends over memory with a tap below each.
struct tapped {
    struct pair pair;
    struct tap *client; // goes with the pair
    struct tap *server; // goes with the pair
};

static void tapped_init(struct tapped *tapped, const struct world *world, const char *client_says,
                        const char *server_says)
{
    struct stream *a = NULL;
    struct stream *b = NULL;
    memset(tapped, 0, sizeof(*tapped));
    tapped->pair.loop = loop_new("test");
    assert_int_equal(memory_stream_pair(tapped->pair.loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
    tapped->client = tap_new(a);
    tapped->server = tap_new(b);
    tapped->pair.client.greeting = client_says;
    tapped->pair.server.greeting = server_says;
    end_connect(&tapped->pair.client, &tapped->client->head, world->client);
    end_accept(&tapped->pair.server, &tapped->server->head, world->server);
    world_until(tapped->pair.loop, pair_is_done, &tapped->pair);
    world_turns(tapped->pair.loop, 4);
    assert_int_equal(tapped->pair.client.result, RM_OK);
    assert_int_equal(tapped->pair.server.result, RM_OK);
}

static void handshake_takes_three_flights(void **state)
{
    struct tapped tapped;
    tapped_init(&tapped, *state, NULL, NULL);
    assert_int_equal(tapped.client->write_count, 2);
    assert_int_equal(tapped.server->write_count, 1);
    pair_deinit(&tapped.pair);
}

static void client_speaks_with_its_finished(void **state)
{
    struct tapped tapped;
    char text[64];
    tapped_init(&tapped, *state, "first words", NULL);
    assert_int_equal(tapped.client->write_count, 2);
    assert_int_equal(end_read(&tapped.pair, &tapped.pair.server, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "first words");
    pair_deinit(&tapped.pair);
}

static void server_answers_in_one_write(void **state)
{
    struct tapped tapped;
    char text[64];
    tapped_init(&tapped, *state, "first words", "welcome");
    assert_int_equal(tapped.server->write_count, 2);
    assert_int_equal(end_read(&tapped.pair, &tapped.pair.client, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "welcome");
    pair_deinit(&tapped.pair);
}

static void small_writes_of_a_turn_leave_together(void **state)
{
    struct tapped tapped;
    tapped_init(&tapped, *state, NULL, NULL);
    for (int i = 0; i < 50; i++) {
        end_write(&tapped.pair.client, "tiny");
    }
    assert_int_equal(tapped.client->write_count, 2);
    world_turns(tapped.pair.loop, 4);
    assert_int_equal(tapped.client->write_count, 3);
    assert_int_equal(tapped.client->write_bytes, 50 * (4 + 22));
    pair_deinit(&tapped.pair);
}

static void parts_are_gathered_into_one_record(void **state)
{
    struct tapped tapped;
    char bytes[12] = "abcdefghijkl";
    struct iovec parts[] = {{bytes, 3}, {bytes + 3, 0}, {bytes + 3, 4}, {bytes + 7, 5}};
    size_t written = 0;
    tapped_init(&tapped, *state, NULL, NULL);
    assert_int_equal(stream_write(tapped.pair.client.stream, parts, 4, &written), RM_OK);
    assert_int_equal(written, 12);
    world_turns(tapped.pair.loop, 4);
    assert_int_equal(tapped.client->write_bytes, 12 + 22);
    pair_deinit(&tapped.pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_takes_three_flights),
        cmocka_unit_test(client_speaks_with_its_finished),
        cmocka_unit_test(server_answers_in_one_write),
        cmocka_unit_test(small_writes_of_a_turn_leave_together),
        cmocka_unit_test(parts_are_gathered_into_one_record),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
