// SPDX-License-Identifier: GPL-3.0-or-later
#include "loop/loop.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "loop/loop_internal.h"

// libuv aborts the process when its table of descriptors cannot grow, so a refusal that passes (an
// injected one, or memory freed by another thread meanwhile) must not reach it.
static void *loop_realloc_for_libuv(void *block, size_t size)
{
    void *grown = rm_realloc(block, size);
    return grown != NULL ? grown : rm_realloc(block, size);
}

static void loop_give_libuv_our_allocator(void)
{
    if (uv_replace_allocator(rm_malloc, loop_realloc_for_libuv, rm_calloc, rm_free) != 0) {
        abort();
    }
}

static void loop_on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    watches_apply(loop);
    timers_arm(loop);
}

static void loop_on_check(uv_check_t *handle)
{
    deferred_drain(handle->data);
}

static void loop_on_bell(uv_async_t *handle)
{
    mailbox_deliver(handle->data);
}

// Only the bell's set-up can fail. Of the others, none may keep libuv's loop alive by itself.
static enum rm_err loop_open_handles(struct loop *loop)
{
    int result = uv_async_init(&loop->uv, &loop->bell, loop_on_bell);
    if (result != 0) {
        return rm_err_from_errno(result);
    }
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->awake);
    uv_timer_init(&loop->uv, &loop->alarm);
    loop->bell.data = loop;
    loop->prepare.data = loop;
    loop->check.data = loop;
    loop->awake.data = loop;
    loop->alarm.data = loop;
    uv_prepare_start(&loop->prepare, loop_on_prepare);
    uv_check_start(&loop->check, loop_on_check);
    return RM_OK;
}

struct loop *loop_new(const char *name)
{
    static pthread_once_t allocator_once = PTHREAD_ONCE_INIT;
    pthread_once(&allocator_once, loop_give_libuv_our_allocator);

    struct loop *loop = rm_calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return NULL;
    }
    strncpy(loop->name, name, sizeof(loop->name) - 1);
    list_init(&loop->deferred);
    list_init(&loop->changed_watches);
    atomic_init(&loop->box, NULL);
    atomic_init(&loop->poster_count, 0);
    chunks_init(loop);
    pipes_init(loop);
    if (timers_init(loop) != RM_OK) {
        goto failed;
    }
    if (uv_loop_init(&loop->uv) != 0) {
        goto failed_timers;
    }
    if (loop_open_handles(loop) != RM_OK) {
        goto failed_uv;
    }
    return loop;

failed_uv:
    (void)uv_loop_close(&loop->uv);
failed_timers:
    timers_deinit(loop);
failed:
    rm_free(loop);
    return NULL;
}

void loop_run(struct loop *loop)
{
    do {
        uv_run(&loop->uv, UV_RUN_DEFAULT);
        // What was posted before the end is delivered before the end.
        mailbox_deliver(loop);
    } while (!loop->is_stopping || loop->open_count > 0);
}

void loop_settle(struct loop *loop)
{
    if (loop->is_stopping && loop->open_count == 0) {
        uv_stop(&loop->uv);
    }
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
    loop_settle(loop);
}

static void loop_close_handles(struct loop *loop)
{
    signals_close(loop);
    uv_close((uv_handle_t *)&loop->bell, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->awake, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    // Also lets go of watches that were closed in the last turn.
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_free(struct loop *loop)
{
    // A poster may have been overtaken by the delivery of its own message; it is a few instructions
    // from done.
    while (atomic_load(&loop->poster_count) > 0) {
        sched_yield();
    }
    mailbox_deliver(loop);
    if (loop->open_count > 0) {
        log_error(LOG_LOOP, "loop_freed_while_open", LOG_STR("loop", loop->name),
                  LOG_U64("open", loop->open_count));
        abort();
    }
    chunks_deinit(loop);
    pipes_deinit(loop);
    loop_close_handles(loop);
    if (uv_loop_close(&loop->uv) != 0) {
        log_error(LOG_LOOP, "loop_freed_with_handles", LOG_STR("loop", loop->name));
        abort();
    }
    timers_deinit(loop);
    rm_free(loop);
}

const char *loop_name(const struct loop *loop)
{
    return loop->name;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

void loop_open(struct loop *loop)
{
    loop->open_count++;
}

void loop_close(struct loop *loop)
{
    if (loop->open_count == 0) {
        log_error(LOG_LOOP, "loop_closed_too_often", LOG_STR("loop", loop->name));
        abort();
    }
    loop->open_count--;
    loop_settle(loop);
}

size_t loop_open_count(const struct loop *loop)
{
    return loop->open_count;
}
