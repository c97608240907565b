// SPDX-License-Identifier: GPL-3.0-or-later
//
// Timers in a binary heap of our own behind one libuv timer: starting and stopping is two swaps and
// no handle, so a timer can be embedded and its memory go at any time.
#include <stdlib.h>

#include "base/alloc.h"
#include "loop/loop_internal.h"

static bool timer_is_sooner(const struct timer *a, const struct timer *b)
{
    return a->expires_ms != b->expires_ms ? a->expires_ms < b->expires_ms : a->order < b->order;
}

static void heap_place(struct timer_heap *heap, struct timer *timer, size_t index)
{
    heap->slots[index] = timer;
    timer->heap_index = index;
}

static void heap_sift_up(struct timer_heap *heap, struct timer *timer, size_t index)
{
    while (index > 1 && timer_is_sooner(timer, heap->slots[index / 2])) {
        heap_place(heap, heap->slots[index / 2], index);
        index /= 2;
    }
    heap_place(heap, timer, index);
}

static void heap_sift_down(struct timer_heap *heap, struct timer *timer, size_t index)
{
    while (index * 2 <= heap->count) {
        size_t child = index * 2;
        if (child < heap->count && timer_is_sooner(heap->slots[child + 1], heap->slots[child])) {
            child++;
        }
        if (!timer_is_sooner(heap->slots[child], timer)) {
            break;
        }
        heap_place(heap, heap->slots[child], index);
        index = child;
    }
    heap_place(heap, timer, index);
}

static void heap_remove(struct timer_heap *heap, struct timer *timer)
{
    size_t hole = timer->heap_index;
    struct timer *last = heap->slots[heap->count--];
    timer->heap_index = 0;
    if (last == timer) {
        return;
    }
    if (hole > 1 && timer_is_sooner(last, heap->slots[hole / 2])) {
        heap_sift_up(heap, last, hole);
    } else {
        heap_sift_down(heap, last, hole);
    }
}

static enum rm_err heap_reserve_one(struct timer_heap *heap)
{
    if (heap->count + 1 < heap->capacity) {
        return RM_OK;
    }
    struct timer **grown = rm_realloc(heap->slots, heap->capacity * 2 * sizeof(struct timer *));
    if (grown == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    heap->slots = grown;
    heap->capacity *= 2;
    return RM_OK;
}

enum rm_err timers_init(struct loop *loop)
{
    struct timer_heap *heap = &loop->timers;
    heap->slots = rm_malloc(TIMER_FIRST_CAPACITY * sizeof(struct timer *));
    heap->capacity = TIMER_FIRST_CAPACITY;
    heap->armed_ms = TIMER_NOT_ARMED;
    return heap->slots != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

void timers_deinit(struct loop *loop)
{
    rm_free(loop->timers.slots);
}

// Calls what is due; timers started meanwhile wait for the next turn.
static void timers_expire(uv_timer_t *alarm)
{
    struct loop *loop = alarm->data;
    struct timer_heap *heap = &loop->timers;
    const uint64_t now_ms = loop_now_ms(loop);
    const uint64_t first_new_order = heap->next_order;
    heap->armed_ms = TIMER_NOT_ARMED;
    // New timers are due now at the soonest and sort behind older ones that are due.
    while (heap->count > 0 && heap->slots[1]->expires_ms <= now_ms &&
           heap->slots[1]->order < first_new_order) {
        struct timer *timer = heap->slots[1];
        heap_remove(heap, timer);
        timer->on_expire(timer->context);
    }
}

void timers_arm(struct loop *loop)
{
    struct timer_heap *heap = &loop->timers;
    uint64_t soonest_ms = heap->count > 0 ? heap->slots[1]->expires_ms : TIMER_NOT_ARMED;
    if (soonest_ms == heap->armed_ms) {
        return;
    }
    heap->armed_ms = soonest_ms;
    if (soonest_ms == TIMER_NOT_ARMED) {
        uv_timer_stop(&loop->alarm);
        return;
    }
    uint64_t now_ms = loop_now_ms(loop);
    uv_timer_start(&loop->alarm, timers_expire, soonest_ms > now_ms ? soonest_ms - now_ms : 0, 0);
}

void timer_init(struct timer *timer, struct loop *loop, timer_fn on_expire, void *context)
{
    *timer = (struct timer){.loop = loop, .on_expire = on_expire, .context = context};
}

enum rm_err timer_start(struct timer *timer, uint64_t delay_ms)
{
    struct timer_heap *heap = &timer->loop->timers;
    timer_stop(timer);
    RM_TRY(heap_reserve_one(heap));
    uint64_t now_ms = loop_now_ms(timer->loop);
    // One below the mark of an unarmed alarm: in effect never.
    timer->expires_ms =
        delay_ms < TIMER_NOT_ARMED - now_ms ? now_ms + delay_ms : TIMER_NOT_ARMED - 1;
    timer->order = heap->next_order++;
    heap_sift_up(heap, timer, ++heap->count);
    return RM_OK;
}

void timer_stop(struct timer *timer)
{
    if (timer->heap_index != 0) {
        heap_remove(&timer->loop->timers, timer);
    }
}

bool timer_is_active(const struct timer *timer)
{
    return timer->heap_index != 0;
}
