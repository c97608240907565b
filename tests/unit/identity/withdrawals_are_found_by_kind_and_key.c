// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static void withdraw(struct trust_builder *builder, enum trust_withdrawal_kind kind,
                     const void *key, size_t length, int64_t before_s)
{
    assert_int_equal(trust_builder_withdraw(builder, kind, key, length, before_s), RM_OK);
}

static void kinds_do_not_mix(void **state)
{
    (void)state;
    struct trust_builder *builder = good_builder();
    withdraw(builder, TRUST_LAPSED_LINEAGE, lineage, LINEAGE_BYTES, 0);
    withdraw(builder, TRUST_REVOKED_ISSUER, issuer_key, KEY_ID_BYTES, 0);
    withdraw(builder, TRUST_REVOKED_IDENTITY, "spiffe://td/a", 13, 5);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    assert_true(trust_is_withdrawn(trust, TRUST_LAPSED_LINEAGE, lineage, LINEAGE_BYTES, NULL));
    assert_false(trust_is_withdrawn(trust, TRUST_REVOKED_LINEAGE, lineage, LINEAGE_BYTES, NULL));
    assert_true(trust_is_withdrawn(trust, TRUST_REVOKED_ISSUER, issuer_key, KEY_ID_BYTES, NULL));
    assert_false(trust_is_withdrawn(trust, TRUST_REVOKED_ISSUER, root_key, KEY_ID_BYTES, NULL));
    assert_false(trust_is_withdrawn(trust, TRUST_REVOKED_IDENTITY, "spiffe://td/", 12, NULL));
    assert_false(trust_is_withdrawn(trust, TRUST_REVOKED_IDENTITY, "spiffe://td/ab", 14, NULL));
    trust_unref(trust);
}

static void of_one_identity_the_latest_time_counts(void **state)
{
    (void)state;
    static const int64_t orders[][3] = {{5, 9, 7}, {9, 7, 5}, {5, 7, 9}};
    for (size_t i = 0; i < 3; i++) {
        struct trust_builder *builder = good_builder();
        for (size_t j = 0; j < 3; j++) {
            withdraw(builder, TRUST_REVOKED_IDENTITY, "spiffe://td/a", 13, orders[i][j]);
        }
        struct trust_snapshot *trust = trust_builder_finish(builder);
        int64_t before_s = 0;
        assert_true(
            trust_is_withdrawn(trust, TRUST_REVOKED_IDENTITY, "spiffe://td/a", 13, &before_s));
        assert_int_equal(before_s, 9);
        trust_unref(trust);
    }
}

static void many_are_all_found(void **state)
{
    (void)state;
    struct trust_builder *builder = good_builder();
    uint8_t key[LINEAGE_BYTES] = {0};
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t mixed = i * UINT32_C(2654435761); // odd factor: no two alike
        memcpy(key, &mixed, sizeof(mixed));
        withdraw(builder, TRUST_REVOKED_LINEAGE, key, sizeof(key), 0);
    }
    struct trust_snapshot *trust = trust_builder_finish(builder);
    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t mixed = i * UINT32_C(2654435761);
        memcpy(key, &mixed, sizeof(mixed));
        assert_int_equal(trust_is_withdrawn(trust, TRUST_REVOKED_LINEAGE, key, sizeof(key), NULL),
                         i < 5000);
    }
    trust_unref(trust);
}

static void keys_of_the_wrong_shape_are_refused(void **state)
{
    (void)state;
    struct trust_builder *builder = good_builder();
    const uint8_t bytes[64] = {0};
    for (size_t length = 0; length <= sizeof(bytes); length++) {
        assert_int_equal(trust_builder_withdraw(builder, TRUST_REVOKED_LINEAGE, bytes, length, 0),
                         length == LINEAGE_BYTES ? RM_OK : RM_ERR_MALFORMED);
        assert_int_equal(trust_builder_withdraw(builder, TRUST_LAPSED_LINEAGE, bytes, length, 0),
                         length == LINEAGE_BYTES ? RM_OK : RM_ERR_MALFORMED);
        assert_int_equal(trust_builder_withdraw(builder, TRUST_REVOKED_ISSUER, bytes, length, 0),
                         length == KEY_ID_BYTES ? RM_OK : RM_ERR_MALFORMED);
        assert_int_equal(trust_builder_withdraw(builder, TRUST_REVOKED_IDENTITY, bytes, length, 0),
                         RM_ERR_MALFORMED);
    }
    assert_int_equal(trust_builder_withdraw(builder, (enum trust_withdrawal_kind)9, bytes, 8, 0),
                     RM_ERR_MALFORMED);
    trust_builder_free(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_do_not_mix),
        cmocka_unit_test(of_one_identity_the_latest_time_counts),
        cmocka_unit_test(many_are_all_found),
        cmocka_unit_test(keys_of_the_wrong_shape_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
