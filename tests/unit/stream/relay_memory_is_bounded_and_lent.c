// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "relayed.h"

struct memory_scene {
    struct relayed relayed; // under test
    struct timer timer;     // looks
    size_t most_chunks;     // that may be lent at the look
    unsigned looks;         // made
};

static void on_look_idle(void *context)
{
    struct memory_scene *scene = context;
    assert_int_equal(scene->relayed.right.received_bytes, 100000);
    assert_int_equal(chunk_lent_count(scene->relayed.loop), 0);
    scene->looks++;
    relay_abort(scene->relayed.relay, RM_ERR_CANCELLED);
}

static void an_idle_relay_holds_none(void **state)
{
    (void)state;
    struct memory_scene scene = {0};
    relayed_make(&scene.relayed, streams_tcp, streams_tcp);
    scene.relayed.left.send_bytes = 100000;
    scene.relayed.left.stays_open = true;
    scene.relayed.right.stays_open = true;
    timer_init(&scene.timer, scene.relayed.loop, on_look_idle, &scene);
    assert_int_equal(timer_start(&scene.timer, 50), RM_OK);
    relayed_run(&scene.relayed, &relayed_no_limits);
    assert_int_equal(scene.looks, 1);
}

static void on_look_stalled(void *context)
{
    struct memory_scene *scene = context;
    uint64_t a_to_b = 0;
    uint64_t b_to_a = 0;
    // Whatever the left has to send, the relay took no more than one chunk beyond what b took.
    relay_progress(scene->relayed.relay, &a_to_b, &b_to_a);
    assert_true(chunk_lent_count(scene->relayed.loop) <= scene->most_chunks);
    assert_true(a_to_b > 0);
    assert_true(scene->relayed.left.sent_bytes < UINT64_MAX / 2);
    scene->looks++;
    stream_close(scene->relayed.right_stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

// Of a small rest, as a small memory stream leaves it, it holds no chunk at all.
static void a_stalled_relay_holds_one_chunk_at_most(void **state)
{
    (void)state;
    static const pair_fn kinds[] = {streams_memory, streams_tcp};
    for (size_t i = 0; i < 2; i++) {
        struct memory_scene scene = {.most_chunks = i};
        relayed_make(&scene.relayed, kinds[i], kinds[i]);
        scene.relayed.left.send_bytes = UINT64_MAX;
        timer_init(&scene.timer, scene.relayed.loop, on_look_stalled, &scene);
        assert_int_equal(timer_start(&scene.timer, 50), RM_OK);
        relayed_relay(&scene.relayed, &relayed_no_limits);
        party_start(&scene.relayed.left, scene.relayed.left_stream);
        loop_finish(scene.relayed.loop);
        assert_int_equal(scene.looks, 1);
        assert_int_equal(scene.relayed.result.error, RM_ERR_RESET);
    }
}

// All chunks are elsewhere; the relay goes on with small blocks.
static void without_chunks_it_goes_on_with_little(void **state)
{
    (void)state;
    static uint8_t *chunks[CHUNK_MAX_PER_LOOP];
    static uint8_t first[10000];
    struct relayed relayed;
    const struct relay_options options = {.from_a = {first, sizeof(first)}};
    relayed_make(&relayed, streams_tcp, streams_memory);
    struct loop *loop = relayed.loop;
    for (size_t i = 0; i < sizeof(first); i++) {
        first[i] = party_byte(i);
    }
    for (size_t i = 0; i < CHUNK_MAX_PER_LOOP; i++) {
        chunks[i] = chunk_get(loop);
        assert_non_null(chunks[i]);
    }
    relayed.left.sent_bytes = sizeof(first);
    relayed.left.send_bytes = 500000;
    relayed.right.send_bytes = 500000;
    relayed_relay(&relayed, &options);
    party_start(&relayed.left, relayed.left_stream);
    party_start(&relayed.right, relayed.right_stream);
    loop_stop(loop);
    loop_run(loop);
    for (size_t i = 0; i < CHUNK_MAX_PER_LOOP; i++) {
        chunk_put(loop, chunks[i]);
    }
    loop_finish(loop);
    assert_int_equal(relayed.result.error, RM_OK);
    assert_int_equal(relayed.right.received_bytes, 500000);
    assert_int_equal(relayed.left.received_bytes, 500000);
}

// Each allocation fails once, one per run; the relay waits for memory and loses nothing.
static void a_lack_of_memory_on_the_way_only_delays(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct relayed relayed;
        relayed_make(&relayed, streams_tcp, streams_tcp);
        relayed.left.send_bytes = 100000;
        relayed.right.send_bytes = 100000;
        relayed_relay(&relayed, &relayed_no_limits);
        party_start(&relayed.left, relayed.left_stream);
        party_start(&relayed.right, relayed.right_stream);
        alarm(90);
        rm_alloc_fail_at(n);
        loop_stop(relayed.loop);
        loop_run(relayed.loop);
        rm_alloc_fail_at(0);
        loop_finish(relayed.loop);
        assert_int_equal(relayed.result.error, RM_OK);
        assert_int_equal(relayed.left.received_bytes, 100000);
        assert_int_equal(relayed.right.received_bytes, 100000);
    }
}

void *__real_rm_malloc(size_t size);
void *__wrap_rm_malloc(size_t size);

static unsigned refusals; // of what a flow would read into

void *__wrap_rm_malloc(size_t size)
{
    if (refusals > 0 && (size == CHUNK_BYTES || size == RELAY_LEAN_BYTES)) {
        refusals--;
        return NULL;
    }
    return __real_rm_malloc(size);
}

// No chunk and no block either, several times: it waits, and is woken.
static void without_any_memory_it_waits(void **state)
{
    (void)state;
    struct relayed relayed;
    relayed_make(&relayed, streams_tcp, streams_memory);
    relayed.left.send_bytes = 100000;
    relayed.right.send_bytes = 100000;
    refusals = 12;
    relayed_run(&relayed, &relayed_no_limits);
    assert_int_equal(refusals, 0);
    assert_int_equal(relayed.left.received_bytes, 100000);
    assert_int_equal(relayed.right.received_bytes, 100000);
}

static void on_abort_waiting(void *context)
{
    struct memory_scene *scene = context;
    relay_abort(scene->relayed.relay, RM_ERR_CANCELLED);
    refusals = 0;
    scene->looks++;
}

// The loop goes on past its next look for memory, which finds nobody waiting.
static void on_retry_passed(void *context)
{
    loop_close(context);
}

static void a_waiting_relay_can_be_aborted(void **state)
{
    (void)state;
    struct memory_scene scene = {0};
    relayed_make(&scene.relayed, streams_tcp, streams_memory);
    scene.relayed.left.send_bytes = 100000;
    refusals = UINT32_MAX;
    timer_init(&scene.timer, scene.relayed.loop, on_abort_waiting, &scene);
    assert_int_equal(timer_start(&scene.timer, 10), RM_OK);
    struct timer later;
    timer_init(&later, scene.relayed.loop, on_retry_passed, scene.relayed.loop);
    assert_int_equal(timer_start(&later, 200), RM_OK);
    loop_open(scene.relayed.loop);
    relayed_run(&scene.relayed, &relayed_no_limits);
    assert_int_equal(scene.looks, 1);
    assert_int_equal(scene.relayed.result.a_to_b_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_relay_holds_none),
        cmocka_unit_test(a_stalled_relay_holds_one_chunk_at_most),
        cmocka_unit_test(without_chunks_it_goes_on_with_little),
        cmocka_unit_test(a_lack_of_memory_on_the_way_only_delays),
        cmocka_unit_test(without_any_memory_it_waits),
        cmocka_unit_test(a_waiting_relay_can_be_aborted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
