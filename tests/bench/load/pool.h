// SPDX-License-Identifier: GPL-3.0-or-later
//
// All connections of a mode that asks for answers. They are opened a few at a time, and each stands
// once it has had its first answer. A connection that fails is opened again and asks again, its
// answer's time still counted from the first attempt; too many failures end the program.
#pragma once

#include "client.h"
#include "load.h"

struct pool {
    const struct load_options *options;
    struct client *clients; // options->connections of them
    int begun;              // opened for the first time
    int standing;           // have had their first answer
    bool closes;            // each answer ends its connection
    // An answer on a pool that stands; the client is READY, or CLOSED when `closes`. May be NULL.
    void (*on_answer)(struct client *client);
};
extern struct pool pool; // one per process

// Opens all and returns when they stand.
void pool_stand(const struct load_options *options, bool closes,
                void (*on_answer)(struct client *client));
// Asks for the next answer, over a new connection when `closes`.
void pool_ask(struct client *client, uint64_t asked_ns);
// Closes what is open, and frees.
void pool_close(void);
