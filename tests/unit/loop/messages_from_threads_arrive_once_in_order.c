// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "loop/loop.h"
#include "loop/thread.h"

#define POSTER_COUNT 4
#define MESSAGE_COUNT 5000 // per poster

struct letter {
    struct message message; // posted
    unsigned poster;        // who posted it
    unsigned number;        // in which place
};

static struct loop *receiver;
static struct letter letters[POSTER_COUNT][MESSAGE_COUNT];
static unsigned received[POSTER_COUNT];
static unsigned received_total;
static pthread_t receiving_thread;

static void on_letter(void *context)
{
    const struct letter *letter = context;
    assert_true(pthread_equal(pthread_self(), receiving_thread));
    assert_int_equal(letter->number, received[letter->poster]);
    received[letter->poster]++;
    if (++received_total == POSTER_COUNT * MESSAGE_COUNT) {
        loop_stop(receiver);
    }
}

static void *post_all(void *context)
{
    unsigned poster = *(unsigned *)context;
    for (unsigned i = 0; i < MESSAGE_COUNT; i++) {
        struct letter *letter = &letters[poster][i];
        *letter = (struct letter){
            .message = {.deliver = on_letter, .context = letter}, .poster = poster, .number = i};
        loop_post(receiver, &letter->message);
    }
    return NULL;
}

static void each_posters_messages_arrive_in_its_order(void **state)
{
    (void)state;
    pthread_t threads[POSTER_COUNT];
    unsigned numbers[POSTER_COUNT];
    receiver = loop_new("mailbox");
    receiving_thread = pthread_self();
    for (unsigned i = 0; i < POSTER_COUNT; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &numbers[i]), 0);
    }
    loop_run(receiver);
    for (unsigned i = 0; i < POSTER_COUNT; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(received[i], MESSAGE_COUNT);
    }
    loop_free(receiver);
}

static enum rm_err thread_init(void *context, struct loop *loop)
{
    *(struct loop **)context = loop;
    return RM_OK;
}

static void on_stop(void *context)
{
    loop_stop(*(struct loop **)context);
}

// The message that stops a loop may be delivered, and the loop end, before the poster is done.
static void posting_the_stop_races_with_the_end(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct loop *loop = NULL;
        struct loop_thread *thread = NULL;
        struct message stop = {.deliver = on_stop, .context = &loop};
        assert_int_equal(loop_thread_start("short", thread_init, NULL, &loop, &thread), RM_OK);
        loop_post(loop_thread_loop(thread), &stop);
        loop_thread_join(thread);
    }
}

int __real_uv_async_send(void *bell);
int __wrap_uv_async_send(void *bell);

static atomic_bool is_held_up; // posters wait before they ring
static atomic_bool may_ring;   // until this

int __wrap_uv_async_send(void *bell)
{
    if (atomic_load(&is_held_up)) {
        while (!atomic_load(&may_ring)) {
            sched_yield();
        }
        // The loop is being freed right now.
        for (int i = 0; i < 200; i++) {
            sched_yield();
        }
    }
    return __real_uv_async_send(bell);
}

static void on_flag(void *context)
{
    atomic_store((atomic_bool *)context, true);
}

static void *post_one(void *context)
{
    struct letter *letter = context;
    loop_post(receiver, &letter->message);
    return NULL;
}

// The poster has pushed its message and is about to ring when the loop, which has delivered it, is
// freed.
static void a_loop_outlives_who_is_still_posting(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_bool is_delivered = false;
    struct letter letter = {.message = {.deliver = on_flag, .context = &is_delivered}};
    receiver = loop_new("mailbox");
    loop_stop(receiver);
    atomic_store(&is_held_up, true);
    assert_int_equal(pthread_create(&thread, NULL, post_one, &letter), 0);
    while (!atomic_load(&is_delivered)) {
        loop_stop(receiver);
        loop_run(receiver);
    }
    atomic_store(&may_ring, true);
    loop_free(receiver);
    pthread_join(thread, NULL);
    atomic_store(&is_held_up, false);
}

static void on_count(void *context)
{
    ++*(unsigned *)context;
}

static void what_is_posted_after_the_end_is_delivered_by_free(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct loop *loop = loop_new("mailbox");
    struct message message = {.deliver = on_count, .context = &calls};
    loop_stop(loop);
    loop_run(loop);
    loop_post(loop, &message);
    assert_int_equal(calls, 0);
    loop_free(loop);
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_posters_messages_arrive_in_its_order),
        cmocka_unit_test(posting_the_stop_races_with_the_end),
        cmocka_unit_test(a_loop_outlives_who_is_still_posting),
        cmocka_unit_test(what_is_posted_after_the_end_is_delivered_by_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
