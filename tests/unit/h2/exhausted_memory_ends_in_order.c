// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

static bool ask(void *context)
{
    struct world *world = context;
    for (int i = 0; i < 3; i++) {
        enum rm_err result = RM_OK;
        struct tap *tap = world_request(world, "/", false, &result);
        if (tap != NULL) {
            static const uint8_t bytes[3000];
            (void)!h2_stream_send(tap->stream, bytes, sizeof(bytes), true);
        }
    }
    h2_session_drain(world->client.session);
    return true;
}

static bool over(void *context)
{
    struct world *world = context;
    return ++world->count > 400;
}

// The n-th allocation from the first request on fails: each stream still closes once, each session
// still ends once (world_free asserts both), nothing leaks (the sanitizer asserts that).
static void every_allocation(void **state)
{
    (void)state;
    bool is_complete = false;
    uint64_t n = 1;
    for (; !is_complete; n++) {
        struct world *world = world_new(65536);
        world->server.habits.echoes = true;
        rm_alloc_fail_at(n);
        world_run(world, (const scenario_step_fn[]){ask, over, NULL});
        is_complete = rm_alloc_count() < n && world->client.reason == RM_OK;
        rm_alloc_fail_at(0);
        world_free(world);
        assert_true(n < 2000);
    }
    assert_true(n > 20);
}

static void on_end(void *context, enum rm_err reason, const char *detail)
{
    (void)detail;
    *(enum rm_err *)context = reason;
}

static const struct h2_session_handler handler = {.on_end = on_end};

// On an error the stream was taken and closed: the loop ends.
static void making_a_session(void **state)
{
    (void)state;
    enum rm_err result = RM_ERR_NO_MEMORY;
    uint64_t n = 1;
    for (; result != RM_OK; n++) {
        struct loop *loop = loop_new("test");
        struct stream *a = NULL;
        struct stream *b = NULL;
        struct h2_session *session = NULL;
        enum rm_err reason = RM_OK;
        assert_int_equal(memory_stream_pair(loop, 1000, &a, &b), RM_OK);
        rm_alloc_fail_at(n);
        result = h2_client_new(a, &handler, &reason, &session);
        rm_alloc_fail_at(0);
        assert_true(result == RM_OK || result == RM_ERR_NO_MEMORY);
        if (result == RM_OK) {
            h2_session_abort(session, RM_ERR_CANCELLED);
        }
        stream_close(b, STREAM_CLOSE_ABORT, NULL, NULL);
        loop_stop(loop);
        loop_run(loop);
        loop_free(loop);
        assert_int_equal(reason, result == RM_OK ? RM_ERR_CANCELLED : RM_OK);
    }
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(making_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
