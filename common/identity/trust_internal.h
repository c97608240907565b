// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a trust snapshot is made of; shared by the builder, which fills it, and the snapshot's
// reads.
#pragma once

#include <stdatomic.h>

#include "identity/trust.h"

struct trust_withdrawal {
    enum trust_withdrawal_kind kind; // what the key is
    uint8_t *key;                    // lineage, SPIFFE ID or issuer key id; owned
    size_t key_length;               // of key
    int64_t before_s;                // see trust_builder_withdraw()
};

struct trust_snapshot {
    atomic_uint_fast32_t ref_count;       // holders
    struct trust_domain *domains;         // owned; by name once finished
    size_t domain_count;                  // 0..TRUST_MAX_DOMAINS
    struct trust_withdrawal *withdrawals; // owned; by trust_withdrawal_compare() once finished
    size_t withdrawal_count;              // 0..TRUST_MAX_WITHDRAWALS
};

// Order of withdrawals: kind, then key bytes, then key length.
int trust_withdrawal_compare(const struct trust_withdrawal *a, const struct trust_withdrawal *b);
// Frees a snapshot whatever its count.
void trust_snapshot_free(struct trust_snapshot *trust);
