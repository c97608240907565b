// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/gate.h"

#include <netinet/in.h>
#include <string.h>

#include "base/alloc.h"

struct source_key {
    uint8_t bytes[sizeof(struct in6_addr)];
    size_t length; // of bytes; 0: an address without a network, such as a Unix socket
};

struct gate_source {
    struct list entries;   // struct gate_entry.of_source, oldest first
    size_t count;          // of entries
    struct source_key key; // in gate->sources
};

static void source_key_of(const struct stream_address *remote, struct source_key *key)
{
    const void *address = &remote->address;
    key->length = 0;
    if (remote->address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = address;
        key->length = sizeof v4->sin_addr;
        memcpy(key->bytes, &v4->sin_addr, key->length);
    } else if (remote->address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = address;
        key->length = GATE_IPV6_PREFIX_BYTES;
        memcpy(key->bytes, &v6->sin6_addr, key->length);
    }
}

static struct gate_source *source_find(const struct gate *gate, const struct source_key *key)
{
    return map_get(gate->sources, key->bytes, key->length);
}

static struct gate_source *source_get(struct gate *gate, const struct source_key *key)
{
    struct gate_source *source = source_find(gate, key);
    if (source != NULL) {
        return source;
    }
    source = rm_calloc(1, sizeof *source);
    if (source == NULL || map_put(gate->sources, key->bytes, key->length, source, NULL) != RM_OK) {
        rm_free(source);
        return NULL;
    }
    list_init(&source->entries);
    source->key = *key;
    return source;
}

// The oldest that waits for its peer is put out; false when none of the oldest does.
static bool put_out_oldest(struct list *entries, bool is_of_source)
{
    int looked = 0;
    list_each (node, entries) {
        struct gate_entry *entry = is_of_source ? list_entry(node, struct gate_entry, of_source)
                                                : list_entry(node, struct gate_entry, node);
        if (entry->is_waiting_for_peer(entry)) {
            entry->put_out(entry);
            return true;
        }
        if (++looked == GATE_LOOK_MAX) {
            break;
        }
    }
    return false;
}

enum rm_err gate_init(struct gate *gate)
{
    list_init(&gate->entries);
    gate->count = 0;
    gate->sources = map_new();
    return gate->sources != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

void gate_deinit(struct gate *gate)
{
    map_free(gate->sources);
    gate->sources = NULL;
}

enum gate_answer gate_admit(struct gate *gate, const struct gate_limits *limits,
                            const struct stream_address *remote)
{
    struct source_key key;
    source_key_of(remote, &key);
    struct gate_source *source = source_find(gate, &key);
    bool is_source_full = source != NULL && source->count >= limits->per_source;
    if (!is_source_full && gate->count < limits->handshakes) {
        return GATE_ADMITTED;
    }
    bool has_room = is_source_full ? put_out_oldest(&source->entries, true)
                                   : put_out_oldest(&gate->entries, false);
    return has_room ? GATE_ADMITTED_OUT : GATE_REFUSED;
}

enum rm_err gate_enter(struct gate *gate, struct gate_entry *entry,
                       const struct stream_address *remote)
{
    struct source_key key;
    source_key_of(remote, &key);
    struct gate_source *source = source_get(gate, &key);
    if (source == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    entry->source = source;
    list_append(&gate->entries, &entry->node);
    list_append(&source->entries, &entry->of_source);
    source->count++;
    gate->count++;
    return RM_OK;
}

void gate_leave(struct gate *gate, struct gate_entry *entry)
{
    struct gate_source *source = entry->source;
    if (source == NULL) {
        return;
    }
    entry->source = NULL;
    list_remove(&entry->node);
    list_remove(&entry->of_source);
    gate->count--;
    if (--source->count == 0) {
        (void)map_remove(gate->sources, source->key.bytes, source->key.length);
        rm_free(source);
    }
}
