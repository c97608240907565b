// SPDX-License-Identifier: GPL-3.0-or-later
//
// Descriptor watches on uv_poll. libuv removes and adds the descriptor anew (two system calls) for
// each change of interest; here a change is only noted, and told once before the loop sleeps, so
// that back and forth within a turn costs nothing.
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "loop/loop_internal.h"

struct watch {
    uv_poll_t handle;    // libuv's own
    struct list changed; // in the loop's list while `wanted` may differ from `told`
    struct loop *loop;   // it belongs to
    watch_fn on_ready;   // the user's
    void *context;       // for on_ready
    uint8_t wanted;      // WATCH_*: what the user asked for
    uint8_t told;        // WATCH_*: what libuv knows
};

_Static_assert((int)WATCH_READ == (int)UV_READABLE && (int)WATCH_WRITE == (int)UV_WRITABLE,
               "events pass between us and libuv unchanged");

static void watch_note_change(struct watch *watch)
{
    if (list_is_empty(&watch->changed)) {
        list_append(&watch->loop->changed_watches, &watch->changed);
    }
}

static void watch_on_poll(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    unsigned ready = (unsigned)events & watch->wanted;
    enum rm_err error = RM_OK;
    if (status != 0) {
        // The descriptor is in an error state, and libuv has stopped looking at it.
        watch->told = 0;
        watch_note_change(watch);
        ready = watch->wanted;
        error = RM_ERR_IO;
    }
    if (ready != 0) {
        watch->on_ready(watch->context, ready, error);
    }
}

static void watch_tell(struct watch *watch)
{
    if (watch->wanted == watch->told) {
        return;
    }
    watch->told = watch->wanted;
    if (watch->wanted == 0) {
        uv_poll_stop(&watch->handle);
    } else if (uv_poll_start(&watch->handle, watch->wanted, watch_on_poll) != 0) {
        log_error(LOG_LOOP, "descriptor_watched_twice", LOG_STR("loop", watch->loop->name));
        abort();
    }
}

void watches_apply(struct loop *loop)
{
    struct list *node;
    while ((node = list_first(&loop->changed_watches)) != NULL) {
        list_remove(node);
        watch_tell(list_entry(node, struct watch, changed));
    }
}

enum rm_err watch_open(struct loop *loop, int descriptor, watch_fn on_ready, void *context,
                       struct watch **out)
{
    struct watch *watch = rm_malloc(sizeof(*watch));
    if (watch == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    int result = uv_poll_init(&loop->uv, &watch->handle, descriptor);
    if (result != 0) {
        rm_free(watch);
        return rm_err_from_errno(result);
    }
    watch->handle.data = watch;
    list_init(&watch->changed);
    watch->loop = loop;
    watch->on_ready = on_ready;
    watch->context = context;
    watch->wanted = 0;
    watch->told = 0;
    loop_open(loop);
    *out = watch;
    return RM_OK;
}

void watch_set(struct watch *watch, unsigned events)
{
    watch->wanted = (uint8_t)events;
    if (watch->wanted != watch->told) {
        watch_note_change(watch);
    }
}

static void watch_on_closed(uv_handle_t *handle)
{
    rm_free(handle->data);
}

void watch_close(struct watch *watch)
{
    struct loop *loop = watch->loop;
    list_remove(&watch->changed);
    // Stops at once; only the memory must wait for the end of libuv's turn.
    uv_close((uv_handle_t *)&watch->handle, watch_on_closed);
    loop_close(loop);
}
