// SPDX-License-Identifier: GPL-3.0-or-later
//
// A handshake has one deadline over all its flights, whatever the peer does not say.
#include "tls_fixture.h"

#include <string.h>

#define TIMEOUT_MS 30

static void on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct end *end = context;
    end->is_done = true;
    end->result = result;
    end->failure = *failure;
}

// `says`: what the peer sends before it falls silent.
static void assert_times_out(const struct world *world, bool is_server, const char *says,
                             size_t length, const char *detail)
{
    struct loop *loop = loop_new("test");
    struct end end = {0};
    struct stream *near = NULL;
    struct stream *far = NULL;
    size_t written = 0;
    struct tls_session_options options = {.tls = is_server ? world->server : world->client,
                                          .timeout_ms = TIMEOUT_MS};
    assert_int_equal(memory_stream_pair(loop, 65536, &near, &far), RM_OK);
    assert_int_equal(
        (is_server ? tls_accept : tls_connect)(near, &options, on_ready, &end, &end.stream), RM_OK);
    if (length > 0) {
        assert_int_equal(stream_write_bytes(far, says, length, &written), RM_OK);
    }
    world_until(loop, end_is_done, &end);
    assert_int_equal(end.result, RM_ERR_TIMEOUT);
    assert_string_equal(tls_failure_name(&end.failure), "timeout");
    assert_non_null(strstr(end.failure.detail, detail));
    end_close(&end, STREAM_CLOSE_ABORT);
    stream_close(far, STREAM_CLOSE_ABORT, NULL, NULL);
    world_end(loop);
}

static void peer_that_says_nothing(void **state)
{
    assert_times_out(*state, true, "", 0, "not one byte");
    assert_times_out(*state, false, "", 0, "not one byte");
}

static void peer_that_stops_in_a_record(void **state)
{
    assert_times_out(*state, true, "\x16\x03\x01\x02\x00\x01", 6, "no end of the handshake");
    assert_times_out(*state, false, "\x16\x03\x03\x00\x7a\x02", 6, "no end of the handshake");
}

// The client's first flight arrives, then it never answers.
static void peer_that_stops_after_its_hello(void **state)
{
    const struct world *world = *state;
    struct loop *loop = loop_new("test");
    struct end client = {0};
    struct stream *near = NULL;
    struct stream *far = NULL;
    struct tls_session_options options = {.tls = world->client};
    uint8_t hello[4096];
    size_t length = 0;
    assert_int_equal(memory_stream_pair(loop, 65536, &near, &far), RM_OK);
    assert_int_equal(tls_connect(near, &options, on_ready, &client, &client.stream), RM_OK);
    world_turns(loop, 4);
    assert_int_equal(stream_read(far, hello, sizeof(hello), &length), RM_OK);
    assert_times_out(world, true, (const char *)hello, length, "no end of the handshake");
    end_close(&client, STREAM_CLOSE_ABORT);
    stream_close(far, STREAM_CLOSE_ABORT, NULL, NULL);
    world_end(loop);
}

// A good handshake stops the clock.
static void deadline_ends_with_the_handshake(void **state)
{
    const struct world *world = *state;
    struct tls_session_options options = {.tls = world->client, .timeout_ms = TIMEOUT_MS * 100};
    struct pair pair;
    char text[16];
    pair_init_with(&pair, &options, world->server);
    assert_int_equal(pair.client.result, RM_OK);
    end_write(&pair.server, "late");
    assert_int_equal(end_read(&pair, &pair.client, text, sizeof(text)), RM_OK);
    pair_deinit(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peer_that_says_nothing),
        cmocka_unit_test(peer_that_stops_in_a_record),
        cmocka_unit_test(peer_that_stops_after_its_hello),
        cmocka_unit_test(deadline_ends_with_the_handshake),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
