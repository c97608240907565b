// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "cases.h"

// Builds what it can and says whether all of it came in.
static bool build(struct trust_snapshot **out)
{
    *out = NULL;
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL) {
        return false;
    }
    bool is_whole = true;
    is_whole &= trust_builder_add_root(builder, "a", (const uint8_t *)"1", 1, root_key) == RM_OK;
    is_whole &= trust_builder_add_root(builder, "b", (const uint8_t *)"2", 1, root_key) == RM_OK;
    is_whole &=
        trust_builder_withdraw(builder, TRUST_REVOKED_LINEAGE, lineage, LINEAGE_BYTES, 0) == RM_OK;
    *out = trust_builder_finish(builder);
    return is_whole && *out != NULL;
}

static void each_failure_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t n = 1;; n++) {
        struct trust_snapshot *trust = NULL;
        rm_alloc_fail_at(n);
        bool is_whole = build(&trust);
        rm_alloc_fail_at(0);
        for (size_t i = 0; trust != NULL && i < trust_domain_count(trust); i++) {
            assert_true(trust_domain_at(trust, i)->root_count > 0);
        }
        trust_unref(trust);
        if (is_whole) {
            break;
        }
        failures++;
    }
    assert_true(failures >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
