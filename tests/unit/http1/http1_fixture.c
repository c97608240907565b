// SPDX-License-Identifier: GPL-3.0-or-later
#include "http1_fixture.h"

#include <stdio.h>

static void on_request(void *context, const struct http1_request *request,
                       struct http1_answer *answer)
{
    struct world *world = context;
    world->handled_count++;
    size_t used = strlen(world->handled);
    snprintf(world->handled + used, sizeof(world->handled) - used, "%s %s %s|", request->method,
             request->path, request->query);
    if (strcmp(request->path, "/large") == 0) {
        uint8_t *space = NULL;
        if (buffer_reserve(&answer->body, world->answer_bytes, &space) == RM_OK) {
            memset(space, 'x', world->answer_bytes);
            buffer_commit(&answer->body, world->answer_bytes);
            answer->status = 200;
        }
        return;
    }
    bool is_known = strcmp(request->path, "/missing") != 0;
    answer->status = is_known ? 200 : 404;
    (void)!buffer_append_text(&answer->body, is_known ? "hello\n" : "no\n");
}

static void client_want(struct world *world)
{
    stream_want(world->client, (world->is_reading ? (unsigned)STREAM_READ : 0U) |
                                   (world->out_length > 0 ? (unsigned)STREAM_WRITE : 0U));
}

static void client_read(struct world *world)
{
    uint8_t bytes[4096];
    size_t length = 0;
    enum rm_err result = RM_OK;
    while ((result = stream_read(world->client, bytes, sizeof(bytes), &length)) == RM_OK) {
        size_t room = sizeof(world->in) - 1 - world->in_length;
        size_t kept = length < room ? length : room;
        memcpy(world->in + world->in_length, bytes, kept);
        world->in_length += kept;
        world->total_in += length;
    }
    if (result != RM_ERR_WOULD_BLOCK) {
        world->is_ended = true;
        world->end = result;
        world->is_reading = false;
    }
}

static void client_on_event(void *context, unsigned events)
{
    struct world *world = context;
    size_t written = 0;
    if ((events & STREAM_READ) != 0) {
        client_read(world);
    }
    if ((events & STREAM_WRITE) != 0 && world->out_length > 0) {
        if (stream_write_bytes(world->client, world->out, world->out_length, &written) == RM_OK) {
            memmove(world->out, world->out + written, world->out_length - written);
            world->out_length -= written;
        } else if (world->is_ended) {
            world->out_length = 0;
        }
    }
    client_want(world);
}

struct world *world_new(size_t capacity_bytes)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->loop = loop_new("test");
    world->server = http1_server_new(world->loop, on_request, world);
    assert_non_null(world->server);
    struct stream *end = NULL;
    assert_int_equal(memory_stream_pair(world->loop, capacity_bytes, &end, &world->client), RM_OK);
    world->is_reading = true;
    stream_own(world->client, client_on_event, world);
    client_want(world);
    http1_server_accept(world->server, end);
    return world;
}

static void world_finish(void *context)
{
    struct world *world = context;
    if (world->client != NULL) {
        stream_close(world->client, STREAM_CLOSE_ABORT, NULL, NULL);
    }
    if (world->server != NULL) {
        http1_server_close(world->server, NULL, NULL);
    }
}

void world_run(struct world *world, const scenario_step_fn *steps)
{
    scenario_run(world->loop, steps, world, world_finish);
}

void world_free(struct world *world)
{
    loop_free(world->loop);
    free(world->out);
    free(world);
}

void client_write(struct world *world, const char *text, size_t length)
{
    world->out = realloc(world->out, world->out_length + length + 1);
    memcpy(world->out + world->out_length, text, length);
    world->out_length += length;
    client_want(world);
}

void client_say(struct world *world, const char *text)
{
    client_write(world, text, strlen(text));
}

size_t count_of(const struct world *world, const char *needle)
{
    size_t count = 0;
    for (const char *at = strstr(world->in, needle); at != NULL; at = strstr(at + 1, needle)) {
        count++;
    }
    return count;
}

bool step_ended(void *context)
{
    return ((struct world *)context)->is_ended;
}

bool step_turns(void *context)
{
    struct world *world = context;
    if (++world->count < 100) {
        return false;
    }
    world->count = 0;
    return true;
}
