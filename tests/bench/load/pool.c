// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool.h"

#include <stdlib.h>

struct pool pool;

static void open_more(void)
{
    while (pool.begun < pool.options->connections &&
           pool.begun - pool.standing < LOAD_OPENING_MAX) {
        struct client *client = &pool.clients[pool.begun++];
        client->asked_ns = now_ns();
        client_open(client, pool.options->port);
    }
}

static void on_ready(struct client *client)
{
    client_ask(client, pool.options->bytes, pool.closes, client->asked_ns);
}

static void on_answer(struct client *client)
{
    if (client->stands) {
        if (pool.on_answer != NULL) {
            pool.on_answer(client);
        }
        return;
    }
    client->stands = true;
    pool.standing++;
    open_more();
}

static void on_fail(struct client *client)
{
    if (client_totals.failures > 100 + (uint64_t)pool.options->connections / 10) {
        give_up("too many connections fail");
    }
    client_open(client, pool.options->port);
}

void pool_stand(const struct load_options *options, bool closes,
                void (*on_later_answer)(struct client *client))
{
    pool = (struct pool){.options = options, .closes = closes, .on_answer = on_later_answer};
    pool.clients = calloc((size_t)options->connections, sizeof(*pool.clients));
    if (pool.clients == NULL) {
        die("calloc");
    }
    for (int i = 0; i < options->connections; i++) {
        pool.clients[i].watch.fd = -1;
        pool.clients[i].on_ready = on_ready;
        pool.clients[i].on_answer = on_answer;
        pool.clients[i].on_fail = on_fail;
    }
    uint64_t deadline = now_ns() + ns_of_seconds(options->patience);
    open_more();
    while (pool.standing < options->connections) {
        if (now_ns() >= deadline) {
            give_up("the connections did not stand in time");
        }
        engine_step(deadline);
    }
}

void pool_ask(struct client *client, uint64_t asked_ns)
{
    if (pool.closes) {
        client->asked_ns = asked_ns;
        client_open(client, pool.options->port);
    } else {
        client_ask(client, pool.options->bytes, false, asked_ns);
    }
}

void pool_close(void)
{
    for (int i = 0; i < pool.options->connections; i++) {
        client_close(&pool.clients[i]);
    }
    free(pool.clients);
}
