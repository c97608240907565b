// SPDX-License-Identifier: GPL-3.0-or-later
//
// Each allocation fails once, one per connection: while it is accepted, and from the end of the
// handshake to the application's first answer. That connection may end, with a Reply or a reset;
// it never hangs, nothing of it stays, and the next one finds everything working.
#include "caller.h"

#include "base/alloc.h"

#define MAX_ALLOCATIONS 400 // of a whole exchange; far more than there are

struct outcome {
    struct caller *caller;
    bool is_served; // the application's answer came
};

static bool is_over(void *context)
{
    struct outcome *outcome = context;
    const struct party *party = &outcome->caller->party;
    struct tunnel_reply reply;
    size_t consumed = 0;
    enum rm_err result =
        tunnel_decode_reply((const uint8_t *)party->bytes, party->length, &reply, &consumed);
    outcome->is_served =
        result == RM_OK && reply.status == TUNNEL_OK && party->length == consumed + 4;
    return outcome->is_served || party->end != RM_OK;
}

static bool exchange(struct tunnel_world *world, uint64_t failing, uint64_t *allocations)
{
    struct caller caller;
    struct outcome outcome = {.caller = &caller};
    caller_enter(&caller, world);
    rm_alloc_fail_at(failing);
    struct tunnel_connect connect = {.service = "web", .port = 80, .connection_id = {1}};
    uint8_t bytes[TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES + 4];
    size_t length = 0;
    size_t written = 0;
    bool is_sent = tunnel_encode_connect(&connect, bytes, &length) == RM_OK;
    memcpy(bytes + length, "ping", 4);
    // Our own side may be the one that gets no memory.
    is_sent =
        is_sent && stream_write_bytes(caller.party.stream, bytes, length + 4, &written) == RM_OK;
    if (is_sent) {
        world_until(world->loop, is_over, &outcome);
    }
    *allocations = rm_alloc_count();
    rm_alloc_fail_at(0);
    caller_leave(&caller);
    expect_quiet(world);
    return outcome.is_served;
}

static void between_handshake_and_first_answer(void **state)
{
    struct tunnel_world *world = *state;
    uint64_t total = 0;
    uint64_t some = 0;
    unsigned refused = 0;
    assert_true(exchange(world, 0, &some)); // what is kept for all is made now
    assert_true(exchange(world, 0, &total));
    assert_in_range(total, 10, MAX_ALLOCATIONS);
    for (uint64_t n = 1; n <= total; n++) {
        refused += !exchange(world, n, &some);
    }
    assert_in_range(refused, total / 2, total);
    assert_true(exchange(world, 0, &some));
}

// The number of allocations it took; the n-th fails.
static uint64_t accept_once(struct tunnel_world *world, bool is_edge, uint64_t n)
{
    struct stream *near = NULL;
    struct stream *far = NULL;
    struct party party = {0};
    assert_int_equal(memory_stream_pair(world->loop, 65536, &near, &far), RM_OK);
    party_begin(&party, near);
    rm_alloc_fail_at(n);
    if (is_edge) {
        inbound_accept_edge(&world->server.worker, far, 0);
    } else {
        inbound_accept(&world->server.worker, far);
    }
    uint64_t allocations = rm_alloc_count();
    rm_alloc_fail_at(0);
    world_turns(world->loop, 3);
    // Accepted all the same, or gone with a reset.
    assert_int_equal(world->server.worker.connection_count, party.end == RM_OK);
    if (party.end != RM_OK) {
        assert_int_equal(party.end, RM_ERR_RESET);
    }
    assert_int_equal(party.end == RM_OK, world->server.worker.gate.count == 1);
    party_close(&party, STREAM_CLOSE_ABORT);
    expect_quiet(world);
    return allocations;
}

static void while_it_is_accepted(void **state)
{
    struct tunnel_world *world = *state;
    uint64_t some = 0;
    for (int is_edge = 0; is_edge < 2; is_edge++) {
        (void)accept_once(world, is_edge, 0);
        uint64_t total = accept_once(world, is_edge, 0);
        assert_in_range(total, 3, MAX_ALLOCATIONS);
        for (uint64_t n = 1; n <= total; n++) {
            (void)accept_once(world, is_edge, n);
        }
    }
    assert_true(exchange(world, 0, &some));
}

#define IN_WORLD(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, tunnel_world_setup, tunnel_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(between_handshake_and_first_answer),
        IN_WORLD(while_it_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
