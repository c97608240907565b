// SPDX-License-Identifier: GPL-3.0-or-later
//
// The links of certificate chains whose signatures were found good: "these bytes of a certificate
// were signed by this key". That is a fact for ever, so it need not be computed at each handshake;
// dates, names, constraints and trust are no such facts and are judged each time. Only links of
// chains that reached a trusted root are remembered, so nobody outside the mesh can push others
// out, and who is pushed out is verified again. One thread; belongs to whoever examines chains.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"

#define LINK_CACHE_SETS 64 // each for the links whose names begin alike
#define LINK_CACHE_WAYS 4  // links per set; the one that was found or added longest ago gives way

struct link_cache {
    uint8_t links[LINK_CACHE_SETS][LINK_CACHE_WAYS][SHA256_BYTES]; // latest first; zeros: none
    uint64_t found_count;    // links that needed no verification
    uint64_t verified_count; // signatures that were verified, good or not
};

// NULL when memory is exhausted. Free with rm_free().
struct link_cache *link_cache_new(void);
// Names a link: all of the child's bytes and the issuer's public key.
void link_cache_name(const struct der *child, const struct der *issuer_spki,
                     uint8_t out[SHA256_BYTES]);
bool link_cache_has(struct link_cache *cache, const uint8_t link[SHA256_BYTES]);
// Only for a link that was verified, in a chain that is anchored.
void link_cache_add(struct link_cache *cache, const uint8_t link[SHA256_BYTES]);
