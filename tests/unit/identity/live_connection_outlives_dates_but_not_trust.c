// SPDX-License-Identifier: GPL-3.0-or-later
#include "spoil.h"

// A court over the facts that remain of an accepted peer, long after its certificate's dates.
static struct court court_of_peer(bool is_live, int64_t now_s)
{
    struct court court = court_open();
    struct peer *peer = peer_new(&court.facts, false);
    assert_non_null(peer);
    verdict_facts_of_peer(peer, &court.facts);
    court.facts.spiffe_id = GOOD_ID; // outlives the peer
    peer_unref(peer);
    court.question.is_live = is_live;
    court.question.now_s = now_s;
    return court;
}

static void dates_do_not_end_it(void **state)
{
    (void)state;
    struct court court = court_of_peer(true, NOW_S + 1000000);
    assert_accepted(&court);
    court = court_of_peer(true, 0);
    assert_accepted(&court);
}

static void a_ticket_is_held_to_its_dates(void **state)
{
    (void)state;
    struct court court = court_of_peer(false, NOW_S + 100);
    assert_accepted(&court);
    court = court_of_peer(false, NOW_S + 101);
    assert_denied(&court, VERDICT_REASON_CERTIFICATE_EXPIRED);
    court = court_of_peer(false, NOW_S - 101);
    assert_denied(&court, VERDICT_REASON_NOT_YET_VALID);
}

static void what_was_taken_back_ends_it(void **state)
{
    (void)state;
    for (int live = 0; live <= 1; live++) {
        struct court court = court_of_peer(live, NOW_S);
        withdraw(&court, TRUST_LAPSED_LINEAGE, lineage, LINEAGE_BYTES, 0);
        assert_denied(&court, VERDICT_REASON_LINEAGE_LAPSED);
        court = court_of_peer(live, NOW_S);
        withdraw(&court, TRUST_REVOKED_LINEAGE, lineage, LINEAGE_BYTES, 0);
        assert_denied(&court, VERDICT_REASON_CERTIFICATE_REVOKED);
        court = court_of_peer(live, NOW_S);
        withdraw(&court, TRUST_REVOKED_ISSUER, issuer_key, KEY_ID_BYTES, 0);
        assert_denied(&court, VERDICT_REASON_CERTIFICATE_REVOKED);
        court = court_of_peer(live, NOW_S);
        withdraw(&court, TRUST_REVOKED_IDENTITY, GOOD_ID, sizeof(GOOD_ID) - 1, NOW_S);
        assert_denied(&court, VERDICT_REASON_CERTIFICATE_REVOKED);
        court = court_of_peer(live, NOW_S);
        withdraw(&court, TRUST_REVOKED_IDENTITY, GOOD_ID, sizeof(GOOD_ID) - 1, NOW_S - 100);
        assert_accepted(&court);
    }
}

// Facts of a peer always say "anchored": the root itself is what is looked up again.
static void a_removed_root_ends_it(void **state)
{
    (void)state;
    for (int live = 0; live <= 1; live++) {
        struct court court = court_of_peer(live, NOW_S);
        trust_builder_free(court.builder);
        court.builder = trust_builder_new();
        assert_int_equal(trust_builder_add_root(court.builder, "example.org", (const uint8_t *)"C",
                                                1, other_root_key),
                         RM_OK);
        assert_denied(&court, VERDICT_REASON_NOT_ANCHORED);
        court = court_of_peer(live, NOW_S);
        trust_builder_free(court.builder);
        court.builder = trust_builder_new();
        assert_denied(&court, VERDICT_REASON_UNKNOWN_TRUST_DOMAIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_do_not_end_it),
        cmocka_unit_test(a_ticket_is_held_to_its_dates),
        cmocka_unit_test(what_was_taken_back_ends_it),
        cmocka_unit_test(a_removed_root_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
