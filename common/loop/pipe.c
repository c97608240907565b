// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "loop/loop_internal.h"

static struct pipe *pipe_open(void)
{
    int ends[2];
    struct pipe *pipe = rm_malloc(sizeof(*pipe));
    if (pipe == NULL || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        rm_free(pipe);
        return NULL;
    }
    pipe->outlet = ends[0];
    pipe->inlet = ends[1];
    // A smaller one only takes more calls.
    (void)fcntl(pipe->inlet, F_SETPIPE_SZ, PIPE_BYTES);
    return pipe;
}

static void pipe_close(struct pipe *pipe)
{
    (void)close(pipe->inlet);
    (void)close(pipe->outlet);
    rm_free(pipe);
}

static void pipes_close_free(struct pipe_pool *pool)
{
    while (pool->free != NULL) {
        struct pipe *pipe = pool->free;
        pool->free = pipe->next;
        pipe_close(pipe);
    }
    pool->free_count = 0;
}

// Without memory for the timer, the next pipe that is put back tries again.
static void pipes_look_later(struct pipe_pool *pool)
{
    if (!timer_is_active(&pool->quiet) && timer_start(&pool->quiet, PIPE_QUIET_MS) != RM_OK) {
        return;
    }
}

static void pipes_on_quiet(void *context)
{
    struct pipe_pool *pool = &((struct loop *)context)->pipes;
    if (pool->was_used) {
        pipes_look_later(pool);
        pool->was_used = false;
    } else {
        pipes_close_free(pool);
    }
}

void pipes_init(struct loop *loop)
{
    timer_init(&loop->pipes.quiet, loop, pipes_on_quiet, loop);
}

void pipes_deinit(struct loop *loop)
{
    struct pipe_pool *pool = &loop->pipes;
    if (pool->lent_count > 0) {
        log_error(LOG_LOOP, "pipe_not_returned", LOG_STR("loop", loop->name),
                  LOG_U64("lent", pool->lent_count));
        abort();
    }
    timer_stop(&pool->quiet);
    pipes_close_free(pool);
}

struct pipe *pipe_get(struct loop *loop)
{
    struct pipe_pool *pool = &loop->pipes;
    if (pool->lent_count == PIPE_MAX_PER_LOOP) {
        return NULL;
    }
    struct pipe *pipe = pool->free;
    if (pipe != NULL) {
        pool->free = pipe->next;
        pool->free_count--;
    } else {
        pipe = pipe_open();
    }
    pool->lent_count += pipe != NULL;
    return pipe;
}

void pipe_put(struct loop *loop, struct pipe *pipe, bool is_reusable)
{
    struct pipe_pool *pool = &loop->pipes;
    pool->lent_count--;
    if (!is_reusable || pool->free_count == PIPE_KEEP_FREE) {
        pipe_close(pipe);
        return;
    }
    pipe->next = pool->free;
    pool->free = pipe;
    pool->free_count++;
    pool->was_used = true;
    pipes_look_later(pool);
}

size_t pipe_lent_count(const struct loop *loop)
{
    return loop->pipes.lent_count;
}
