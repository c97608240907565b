// SPDX-License-Identifier: GPL-3.0-or-later
//
// Chains made by openssl, each with one fault.
#include <string.h>

#include "crypto_fixture.h"

#define ID_EXTENSION "subjectAltName=URI:spiffe://example.org/a\n"
#define CA "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
#define CA_PATH_LENGTH(n)                                                                          \
    "basicConstraints=critical,CA:TRUE,pathlen:" n "\nkeyUsage=critical,keyCertSign\n"

#define WHY_ROOT_KEY "the chain names a trusted root as issuer, but that root's key did not sign it"
#define WHY_SIGNATURE "a signature in the chain is wrong"
#define WHY_ALGORITHM "a signature in the chain is of a kind that is not accepted"
#define WHY_NOT_CA "an issuer in the chain is not a CA certificate"
#define WHY_NO_CERT_SIGN "an issuer in the chain lacks the key usage keyCertSign"
#define WHY_PATH_LENGTH "the chain is longer than the path length of one of its CAs allows"

static struct chain_facts examine(const struct der *sent, size_t count, const struct fixture *root,
                                  const char *expected)
{
    struct trust_snapshot *trust = fixture_trust("example.org", root);
    struct certificate leaf;
    struct chain_facts facts;
    const char *why = NULL;
    assert_int_equal(chain_examine(sent, count, trust, &leaf, &facts, &why), RM_OK);
    assert_true(facts.is_anchored == (expected == NULL));
    assert_string_equal(why != NULL ? why : "anchored", expected != NULL ? expected : "anchored");
    certificate_deinit(&leaf);
    trust_unref(trust);
    return facts;
}

// root > upper > lower > leaf, with the extensions of each CA.
struct row {
    const char *root;     // extensions
    const char *upper;    // extensions
    const char *lower;    // extensions
    const char *expected; // NULL: anchored
};

static const struct row rows[] = {
    {CA, CA, CA, NULL},
    {"basicConstraints=critical,CA:TRUE\n", CA, CA, NULL}, // as "openssl req -x509" makes roots
    {"basicConstraints=CA:FALSE\n", CA, CA, WHY_NOT_CA},
    {CA, "basicConstraints=CA:FALSE\n", CA, WHY_NOT_CA},
    {CA, CA, "basicConstraints=CA:FALSE\n", WHY_NOT_CA},
    {CA, CA, "keyUsage=critical,digitalSignature\n", WHY_NOT_CA},
    {CA, "basicConstraints=critical,CA:TRUE\n", CA, WHY_NO_CERT_SIGN},
    {CA, CA, "basicConstraints=critical,CA:TRUE\nkeyUsage=cRLSign\n", WHY_NO_CERT_SIGN},
    {"basicConstraints=critical,CA:TRUE\nkeyUsage=cRLSign\n", CA, CA, WHY_NO_CERT_SIGN},
    {CA_PATH_LENGTH("2"), CA_PATH_LENGTH("1"), CA_PATH_LENGTH("0"), NULL},
    {CA_PATH_LENGTH("1"), CA, CA, WHY_PATH_LENGTH},
    {CA_PATH_LENGTH("0"), CA, CA, WHY_PATH_LENGTH},
    {CA, CA_PATH_LENGTH("0"), CA, WHY_PATH_LENGTH},
};

static void rules_for_issuers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fixture_folder_open();
        struct fixture root = fixture_openssl("root", NULL, rows[i].root, "");
        struct fixture upper = fixture_openssl("upper", "root", rows[i].upper, "");
        struct fixture lower = fixture_openssl("lower", "upper", rows[i].lower, "");
        struct fixture leaf = fixture_openssl("leaf", "lower", ID_EXTENSION, "");
        const struct der sent[] = {leaf.view, lower.view, upper.view};
        examine(sent, 3, &root, rows[i].expected);
        fixture_free(&root);
        fixture_free(&upper);
        fixture_free(&lower);
        fixture_free(&leaf);
        fixture_folder_close();
    }
}

static void wrong_signatures(void **state)
{
    (void)state;
    fixture_folder_open();
    struct fixture root = fixture_openssl("root", NULL, CA, "");
    struct fixture ca = fixture_openssl("ca", "root", CA, "");
    struct fixture leaf = fixture_openssl("leaf", "ca", ID_EXTENSION, "");
    struct fixture direct = fixture_openssl("direct", "root", ID_EXTENSION, "");
    const struct der sent[] = {leaf.view, ca.view};
    examine(sent, 2, &root, NULL);
    leaf.der[leaf.length - 1] ^= 1;
    examine(sent, 2, &root, WHY_SIGNATURE);
    leaf.der[leaf.length - 1] ^= 1;
    ca.der[ca.length - 1] ^= 1;
    examine(sent, 2, &root, WHY_ROOT_KEY);
    direct.der[direct.length - 1] ^= 1;
    examine(&direct.view, 1, &root, WHY_ROOT_KEY);
    fixture_folder_close();
    fixture_free(&root);
    fixture_free(&ca);
    fixture_free(&leaf);
    fixture_free(&direct);
}

static void weak_hashes(void **state)
{
    (void)state;
    fixture_folder_open();
    struct fixture root = fixture_openssl("root", NULL, CA, "");
    struct fixture leaf = fixture_openssl("leaf", "root", ID_EXTENSION, "-sha1");
    struct fixture strong = fixture_openssl("strong", "root", ID_EXTENSION, "-sha512");
    examine(&leaf.view, 1, &root, WHY_ALGORITHM);
    examine(&strong.view, 1, &root, NULL);
    fixture_folder_close();
    fixture_free(&root);
    fixture_free(&leaf);
    fixture_free(&strong);
}

static void extended_key_usage_of_intermediates_narrows(void **state)
{
    (void)state;
    fixture_folder_open();
    struct fixture root = fixture_openssl("root", NULL, CA, "");
    struct fixture ca = fixture_openssl("ca", "root", CA "extendedKeyUsage=clientAuth\n", "");
    struct fixture any =
        fixture_openssl("any", "root", CA "extendedKeyUsage=anyExtendedKeyUsage\n", "");
    struct fixture leaf = fixture_openssl("leaf", "ca", ID_EXTENSION, "");
    struct fixture free_leaf = fixture_openssl("free", "any", ID_EXTENSION, "");
    const struct der sent[] = {leaf.view, ca.view};
    const struct der sent_free[] = {free_leaf.view, any.view};
    struct chain_facts facts = examine(sent, 2, &root, NULL);
    assert_true(facts.has_client_auth);
    assert_false(facts.has_server_auth);
    facts = examine(sent_free, 2, &root, NULL);
    assert_true(facts.has_client_auth && facts.has_server_auth);
    assert_false(facts.has_digital_signature);
    fixture_folder_close();
    fixture_free(&root);
    fixture_free(&ca);
    fixture_free(&any);
    fixture_free(&leaf);
    fixture_free(&free_leaf);
}

// Roots of one name without key identifiers to tell them apart cost a signature each. A peer cannot
// add any, but it can send CAs; the number of tries is bounded.
static void too_many_issuers_of_one_name(void **state)
{
    (void)state;
    struct fixture roots[TRUST_MAX_ROOTS_PER_DOMAIN];
    struct trust_builder *builder = trust_builder_new();
    for (size_t i = 0; i < TRUST_MAX_ROOTS_PER_DOMAIN; i++) {
        roots[i] = fixture_root("example.org");
        fixture_add_root(builder, "example.org", &roots[i]);
    }
    struct fixture unknown = fixture_root("example.org");
    struct fixture leaf = fixture_odd((struct profile){.uri = "spiffe://example.org/a"}, &unknown);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    struct certificate read;
    struct chain_facts facts;
    const char *why = NULL;
    assert_int_equal(chain_examine(&leaf.view, 1, trust, &read, &facts, &why), RM_OK);
    assert_false(facts.is_anchored);
    assert_string_equal(why, "the chain offers too many possible issuers");
    certificate_deinit(&read);
    trust_unref(trust);
    fixture_free(&leaf);
    fixture_free(&unknown);
    for (size_t i = 0; i < TRUST_MAX_ROOTS_PER_DOMAIN; i++) {
        fixture_free(&roots[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_for_issuers),
        cmocka_unit_test(wrong_signatures),
        cmocka_unit_test(weak_hashes),
        cmocka_unit_test(extended_key_usage_of_intermediates_narrows),
        cmocka_unit_test(too_many_issuers_of_one_name),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
