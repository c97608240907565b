// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "clock_ahead.h"
#include "loop/loop.h"

static uint8_t *chunks[CHUNK_MAX_PER_LOOP];

struct taker {
    struct chunk_waiter waiter; // in the queue
    struct loop *loop;          // whose chunks
    uint8_t *chunk;             // got
    unsigned place;             // in which order it was served; 0: not yet
};

static unsigned served;

static void on_chunk(void *context)
{
    struct taker *taker = context;
    taker->chunk = chunk_get(taker->loop);
    if (taker->chunk == NULL) {
        chunk_wait(taker->loop, &taker->waiter);
        return;
    }
    taker->place = ++served;
}

static void taker_init(struct taker *taker, struct loop *loop)
{
    *taker = (struct taker){.loop = loop};
    chunk_waiter_init(&taker->waiter, on_chunk, taker);
}

static void take_all(struct loop *loop)
{
    for (size_t i = 0; i < CHUNK_MAX_PER_LOOP; i++) {
        chunks[i] = chunk_get(loop);
        assert_non_null(chunks[i]);
        memset(chunks[i], 0x5a, CHUNK_BYTES);
    }
}

static void on_stop(void *context)
{
    loop_stop(context);
}

// Runs what is scheduled now, and no more.
static void run_a_turn(struct loop *loop)
{
    struct timer timer;
    timer_init(&timer, loop, on_stop, loop);
    assert_int_equal(timer_start(&timer, 1), RM_OK);
    loop_run(loop);
}

static void beyond_the_limit_waiters_are_served_first_come_first(void **state)
{
    (void)state;
    struct loop *loop = loop_new("chunks");
    struct taker takers[4];
    served = 0;
    take_all(loop);
    assert_null(chunk_get(loop));
    assert_int_equal(chunk_lent_count(loop), CHUNK_MAX_PER_LOOP);
    for (unsigned i = 0; i < 4; i++) {
        taker_init(&takers[i], loop);
        chunk_wait(loop, &takers[i].waiter);
        chunk_wait(loop, &takers[i].waiter);
    }
    chunk_wait_cancel(&takers[1].waiter);
    chunk_put(loop, chunks[0]);
    chunk_put(loop, chunks[1]);
    // Served later, not from within.
    assert_int_equal(served, 0);
    run_a_turn(loop);
    assert_int_equal(takers[0].place, 1);
    assert_int_equal(takers[1].place, 0);
    assert_int_equal(takers[2].place, 2);
    assert_int_equal(takers[3].place, 0);
    chunk_wait_cancel(&takers[3].waiter);

    chunk_put(loop, takers[0].chunk);
    chunk_put(loop, takers[2].chunk);
    for (size_t i = 2; i < CHUNK_MAX_PER_LOOP; i++) {
        chunk_put(loop, chunks[i]);
    }
    assert_int_equal(chunk_lent_count(loop), 0);
    loop_free(loop);
}

static void a_returned_chunk_is_reused_without_an_allocation(void **state)
{
    (void)state;
    struct loop *loop = loop_new("chunks");
    uint8_t *first = chunk_get(loop);
    chunk_put(loop, first);
    rm_alloc_fail_at(1);
    assert_ptr_equal(chunk_get(loop), first);
    assert_int_equal(rm_alloc_count(), 0);
    rm_alloc_fail_at(0);
    chunk_put(loop, first);
    loop_free(loop);
}

static void on_pass_time(void *context)
{
    struct timer *timer = context;
    clock_ahead_ms += 5001;
    timer_init(timer, timer->loop, on_stop, timer->loop);
    assert_int_equal(timer_start(timer, 0), RM_OK);
}

static void pass_quiet_time(struct loop *loop)
{
    struct timer timer;
    timer_init(&timer, loop, on_pass_time, &timer);
    assert_int_equal(timer_start(&timer, 1), RM_OK);
    loop_run(loop);
}

static size_t resident_pages(uint8_t *chunk)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char flags[CHUNK_BYTES / 4096 + 2];
    uint8_t *first = (uint8_t *)((uintptr_t)chunk / page * page);
    size_t count = 0;
    assert_int_equal(mincore(first, CHUNK_BYTES, flags), 0);
    for (size_t i = 0; i < CHUNK_BYTES / page; i++) {
        count += flags[i] & 1;
    }
    return count;
}

// Two periods without use, and only the page with the link is left; the chunk is as good as before.
static void free_chunks_of_an_idle_loop_hold_no_pages(void **state)
{
    (void)state;
    struct loop *loop = loop_new("chunks");
    uint8_t *chunks_used[2] = {chunk_get(loop), chunk_get(loop)};
    for (int i = 0; i < 2; i++) {
        memset(chunks_used[i], 0x5a, CHUNK_BYTES);
        chunk_put(loop, chunks_used[i]);
    }
    pass_quiet_time(loop);
    assert_true(resident_pages(chunks_used[0]) > 4);
    pass_quiet_time(loop);
    assert_true(resident_pages(chunks_used[0]) <= 2);
    assert_true(resident_pages(chunks_used[1]) <= 2);
    for (int i = 0; i < 2; i++) {
        chunks_used[i] = chunk_get(loop);
        assert_non_null(chunks_used[i]);
        memset(chunks_used[i], 0x5a, CHUNK_BYTES);
    }
    chunk_put(loop, chunks_used[0]);
    chunk_put(loop, chunks_used[1]);
    loop_free(loop);
}

// No chunk is lent, so none can come back; the waiter is still called again.
static void a_waiter_outlives_a_lack_of_memory(void **state)
{
    (void)state;
    struct loop *loop = loop_new("chunks");
    struct taker taker;
    taker_init(&taker, loop);
    served = 0;
    rm_alloc_fail_at(1);
    assert_null(chunk_get(loop));
    chunk_wait(loop, &taker.waiter);
    // Long enough for the loop's own retry, which stops the loop through nothing else.
    for (int i = 0; i < 1000 && taker.chunk == NULL; i++) {
        run_a_turn(loop);
    }
    assert_int_equal(taker.place, 1);
    chunk_put(loop, taker.chunk);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_the_limit_waiters_are_served_first_come_first),
        cmocka_unit_test(a_returned_chunk_is_reused_without_an_allocation),
        cmocka_unit_test(free_chunks_of_an_idle_loop_hold_no_pages),
        cmocka_unit_test(a_waiter_outlives_a_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
