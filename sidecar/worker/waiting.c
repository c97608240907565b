// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/waiting.h"

bool worker_is_ready(const struct worker *worker, bool needs_view)
{
    return worker->tunnel_tls != NULL &&
           (!needs_view || mesh_view_is_complete(worker->snapshot->view));
}

void waiting_enter(struct worker *worker, struct waiting *waiting, void (*resume)(void *context),
                   void *context)
{
    waiting->resume = resume;
    waiting->context = context;
    list_append(&worker->waiting, &waiting->node);
}

void waiting_leave(struct waiting *waiting)
{
    if (waiting->node.next != NULL) {
        list_remove(&waiting->node);
    }
}

void waiting_resume(struct worker *worker)
{
    // Those who must wait again enter a fresh list, so that each is asked once.
    struct list asked;
    list_init(&asked);
    struct list *node;
    while ((node = list_first(&worker->waiting)) != NULL) {
        list_remove(node);
        list_append(&asked, node);
    }
    while ((node = list_first(&asked)) != NULL) {
        list_remove(node);
        struct waiting *waiting = list_entry(node, struct waiting, node);
        waiting->resume(waiting->context);
    }
}
