// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/link_cache.h"

#include <string.h>

#include "base/alloc.h"

// What is hashed to name a link. Digests have one length, so no two links read alike.
struct link_name {
    char purpose[16]; // of the name, so that it is no other digest of ours
    uint8_t child[SHA256_BYTES];
    uint8_t issuer[SHA256_BYTES];
};

struct link_cache *link_cache_new(void)
{
    return rm_calloc(1, sizeof(struct link_cache));
}

void link_cache_name(const struct der *child, const struct der *issuer_spki,
                     uint8_t out[SHA256_BYTES])
{
    struct link_name name = {.purpose = "remora link 1"};
    sha256(child->bytes, child->length, name.child);
    sha256(issuer_spki->bytes, issuer_spki->length, name.issuer);
    sha256(&name, sizeof(name), out);
}

static uint8_t (*cache_set(struct link_cache *cache, const uint8_t *link))[SHA256_BYTES]
{
    return cache->links[link[0] % LINK_CACHE_SETS];
}

// Makes `link` the latest of its set in the place of number `way`.
static void set_lead(uint8_t (*set)[SHA256_BYTES], size_t way, const uint8_t *link)
{
    memmove(set[1], set[0], way * SHA256_BYTES);
    memcpy(set[0], link, SHA256_BYTES);
}

bool link_cache_has(struct link_cache *cache, const uint8_t link[SHA256_BYTES])
{
    uint8_t(*set)[SHA256_BYTES] = cache_set(cache, link);
    for (size_t way = 0; way < LINK_CACHE_WAYS; way++) {
        if (memcmp(set[way], link, SHA256_BYTES) == 0) {
            set_lead(set, way, link);
            return true;
        }
    }
    return false;
}

void link_cache_add(struct link_cache *cache, const uint8_t link[SHA256_BYTES])
{
    if (!link_cache_has(cache, link)) {
        set_lead(cache_set(cache, link), LINK_CACHE_WAYS - 1, link);
    }
}
