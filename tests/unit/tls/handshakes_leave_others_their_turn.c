// SPDX-License-Identifier: GPL-3.0-or-later
//
// However many handshakes have a step to make, a turn of the loop makes a few of them, in order,
// and everybody else gets that turn, too.
#include "tls_fixture.h"

#include <string.h>

#define STORM 40 // handshakes at once, each with a client's and a server's steps

struct storm {
    struct loop *loop;         // one for all
    struct tls_pace *pace;     // of all sessions
    struct end clients[STORM]; // of the pairs
    struct end servers[STORM]; // of the pairs
    struct deferred other;     // somebody else's work, due each turn
    unsigned turns;            // that it got
    unsigned full_turns;       // turns that left handshakes waiting
    unsigned most_done;        // handshakes that ended between two of its turns
    unsigned done;             // handshake ends that ended so far
    unsigned done_before;      // the same, a turn ago
};

static unsigned count_done(const struct storm *storm)
{
    unsigned done = 0;
    for (size_t i = 0; i < STORM; i++) {
        done += (unsigned)storm->clients[i].is_done + (unsigned)storm->servers[i].is_done;
    }
    return done;
}

static void other_on_turn(void *context)
{
    struct storm *storm = context;
    storm->done = count_done(storm);
    unsigned fresh = storm->done - storm->done_before;
    storm->most_done = fresh > storm->most_done ? fresh : storm->most_done;
    storm->done_before = storm->done;
    storm->turns++;
    if (storm->done < 2 * STORM) {
        deferred_schedule(storm->loop, &storm->other);
    }
}

static void on_full(void *context)
{
    struct storm *storm = context;
    storm->full_turns++;
}

static bool storm_is_over(void *context)
{
    const struct storm *storm = context;
    return storm->done == 2 * STORM;
}

static void storm_init(struct storm *storm)
{
    *storm = (struct storm){.loop = loop_new("storm")};
    storm->pace = tls_pace_new(storm->loop, on_full, storm);
    deferred_init(&storm->other, other_on_turn, storm);
}

static void storm_begin(struct storm *storm, const struct world *world)
{
    const struct tls_session_options client = {.tls = world->client, .pace = storm->pace};
    const struct tls_session_options server = {.tls = world->server, .pace = storm->pace};
    for (size_t i = 0; i < STORM; i++) {
        struct stream *near = NULL;
        struct stream *far = NULL;
        assert_int_equal(memory_stream_pair(storm->loop, PKI_MEMORY_BYTES, &near, &far), RM_OK);
        assert_true(end_try_connect(&storm->clients[i], near, &client));
        assert_true(end_try_accept(&storm->servers[i], far, &server));
    }
}

static void storm_end(struct storm *storm)
{
    for (size_t i = 0; i < STORM; i++) {
        end_close(&storm->clients[i], STREAM_CLOSE_ABORT);
        end_close(&storm->servers[i], STREAM_CLOSE_ABORT);
    }
    loop_stop(storm->loop);
    loop_run(storm->loop);
    tls_pace_free(storm->pace);
    loop_free(storm->loop);
}

static void others_get_every_turn(void **state)
{
    struct storm storm;
    storm_init(&storm);
    storm_begin(&storm, *state);
    deferred_schedule(storm.loop, &storm.other);
    world_until(storm.loop, storm_is_over, &storm);
    for (size_t i = 0; i < STORM; i++) {
        assert_int_equal(storm.clients[i].result, RM_OK);
        assert_int_equal(storm.servers[i].result, RM_OK);
    }
    // A pair needs four steps or more, of which each turn makes so many.
    assert_true(storm.turns >= 4 * STORM / TLS_PACE_STEPS_PER_TURN);
    assert_in_range(storm.most_done, 1, TLS_PACE_STEPS_PER_TURN);
    assert_true(storm.full_turns > STORM / TLS_PACE_STEPS_PER_TURN);
    storm_end(&storm);
}

// Who leaves the queue, by closing or by its deadline, leaves it whole.
static void waiting_ones_may_go(void **state)
{
    struct storm storm;
    storm_init(&storm);
    storm_begin(&storm, *state);
    assert_true(tls_stream_is_waiting(storm.clients[STORM - 1].stream));
    assert_false(tls_stream_is_waiting(storm.servers[STORM - 1].stream)); // for its client
    storm_end(&storm);
}

static void deadline_counts_while_waiting(void **state)
{
    const struct world *world = *state;
    struct storm storm;
    struct stream *near = NULL;
    struct stream *far = NULL;
    struct end end = {0};
    const struct tls_session_options options = {.tls = world->client, .timeout_ms = 1};
    storm_init(&storm);
    struct tls_session_options paced = options;
    paced.pace = storm.pace;
    assert_int_equal(memory_stream_pair(storm.loop, PKI_MEMORY_BYTES, &near, &far), RM_OK);
    assert_true(end_try_connect(&end, near, &paced));
    world_until(storm.loop, end_is_done, &end);
    assert_int_equal(end.result, RM_ERR_TIMEOUT);
    assert_false(tls_stream_is_waiting(end.stream));
    end_close(&end, STREAM_CLOSE_ABORT);
    stream_close(far, STREAM_CLOSE_ABORT, NULL, NULL);
    loop_stop(storm.loop);
    loop_run(storm.loop);
    tls_pace_free(storm.pace);
    loop_free(storm.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_get_every_turn),
        cmocka_unit_test(waiting_ones_may_go),
        cmocka_unit_test(deadline_counts_while_waiting),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
