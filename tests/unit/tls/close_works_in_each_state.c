// SPDX-License-Identifier: GPL-3.0-or-later
//
// stream_close() at any moment ends in exactly one on_closed, frees everything, and calls nothing
// afterwards: after each number of loop turns into a handshake, inside on_ready, inside on_event,
// while bytes wait, when the other end does not read, and after a failure.
#include "tls_fixture.h"

#include <string.h>

#define HANDSHAKE_TURNS 16 // more than a handshake over memory takes

static void begin(struct pair *pair, const struct world *world, size_t capacity)
{
    struct stream *a = NULL;
    struct stream *b = NULL;
    memset(pair, 0, sizeof(*pair));
    pair->loop = loop_new("test");
    assert_int_equal(memory_stream_pair(pair->loop, capacity, &a, &b), RM_OK);
    end_connect(&pair->client, a, world->client);
    end_accept(&pair->server, b, world->server);
}

static void assert_both_close(struct pair *pair)
{
    end_close(&pair->client, STREAM_CLOSE_ABORT);
    end_close(&pair->server, STREAM_CLOSE_ABORT);
    struct loop *loop = pair->loop;
    world_end(loop);
    assert_true(pair->client.is_closed);
    assert_true(pair->server.is_closed);
}

static void at_each_turn_of_the_handshake(void **state)
{
    for (unsigned int turn = 0; turn < HANDSHAKE_TURNS; turn++) {
        for (int who = 0; who < 4; who++) {
            struct pair pair;
            enum stream_close_mode mode = who % 2 == 0 ? STREAM_CLOSE_ABORT : STREAM_CLOSE_ORDERLY;
            begin(&pair, *state, PKI_MEMORY_BYTES);
            world_turns(pair.loop, turn);
            struct end *end = who < 2 ? &pair.client : &pair.server;
            bool was_done = end->is_done;
            end_close(end, mode);
            world_turns(pair.loop, 8);
            assert_true(end->is_closed);
            assert_int_equal(end->is_done, was_done);
            assert_both_close(&pair);
        }
    }
}

static struct end *closing; // by on_ready or on_event below

static void on_ready_closes(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct end *end = context;
    (void)failure;
    end->is_done = true;
    end->result = result;
    end_close(end, closing == NULL ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT);
}

static void inside_on_ready(void **state)
{
    const struct world *world = *state;
    for (int mode = 0; mode < 2; mode++) {
        struct pair pair = {.loop = loop_new("test")};
        struct stream *a = NULL;
        struct stream *b = NULL;
        struct tls_session_options client = {.tls = world->client};
        struct tls_session_options server = {.tls = world->server};
        closing = mode == 0 ? NULL : &pair.client;
        assert_int_equal(memory_stream_pair(pair.loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
        assert_int_equal(
            tls_connect(a, &client, on_ready_closes, &pair.client, &pair.client.stream), RM_OK);
        assert_int_equal(tls_accept(b, &server, on_ready_closes, &pair.server, &pair.server.stream),
                         RM_OK);
        world_end(pair.loop);
        assert_true(pair.client.is_done && pair.client.is_closed);
        assert_true(pair.server.is_done && pair.server.is_closed);
    }
}

static void on_event_closes(void *context, unsigned events)
{
    (void)events;
    end_close(context, STREAM_CLOSE_ABORT);
}

static void inside_on_event(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    end_write(&pair.client, "hello");
    stream_own(pair.server.stream, on_event_closes, &pair.server);
    stream_want(pair.server.stream, STREAM_READ | STREAM_WRITE);
    world_turns(pair.loop, 6);
    assert_true(pair.server.is_closed);
    assert_both_close(&pair);
}

static void fill_until_blocked(struct pair *pair)
{
    static const uint8_t bytes[32768];
    size_t written = 0;
    unsigned int refused = 0;
    while (refused < 4) {
        enum rm_err result =
            stream_write_bytes(pair->client.stream, bytes, sizeof(bytes), &written);
        refused += result == RM_ERR_WOULD_BLOCK ? 1 : 0;
        world_turns(pair->loop, 4);
    }
}

static void abort_with_bytes_waiting(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    fill_until_blocked(&pair);
    end_close(&pair.client, STREAM_CLOSE_ABORT);
    world_turns(pair.loop, 4);
    assert_true(pair.client.is_closed);
    assert_both_close(&pair);
}

// Taken bytes still go out when the reader wakes up.
static void orderly_close_flushes_what_was_taken(void **state)
{
    const struct world *world = *state;
    static char text[65536];
    struct pair pair;
    enum rm_err result;
    size_t arrived = 0;
    pair_init(&pair, world->client, world->server);
    fill_until_blocked(&pair);
    end_close(&pair.client, STREAM_CLOSE_ORDERLY);
    world_turns(pair.loop, 8);
    assert_false(pair.client.is_closed);
    do {
        size_t length = 0;
        world_turns(pair.loop, 2);
        result = stream_read(pair.server.stream, (uint8_t *)text, sizeof(text), &length);
        arrived += result == RM_OK ? length : 0;
    } while (result == RM_OK || result == RM_ERR_WOULD_BLOCK);
    assert_int_equal(result, RM_ERR_EOF);
    assert_in_range(arrived, PKI_MEMORY_BYTES, 4 * PKI_MEMORY_BYTES);
    assert_both_close(&pair);
}

// The linger is bounded: an orderly close with a reader that never wakes up ends by itself.
static void orderly_close_does_not_wait_for_ever(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    fill_until_blocked(&pair);
    end_close(&pair.client, STREAM_CLOSE_ORDERLY);
    struct end *client = &pair.client;
    while (!client->is_closed) {
        world_turns(pair.loop, 1000);
    }
    assert_both_close(&pair);
}

static void after_a_failure(void **state)
{
    const struct world *world = *state;
    for (int mode = 0; mode < 2; mode++) {
        struct tls_context *nobody = pki_context(NULL, world->trust);
        struct pair pair;
        pair_init(&pair, nobody, world->server);
        assert_int_equal(pair.server.result, RM_ERR_UNAUTHENTICATED);
        end_close(&pair.server, mode == 0 ? STREAM_CLOSE_ABORT : STREAM_CLOSE_ORDERLY);
        end_close(&pair.client, mode == 0 ? STREAM_CLOSE_ABORT : STREAM_CLOSE_ORDERLY);
        assert_both_close(&pair);
        tls_context_unref(nobody);
    }
}

// The context may go before its sessions.
static void sessions_outlive_their_context(void **state)
{
    const struct world *world = *state;
    struct tls_context *context = pki_context(world->client_identity, world->trust);
    struct pair pair;
    char text[16];
    pair_init(&pair, context, world->server);
    tls_context_unref(context);
    end_write(&pair.client, "alive");
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "alive");
    assert_both_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_each_turn_of_the_handshake),
        cmocka_unit_test(inside_on_ready),
        cmocka_unit_test(inside_on_event),
        cmocka_unit_test(abort_with_bytes_waiting),
        cmocka_unit_test(orderly_close_flushes_what_was_taken),
        cmocka_unit_test(orderly_close_does_not_wait_for_ever),
        cmocka_unit_test(after_a_failure),
        cmocka_unit_test(sessions_outlive_their_context),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
