// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "crypto_fixture.h"

#define VERIFY                                                                                     \
    "openssl verify -x509_strict -check_ss_sig -policy_check -CAfile root.pem "                    \
    "-untrusted intermediate.pem -purpose "

static void put(const char *name, const struct fixture *fixture)
{
    fixture_put_pem(name, "CERTIFICATE", fixture->der, fixture->length);
}

// Takes the root's key.
static void assert_chain(struct private_key *root_key)
{
    struct fixture root = fixture_root_of(root_key, "example.org");
    struct fixture intermediate = fixture_intermediate(&root, "example.org");
    struct fixture leaf = fixture_leaf(&intermediate, "spiffe://example.org/ns/a/sa/b");
    struct fixture direct = fixture_leaf(&root, "spiffe://example.org/ns/a/sa/b");
    fixture_folder_open();
    put("root.pem", &root);
    put("intermediate.pem", &intermediate);
    put("leaf.pem", &leaf);
    put("direct.pem", &direct);
    assert_true(fixture_run(VERIFY "sslserver leaf.pem"));
    assert_true(fixture_run(VERIFY "sslclient leaf.pem"));
    assert_true(fixture_run(VERIFY "sslserver direct.pem"));
    assert_true(fixture_run("openssl verify -x509_strict -CAfile root.pem root.pem"));
    assert_true(fixture_run("openssl verify -x509_strict -CAfile root.pem intermediate.pem"));
    fixture_folder_close();
    fixture_free(&root);
    fixture_free(&intermediate);
    fixture_free(&leaf);
    fixture_free(&direct);
}

static void under_a_p256_root(void **state)
{
    (void)state;
    assert_chain(fixture_key());
}

static void under_a_p384_root(void **state)
{
    (void)state;
    assert_chain(fixture_foreign_key("P-384"));
}

static void under_an_rsa_root(void **state)
{
    (void)state;
    assert_chain(fixture_foreign_key("RSA:3072"));
}

// The name constraint is real: openssl refuses a leaf of another domain under the same
// intermediate.
static void constrained_intermediate_cannot_leave_its_domain(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct fixture intermediate = fixture_intermediate(&root, "example.org");
    struct fixture stray =
        fixture_odd((struct profile){.uri = "spiffe://other.org/a"}, &intermediate);
    fixture_folder_open();
    put("root.pem", &root);
    put("intermediate.pem", &intermediate);
    put("stray.pem", &stray);
    assert_true(fixture_run("! " VERIFY "sslserver stray.pem >said 2>&1 && "
                            "grep -q 'permitted subtree violation' said"));
    fixture_folder_close();
    fixture_free(&root);
    fixture_free(&intermediate);
    fixture_free(&stray);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_a_p256_root),
        cmocka_unit_test(under_a_p384_root),
        cmocka_unit_test(under_an_rsa_root),
        cmocka_unit_test(constrained_intermediate_cannot_leave_its_domain),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
