// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "cases.h"
#include "identity/spiffe.h"

static struct spiffe_id parsed(const char *text)
{
    struct spiffe_id id;
    assert_int_equal(spiffe_id_parse(text, strlen(text), &id, NULL), RM_OK);
    return id;
}

static void parts_point_into_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *domain;
        const char *path;
    } cases[] = {
        {"spiffe://td", "td", ""},
        {"spiffe://example.org/ns/shop/sa/web", "example.org", "/ns/shop/sa/web"},
        {"spiffe://a-b_c.9/X.y-Z_0", "a-b_c.9", "/X.y-Z_0"},
        {"spiffe://td/...", "td", "/..."},
        {"spiffe://td/.hidden/..x", "td", "/.hidden/..x"},
        {"spiffe://1.2.3.4/a", "1.2.3.4", "/a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct spiffe_id id = parsed(cases[i].text);
        assert_ptr_equal(id.text, cases[i].text);
        assert_int_equal(id.length, strlen(cases[i].text));
        assert_ptr_equal(id.trust_domain, cases[i].text + 9);
        assert_int_equal(id.trust_domain_length, strlen(cases[i].domain));
        assert_memory_equal(id.trust_domain, cases[i].domain, id.trust_domain_length);
        assert_int_equal(id.path_length, strlen(cases[i].path));
        assert_memory_equal(id.path, cases[i].path, id.path_length);
    }
}

static void only_the_mesh_s_own_paths_are_reserved(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_reserved;
    } cases[] = {
        {"spiffe://td/remora", true},      {"spiffe://td/remora/control", true},
        {"spiffe://td/remora/a/b", true},  {"spiffe://td/remorax", false},
        {"spiffe://td/a/remora/b", false}, {"spiffe://td/Remora/control", false},
        {"spiffe://td/remor", false},      {"spiffe://td", false},
        {"spiffe://remora/a", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct spiffe_id id = parsed(cases[i].text);
        assert_int_equal(spiffe_id_is_reserved(&id), cases[i].is_reserved);
    }
}

static void domains_are_compared_whole(void **state)
{
    (void)state;
    struct spiffe_id id = parsed("spiffe://example.org/a");
    assert_true(spiffe_id_in_domain(&id, "example.org"));
    assert_false(spiffe_id_in_domain(&id, "example.or"));
    assert_false(spiffe_id_in_domain(&id, "example.org.evil"));
    assert_false(spiffe_id_in_domain(&id, "Example.org"));
    assert_false(spiffe_id_in_domain(&id, ""));
}

static void the_control_plane_s_id_is_reserved_in_its_domain(void **state)
{
    (void)state;
    char *text = spiffe_control_id("example.org");
    assert_string_equal(text, "spiffe://example.org/remora/control");
    struct spiffe_id id = parsed(text);
    assert_true(spiffe_id_is_reserved(&id));
    rm_free(text);
    rm_alloc_fail_at(1);
    assert_null(spiffe_control_id("example.org"));
    rm_alloc_fail_at(0);
}

// Expected label: RFC 4648 base32 of SHA-256("spiffe://example.org/a"), from Python's hashlib.
static void the_sni_hides_the_path(void **state)
{
    (void)state;
    static const uint8_t digest[32] = {0x82, 0xb7, 0x7c, 0x40, 0xcf, 0x8c, 0xba, 0xd9,
                                       0x74, 0x63, 0xd0, 0xab, 0x0c, 0xa8, 0xc2, 0x00,
                                       0x26, 0x70, 0x7c, 0x2c, 0xb6, 0xe6, 0x18, 0xf2,
                                       0x85, 0x97, 0x69, 0xc1, 0xf9, 0x53, 0x05, 0xab};
    char sni[SPIFFE_SNI_BYTES];
    struct spiffe_id id = parsed("spiffe://example.org/a");
    spiffe_sni(&id, digest, sni);
    assert_string_equal(sni, "qk3xyqgprs5ns5dd2cvqzkgcaa.example.org");

    char longest[9 + SPIFFE_TRUST_DOMAIN_MAX_BYTES + 1] = "spiffe://";
    memset(longest + 9, 'd', SPIFFE_TRUST_DOMAIN_MAX_BYTES);
    id = parsed(longest);
    spiffe_sni(&id, digest, sni);
    assert_int_equal(strlen(sni), SPIFFE_SNI_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_point_into_the_text),
        cmocka_unit_test(only_the_mesh_s_own_paths_are_reserved),
        cmocka_unit_test(domains_are_compared_whole),
        cmocka_unit_test(the_control_plane_s_id_is_reserved_in_its_domain),
        cmocka_unit_test(the_sni_hides_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
