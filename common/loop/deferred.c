// SPDX-License-Identifier: GPL-3.0-or-later
#include "loop/loop_internal.h"

// An idle handle's only use is to exist: libuv does not sleep then.
static void deferred_stay_awake(uv_idle_t *handle)
{
    (void)handle;
}

static void list_move_all(struct list *from, struct list *to)
{
    list_init(to);
    if (!list_is_empty(from)) {
        to->next = from->next;
        to->prev = from->prev;
        to->next->prev = to;
        to->prev->next = to;
        list_init(from);
    }
}

void deferred_init(struct deferred *deferred, deferred_fn call, void *context)
{
    list_init(&deferred->node);
    deferred->call = call;
    deferred->context = context;
}

void deferred_schedule(struct loop *loop, struct deferred *deferred)
{
    if (list_is_empty(&deferred->node)) {
        list_append(&loop->deferred, &deferred->node);
        uv_idle_start(&loop->awake, deferred_stay_awake);
    }
}

void deferred_cancel(struct deferred *deferred)
{
    list_remove(&deferred->node);
}

// Moves the whole list aside: a call may schedule (next turn) and cancel (wherever it is) others.
void deferred_drain(struct loop *loop)
{
    struct list due;
    list_move_all(&loop->deferred, &due);
    while (!list_is_empty(&due)) {
        struct deferred *deferred = list_entry(due.next, struct deferred, node);
        list_remove(&deferred->node);
        deferred->call(deferred->context);
    }
    if (list_is_empty(&loop->deferred)) {
        uv_idle_stop(&loop->awake);
    }
}
