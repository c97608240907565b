// SPDX-License-Identifier: GPL-3.0-or-later
//
// The gate of a worker: how many handshakes of strangers may be under way, in all and for one
// source address, so that whoever connects and says nothing costs a bounded amount and keeps nobody
// out. When a newcomer finds no room, the handshake that has waited longest for its peer makes it:
// honest peers speak at once. Handshakes that wait for us are never put out; when there is nobody
// else, the newcomer is refused. Life of an entry: gate_admit -> gate_enter -> gate_leave, when the
// handshake ended.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "stream/stream.h"

// Handshakes that are looked at to find one that waits for its peer: a bound on the work for each
// newcomer. In a storm the oldest are the next that we serve.
#define GATE_LOOK_MAX 64
// An IPv6 source is a network of this prefix: one machine has all of its addresses.
#define GATE_IPV6_PREFIX_BYTES 8

struct gate_source;

struct gate_entry {
    struct list node;           // of gate->entries; unlinked when not inside
    struct list of_source;      // of source->entries
    struct gate_source *source; // NULL when not inside
    // Whether it waits for its peer, not for us.
    bool (*is_waiting_for_peer)(const struct gate_entry *entry);
    // Ends the handshake; leaves the gate. May free the entry.
    void (*put_out)(struct gate_entry *entry);
};

struct gate {
    struct list entries; // struct gate_entry, oldest first
    struct map *sources; // source address -> struct gate_source, owned
    size_t count;        // of entries
};

struct gate_limits {
    size_t handshakes; // in all
    size_t per_source; // from one address
};

enum gate_answer {
    GATE_REFUSED,     // no room, and nobody to put out
    GATE_ADMITTED,    // there is room
    GATE_ADMITTED_OUT // somebody was put out for it
};

// Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err gate_init(struct gate *gate);
// Nobody may be inside.
void gate_deinit(struct gate *gate);
// Makes room for a handshake from `remote` if need be.
RM_NODISCARD enum gate_answer gate_admit(struct gate *gate, const struct gate_limits *limits,
                                         const struct stream_address *remote);
// Both callbacks of the entry are set. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err gate_enter(struct gate *gate, struct gate_entry *entry,
                                    const struct stream_address *remote);
// No effect on an entry that is not inside.
void gate_leave(struct gate *gate, struct gate_entry *entry);
