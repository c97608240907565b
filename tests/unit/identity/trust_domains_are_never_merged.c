// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "cases.h"

static enum rm_err add(struct trust_builder *builder, const char *domain, const char *der,
                       uint8_t key)
{
    const uint8_t key_id[KEY_ID_BYTES] = {key};
    return trust_builder_add_root(builder, domain, (const uint8_t *)der, strlen(der), key_id);
}

static struct trust_snapshot *snapshot_of(const char *const (*roots)[2], size_t count)
{
    struct trust_builder *builder = trust_builder_new();
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(add(builder, roots[i][0], roots[i][1], (uint8_t)roots[i][1][0]), RM_OK);
    }
    return trust_builder_finish(builder);
}

static void a_root_belongs_to_its_domain_only(void **state)
{
    (void)state;
    struct trust_snapshot *trust = good_trust();
    const struct trust_domain *domain = trust_domain_find(trust, "example.org", 11);
    assert_true(trust_root_is_in_domain(domain, root_key));
    assert_false(trust_root_is_in_domain(domain, other_root_key));
    domain = trust_domain_find(trust, "other.org", 9);
    assert_true(trust_root_is_in_domain(domain, other_root_key));
    assert_false(trust_root_is_in_domain(domain, root_key));
    assert_null(trust_domain_find(trust, "example.or", 10));
    assert_null(trust_domain_find(trust, "example.org.", 12));
    assert_null(trust_domain_find(trust, "", 0));
    trust_unref(trust);
}

static void equal_content_gives_equal_order(void **state)
{
    (void)state;
    const char *const forward[][2] = {{"a", "1"}, {"a", "2"}, {"b", "3"}, {"c", "4"}};
    const char *const backward[][2] = {{"c", "4"}, {"b", "3"}, {"a", "2"}, {"a", "1"}, {"a", "1"}};
    const char *const fewer[][2] = {{"a", "1"}, {"b", "3"}, {"c", "4"}};
    const char *const moved[][2] = {{"a", "1"}, {"b", "2"}, {"b", "3"}, {"c", "4"}};
    struct trust_snapshot *a = snapshot_of(forward, 4);
    struct trust_snapshot *b = snapshot_of(backward, 5);
    struct trust_snapshot *c = snapshot_of(fewer, 3);
    struct trust_snapshot *d = snapshot_of(moved, 4);
    assert_int_equal(trust_domain_count(b), 3);
    assert_string_equal(trust_domain_at(b, 0)->name, "a");
    assert_int_equal(trust_domain_at(b, 0)->root_count, 2);
    assert_memory_equal(trust_domain_at(b, 0)->roots[0].der, "1", 1);
    assert_string_equal(trust_domain_at(b, 2)->name, "c");
    assert_null(trust_domain_at(b, 3));
    assert_true(trust_same_roots(a, b));
    assert_false(trust_same_roots(a, c));
    assert_false(trust_same_roots(a, d));
    assert_false(trust_same_roots(a, NULL));
    assert_true(trust_same_roots(NULL, NULL));
    trust_unref(a);
    trust_unref(b);
    trust_unref(c);
    trust_unref(d);
}

static void limits_hold(void **state)
{
    (void)state;
    struct trust_builder *builder = trust_builder_new();
    for (int i = 0; i < TRUST_MAX_ROOTS_PER_DOMAIN; i++) {
        const char der[2] = {(char)('a' + i), 0};
        assert_int_equal(add(builder, "td", der, 1), RM_OK);
    }
    assert_int_equal(add(builder, "td", "one more", 1), RM_ERR_LIMIT);
    assert_int_equal(add(builder, "td", "a", 1), RM_OK);
    for (int i = 1; i < TRUST_MAX_DOMAINS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "td%d", i);
        assert_int_equal(add(builder, name, "a", 1), RM_OK);
    }
    assert_int_equal(add(builder, "one-more", "a", 1), RM_ERR_LIMIT);
    assert_int_equal(add(builder, "Upper", "a", 1), RM_ERR_MALFORMED);
    assert_int_equal(add(builder, "", "a", 1), RM_ERR_MALFORMED);
    assert_int_equal(add(builder, "td1", "", 1), RM_ERR_LIMIT);
    static const uint8_t large[TRUST_MAX_ROOT_DER_BYTES + 1];
    assert_int_equal(trust_builder_add_root(builder, "td1", large, sizeof(large), root_key),
                     RM_ERR_LIMIT);
    assert_int_equal(trust_builder_add_root(builder, "td1", large, sizeof(large) - 1, root_key),
                     RM_OK);
    trust_builder_free(builder);
    trust_builder_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_root_belongs_to_its_domain_only),
        cmocka_unit_test(equal_content_gives_equal_order),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
