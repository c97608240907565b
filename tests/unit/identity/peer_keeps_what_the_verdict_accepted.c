// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "cases.h"

static void a_peer_is_a_copy(void **state)
{
    (void)state;
    struct chain_facts facts = good_facts();
    char text[] = GOOD_ID "-and-more";
    facts.spiffe_id = text;
    facts.leaf_not_before_s = 77;
    struct peer *peer = peer_new(&facts, true);
    memset(text, 'x', sizeof(text));
    assert_string_equal(peer->spiffe_id, GOOD_ID);
    assert_int_equal(peer->spiffe_id_length, sizeof(GOOD_ID) - 1);
    assert_int_equal(peer->serial_length, 16);
    assert_memory_equal(peer->serial, facts.serial, SERIAL_MAX_BYTES);
    assert_memory_equal(peer->issuer_key_id, issuer_key, KEY_ID_BYTES);
    assert_memory_equal(peer->anchor_key_id, root_key, KEY_ID_BYTES);
    assert_true(peer->has_lineage);
    assert_memory_equal(peer->lineage, lineage, LINEAGE_BYTES);
    assert_int_equal(peer->not_after_s, NOW_S + 100);
    assert_int_equal(peer->leaf_not_before_s, 77);
    assert_true(peer->is_resumed);
    assert_ptr_equal(peer_ref(peer), peer);
    peer_unref(peer);
    assert_string_equal(peer->spiffe_id, GOOD_ID);
    peer_unref(peer);
    peer_unref(NULL);
}

static void a_foreign_serial_gives_no_lineage(void **state)
{
    (void)state;
    struct chain_facts facts = good_facts();
    facts.serial_length = 9;
    struct peer *peer = peer_new(&facts, false);
    assert_false(peer->has_lineage);
    assert_false(peer->is_resumed);
    peer_unref(peer);
}

static void no_memory_gives_no_peer(void **state)
{
    (void)state;
    struct chain_facts facts = good_facts();
    rm_alloc_fail_at(1);
    assert_null(peer_new(&facts, false));
    rm_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_a_copy),
        cmocka_unit_test(a_foreign_serial_gives_no_lineage),
        cmocka_unit_test(no_memory_gives_no_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
