// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the tests of this room share: a trust snapshot and chain facts that pass every check, for a
// test to spoil one thing in.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "identity/verdict.h"

#define NOW_S INT64_C(1000000)
#define GOOD_ID "spiffe://example.org/ns/shop/sa/web"

static const uint8_t root_key[KEY_ID_BYTES] = {1, 1, 1};
static const uint8_t other_root_key[KEY_ID_BYTES] = {2, 2, 2};
static const uint8_t issuer_key[KEY_ID_BYTES] = {3, 3, 3};
static const uint8_t lineage[LINEAGE_BYTES] = {0x11, 2, 3, 4, 5, 6, 7, 8};

// Roots "example.org" {root_key} and "other.org" {other_root_key}; nothing withdrawn.
static inline struct trust_builder *good_builder(void)
{
    struct trust_builder *builder = trust_builder_new();
    assert_non_null(builder);
    assert_int_equal(
        trust_builder_add_root(builder, "example.org", (const uint8_t *)"A", 1, root_key), RM_OK);
    assert_int_equal(
        trust_builder_add_root(builder, "other.org", (const uint8_t *)"B", 1, other_root_key),
        RM_OK);
    return builder;
}

static inline struct trust_snapshot *good_trust(void)
{
    struct trust_snapshot *trust = trust_builder_finish(good_builder());
    assert_non_null(trust);
    return trust;
}

static inline struct chain_facts good_facts(void)
{
    struct chain_facts facts = {
        .spiffe_id = GOOD_ID,
        .spiffe_id_length = sizeof(GOOD_ID) - 1,
        .uri_count = 1,
        .serial_length = 16,
        .is_anchored = true,
        .has_digital_signature = true,
        .has_server_auth = true,
        .has_client_auth = true,
        .not_before_s = NOW_S - 100,
        .not_after_s = NOW_S + 100,
        .leaf_not_before_s = NOW_S - 100,
        .leaf_not_after_s = NOW_S + 100,
    };
    memcpy(facts.serial, lineage, sizeof(lineage));
    memcpy(facts.issuer_key_id, issuer_key, KEY_ID_BYTES);
    memcpy(facts.anchor_key_id, root_key, KEY_ID_BYTES);
    return facts;
}
