// SPDX-License-Identifier: GPL-3.0-or-later
//
// The canonical hash of what was sent. Sessions of one scope have the same view, so one hash serves
// them all: comparing pointers is a hundred times cheaper than hashing.
#include <string.h>

#include "crypto/crypto.h"
#include "push/push_internal.h"

static bool is_same(const struct mesh_view *a, const struct mesh_view *b)
{
    for (enum mesh_kind kind = MESH_BUNDLE; kind < MESH_KIND_COUNT; kind++) {
        if (mesh_view_count(a, kind) != mesh_view_count(b, kind)) {
            return false;
        }
    }
    for (enum mesh_kind kind = MESH_BUNDLE; kind < MESH_KIND_COUNT; kind++) {
        for (size_t i = 0; i < mesh_view_count(a, kind); i++) {
            if (mesh_view_at(a, kind, i) != mesh_view_at(b, kind, i)) {
                return false;
            }
        }
    }
    return true;
}

static void hash_piece(void *context, const void *bytes, size_t length)
{
    sha256_stream_update(context, bytes, length);
}

static const struct kept_hash *find_or_make(struct push *push, struct mesh_view *view)
{
    for (size_t i = 0; i < PUSH_KEPT_HASHES; i++) {
        if (push->hashes[i].view != NULL && is_same(push->hashes[i].view, view)) {
            return &push->hashes[i];
        }
    }
    struct sha256_stream *stream = sha256_stream_new();
    if (stream == NULL) {
        return NULL;
    }
    struct kept_hash *kept = &push->hashes[push->next_hash++ % PUSH_KEPT_HASHES];
    mesh_view_canonical(view, hash_piece, stream);
    sha256_stream_finish(stream, kept->hash);
    mesh_view_unref(kept->view);
    kept->view = mesh_view_ref(view);
    return kept;
}

bool hash_agrees(struct session *session, const uint8_t hash[MESH_WIRE_HASH_BYTES])
{
    const struct kept_hash *kept = find_or_make(session->push, session->sent);
    if (kept == NULL) {
        return true; // want of memory is not a reason to send everything anew
    }
    struct mesh_version a = mesh_view_version(kept->view);
    struct mesh_version b = mesh_view_version(session->sent);
    if (a.number == b.number && memcmp(a.store_id, b.store_id, sizeof a.store_id) == 0) {
        // One view for all of them takes less memory, too.
        struct mesh_view *own = session->sent;
        session->sent = mesh_view_ref(kept->view);
        mesh_view_unref(own);
    }
    return memcmp(kept->hash, hash, sizeof kept->hash) == 0;
}

void hashes_free(struct push *push)
{
    for (size_t i = 0; i < PUSH_KEPT_HASHES; i++) {
        mesh_view_unref(push->hashes[i].view);
        push->hashes[i].view = NULL;
    }
}
