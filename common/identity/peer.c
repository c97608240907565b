// SPDX-License-Identifier: GPL-3.0-or-later
#include "identity/peer.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"

struct counted_peer {
    struct peer peer;               // first: a peer's address is its counted_peer's
    atomic_uint_fast32_t ref_count; // holders
    char spiffe_id[];               // what peer.spiffe_id points to
};

bool serial_lineage(const uint8_t *serial, size_t length, uint8_t lineage[LINEAGE_BYTES])
{
    if (length != 2 * LINEAGE_BYTES || (serial[0] & 0x80) != 0 || (serial[0] & 0xf0) == 0) {
        return false;
    }
    memcpy(lineage, serial, LINEAGE_BYTES);
    return true;
}

struct peer *peer_new(const struct chain_facts *facts, bool is_resumed)
{
    assert(facts->spiffe_id != NULL && facts->serial_length <= SERIAL_MAX_BYTES);
    struct counted_peer *counted = rm_calloc(1, sizeof(*counted) + facts->spiffe_id_length + 1);
    if (counted == NULL) {
        return NULL;
    }
    atomic_init(&counted->ref_count, 1);
    memcpy(counted->spiffe_id, facts->spiffe_id, facts->spiffe_id_length);
    struct peer *peer = &counted->peer;
    peer->spiffe_id = counted->spiffe_id;
    peer->spiffe_id_length = facts->spiffe_id_length;
    memcpy(peer->serial, facts->serial, sizeof(peer->serial));
    peer->serial_length = facts->serial_length;
    memcpy(peer->issuer_key_id, facts->issuer_key_id, sizeof(peer->issuer_key_id));
    memcpy(peer->anchor_key_id, facts->anchor_key_id, sizeof(peer->anchor_key_id));
    peer->has_lineage = serial_lineage(facts->serial, facts->serial_length, peer->lineage);
    peer->not_after_s = facts->not_after_s;
    peer->leaf_not_before_s = facts->leaf_not_before_s;
    peer->is_resumed = is_resumed;
    return peer;
}

struct peer *peer_ref(struct peer *peer)
{
    struct counted_peer *counted = (struct counted_peer *)(void *)peer;
    atomic_fetch_add_explicit(&counted->ref_count, 1, memory_order_relaxed);
    return peer;
}

void peer_unref(struct peer *peer)
{
    struct counted_peer *counted = (struct counted_peer *)(void *)peer;
    if (counted != NULL &&
        atomic_fetch_sub_explicit(&counted->ref_count, 1, memory_order_acq_rel) == 1) {
        rm_free(counted);
    }
}
