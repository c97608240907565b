// SPDX-License-Identifier: GPL-3.0-or-later
//
// Messages from other threads: a stack that any thread pushes to without a lock, and that the loop
// takes as a whole and turns around.
#include "loop/loop_internal.h"

void loop_post(struct loop *loop, struct message *message)
{
    // Seen by whoever sees the message: loop_free() waits until we no longer touch the loop.
    atomic_fetch_add(&loop->poster_count, 1);
    struct message *head = atomic_load_explicit(&loop->box, memory_order_relaxed);
    do {
        message->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->box, &head, message,
                                                    memory_order_release, memory_order_relaxed));
    // Who finds the box empty rings; whoever adds to it until it is emptied need not.
    if (head == NULL) {
        uv_async_send(&loop->bell);
    }
    atomic_fetch_sub(&loop->poster_count, 1);
}

static struct message *mailbox_take_oldest_first(struct loop *loop)
{
    struct message *newest = atomic_exchange_explicit(&loop->box, NULL, memory_order_acquire);
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

void mailbox_deliver(struct loop *loop)
{
    struct message *message = mailbox_take_oldest_first(loop);
    while (message != NULL) {
        // Delivery may free the message.
        struct message *next = message->next;
        message->deliver(message->context);
        message = next;
    }
}
