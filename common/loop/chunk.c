// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "loop/loop_internal.h"

// Calls as many waiters as there are chunks. One that gets none after all queues again, behind.
static void chunks_wake(void *context)
{
    struct loop *loop = context;
    struct chunk_pool *pool = &loop->chunks;
    for (size_t count = CHUNK_MAX_PER_LOOP - pool->lent_count; count > 0; count--) {
        struct list *first = list_first(&pool->waiters);
        if (first == NULL) {
            return;
        }
        struct chunk_waiter *waiter = list_entry(first, struct chunk_waiter, node);
        list_remove(&waiter->node);
        waiter->on_chunk(waiter->context);
    }
}

// The allocator would keep a freed chunk's pages; like this only their addresses stay. The page
// that holds the link to the next chunk stays as well.
static void chunk_give_pages_back(struct free_chunk *chunk)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t)(chunk + 1) + page - 1) / page * page;
    const uintptr_t last = ((uintptr_t)chunk + CHUNK_BYTES) / page * page;
    (void)madvise((void *)first, last - first, MADV_DONTNEED);
}

// Without memory for the timer, the next chunk that is put back tries again.
static void chunks_look_later(struct chunk_pool *pool)
{
    if (!timer_is_active(&pool->quiet) && timer_start(&pool->quiet, CHUNK_QUIET_MS) != RM_OK) {
        return;
    }
}

// In a busy loop this comes once per CHUNK_QUIET_MS and does nothing; in an idle one it comes
// twice.
static void chunks_on_quiet(void *context)
{
    struct chunk_pool *pool = &((struct loop *)context)->chunks;
    if (pool->was_used) {
        chunks_look_later(pool);
        pool->was_used = false;
        return;
    }
    const bool has_more = pool->free_count > CHUNK_KEEP_QUIET;
    while (pool->free_count > CHUNK_KEEP_QUIET) {
        struct free_chunk *chunk = pool->free;
        pool->free = chunk->next;
        pool->free_count--;
        rm_free(chunk);
    }
    for (struct free_chunk *chunk = pool->free; chunk != NULL; chunk = chunk->next) {
        chunk_give_pages_back(chunk);
    }
    if (has_more) {
        rm_give_back(); // the allocator would keep what a burst needed
    }
}

void chunks_init(struct loop *loop)
{
    struct chunk_pool *pool = &loop->chunks;
    list_init(&pool->waiters);
    deferred_init(&pool->wake, chunks_wake, loop);
    timer_init(&pool->retry, loop, chunks_wake, loop);
    timer_init(&pool->quiet, loop, chunks_on_quiet, loop);
}

void chunks_deinit(struct loop *loop)
{
    struct chunk_pool *pool = &loop->chunks;
    if (pool->lent_count > 0) {
        log_error(LOG_LOOP, "chunk_not_returned", LOG_STR("loop", loop->name),
                  LOG_U64("lent", pool->lent_count));
        abort();
    }
    timer_stop(&pool->retry);
    timer_stop(&pool->quiet);
    while (pool->free != NULL) {
        struct free_chunk *chunk = pool->free;
        pool->free = chunk->next;
        rm_free(chunk);
    }
}

uint8_t *chunk_get(struct loop *loop)
{
    struct chunk_pool *pool = &loop->chunks;
    if (pool->lent_count == CHUNK_MAX_PER_LOOP) {
        return NULL;
    }
    void *chunk = pool->free;
    if (chunk != NULL) {
        pool->free = pool->free->next;
        pool->free_count--;
    } else {
        chunk = rm_malloc(CHUNK_BYTES);
    }
    pool->lent_count += chunk != NULL;
    return chunk;
}

void chunk_put(struct loop *loop, uint8_t *chunk)
{
    struct chunk_pool *pool = &loop->chunks;
    pool->lent_count--;
    if (pool->free_count < CHUNK_KEEP_FREE) {
        struct free_chunk *head = (void *)chunk;
        head->next = pool->free;
        pool->free = head;
        pool->free_count++;
        pool->was_used = true;
        chunks_look_later(pool);
    } else {
        rm_free(chunk);
    }
    if (!list_is_empty(&pool->waiters)) {
        deferred_schedule(loop, &pool->wake);
    }
}

void chunk_waiter_init(struct chunk_waiter *waiter, deferred_fn on_chunk, void *context)
{
    list_init(&waiter->node);
    waiter->on_chunk = on_chunk;
    waiter->context = context;
}

void chunk_wait(struct loop *loop, struct chunk_waiter *waiter)
{
    struct chunk_pool *pool = &loop->chunks;
    if (!list_is_empty(&waiter->node)) {
        return;
    }
    list_append(&pool->waiters, &waiter->node);
    // Below our own limit it was memory that ran out, and no chunk that comes back need ever tell
    // that there is some again: ask, if need be in each turn.
    if (pool->lent_count < CHUNK_MAX_PER_LOOP && !timer_is_active(&pool->retry) &&
        timer_start(&pool->retry, CHUNK_RETRY_MS) != RM_OK) {
        deferred_schedule(loop, &pool->wake);
    }
}

void chunk_wait_cancel(struct chunk_waiter *waiter)
{
    list_remove(&waiter->node);
}

size_t chunk_lent_count(const struct loop *loop)
{
    return loop->chunks.lent_count;
}
