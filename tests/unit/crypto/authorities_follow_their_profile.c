// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "crypto_fixture.h"

static struct authority_request make_request(const char *trust_domain, const char *name)
{
    return (struct authority_request){
        .trust_domain = trust_domain,
        .common_name = name,
        .serial = {0x11, [15] = 1},
        .not_before_s = fixture_now() - 60,
        .not_after_s = fixture_now() + 3600,
    };
}

static void root_and_intermediate_say_what_the_design_says(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct fixture intermediate = fixture_intermediate(&root, "example.org");
    struct certificate read;
    assert_int_equal(certificate_parse(root.der, root.length, &read, NULL), RM_OK);
    assert_true(read.is_ca && !read.has_path_length && read.is_self_signed);
    assert_int_equal(read.key_usage, 0x06); // keyCertSign, cRLSign
    assert_string_equal(read.uri, "spiffe://example.org");
    assert_string_equal(read.subject, "/O=example.org/CN=Test root");
    certificate_deinit(&read);
    assert_int_equal(certificate_parse(intermediate.der, intermediate.length, &read, NULL), RM_OK);
    assert_true(read.is_ca && read.has_path_length && !read.is_self_signed);
    assert_int_equal(read.path_length, 0);
    assert_int_equal(read.key_usage, 0x06);
    assert_string_equal(read.uri, "spiffe://example.org");
    assert_string_equal(read.issuer, "/O=example.org/CN=Test root");
    certificate_deinit(&read);
    assert_int_equal(certificate_verify_signature(root.der, root.length, root.der, root.length),
                     RM_OK);
    assert_int_equal(
        certificate_verify_signature(intermediate.der, intermediate.length, root.der, root.length),
        RM_OK);
    assert_int_equal(
        certificate_verify_signature(root.der, root.length, intermediate.der, intermediate.length),
        RM_ERR_UNTRUSTED);
    fixture_free(&root);
    fixture_free(&intermediate);
}

static void openssl_sees_the_same(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct fixture intermediate = fixture_intermediate(&root, "example.org");
    fixture_folder_open();
    fixture_put("root.der", root.der, root.length);
    fixture_put("intermediate.der", intermediate.der, intermediate.length);
    assert_true(fixture_run(
        "for c in root intermediate; do openssl x509 -inform DER -in $c.der -noout -text | "
        "tr -s ' \\n' ' ' >$c.text || exit; done && "
        "grep -q 'Basic Constraints: critical CA:TRUE X509v3' root.text && "
        "grep -q 'Key Usage: critical Certificate Sign, CRL Sign X509v3' root.text && "
        "grep -q 'Alternative Name: URI:spiffe://example.org ' root.text && "
        "grep -q 'Basic Constraints: critical CA:TRUE, pathlen:0 X509v3' intermediate.text && "
        "grep -q 'Name Constraints: critical Permitted: URI:example.org ' intermediate.text && "
        "! grep -q 'Name Constraints' root.text"));
    fixture_folder_close();
    fixture_free(&root);
    fixture_free(&intermediate);
}

static void names_that_cannot_stand_are_refused(void **state)
{
    (void)state;
    static const char *const domains[] = {"", "Example.org", "example.org/", "a b", "spiffe://x"};
    struct private_key *key = fixture_key();
    uint8_t *der = NULL;
    size_t length = 0;
    for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
        struct authority_request request = make_request(domains[i], "Root");
        assert_int_equal(issue_root(key, &request, &der, &length), RM_ERR_MALFORMED);
        assert_int_equal(csr_make_authority(key, domains[i], "CA", &der, &length),
                         RM_ERR_MALFORMED);
    }
    struct authority_request nameless = make_request("example.org", "");
    assert_int_equal(issue_root(key, &nameless, &der, &length), RM_ERR_MALFORMED);
    struct authority_request long_name = make_request(
        "example.org", "12345678901234567890123456789012345678901234567890123456789012345");
    assert_int_equal(issue_root(key, &long_name, &der, &length), RM_ERR_MALFORMED);
    struct authority_request endless = make_request("example.org", "Root");
    endless.not_after_s = endless.not_before_s;
    assert_int_equal(issue_root(key, &endless, &der, &length), RM_ERR_EXPIRED);
    struct authority_request unnumbered = make_request("example.org", "Root");
    memset(unnumbered.serial, 0, ISSUE_SERIAL_BYTES);
    assert_int_equal(issue_root(key, &unnumbered, &der, &length), RM_ERR_MALFORMED);
    assert_null(der);
    key_unref(key);
}

// RFC 5280 limits an organization to 64 characters, SPIFFE a trust domain to 255.
static void long_trust_domains_stand_in_the_identity_alone(void **state)
{
    (void)state;
    char domain[256];
    struct certificate read;
    memset(domain, 'd', 255);
    domain[255] = '\0';
    struct fixture root = fixture_root(domain);
    struct fixture intermediate = fixture_intermediate(&root, domain);
    assert_int_equal(certificate_parse(intermediate.der, intermediate.length, &read, NULL), RM_OK);
    assert_string_equal(read.subject, "/CN=Test intermediate");
    assert_int_equal(read.uri_length, 9 + 255);
    certificate_deinit(&read);
    fixture_free(&root);
    fixture_free(&intermediate);
}

static void intermediate_stays_under_its_root(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct fixture intermediate = fixture_intermediate(&root, "example.org");
    struct private_key *key = fixture_key();
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    uint8_t *der = NULL;
    size_t length = 0;
    key_spki(key, &spki, &spki_length);
    struct authority_request request = make_request("other.org", "CA");
    assert_int_equal(issue_intermediate(root.issuer, spki, spki_length, &request, &der, &length),
                     RM_ERR_DENIED);
    request.trust_domain = "example.org";
    assert_int_equal(
        issue_intermediate(intermediate.issuer, spki, spki_length, &request, &der, &length),
        RM_ERR_DENIED); // its path length is 0
    request.not_after_s = issuer_not_after_s(root.issuer) + 1;
    assert_int_equal(issue_intermediate(root.issuer, spki, spki_length, &request, &der, &length),
                     RM_OK);
    struct certificate read;
    assert_int_equal(certificate_parse(der, length, &read, NULL), RM_OK);
    assert_true(read.not_after_s == issuer_not_after_s(root.issuer));
    certificate_deinit(&read);
    rm_free(der);
    key_unref(key);
    fixture_free(&root);
    fixture_free(&intermediate);
}

static void issuer_must_be_a_ca_with_its_own_key(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct fixture leaf = fixture_leaf(&root, "spiffe://example.org/a");
    struct issuer *issuer = NULL;
    struct rm_error error = {0};
    assert_int_equal(issuer_new(leaf.der, leaf.length, leaf.key, &issuer, &error),
                     RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "not a CA certificate"));
    assert_int_equal(issuer_new(root.der, root.length, leaf.key, &issuer, &error),
                     RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "does not belong"));
    assert_int_equal(issuer_new(root.der, root.length - 1, root.key, &issuer, &error),
                     RM_ERR_MALFORMED);
    assert_int_equal(issuer_new(root.der, 1U << 20, root.key, &issuer, &error), RM_ERR_MALFORMED);
    fixture_folder_open();
    assert_true(fixture_run("openssl ecparam -genkey -noout -name prime256v1 -out ca.key && "
                            "openssl req -x509 -key ca.key -subj /CN=x -out ca.pem "
                            "-addext keyUsage=cRLSign"));
    size_t length = 0;
    struct chain chain;
    struct private_key *key = NULL;
    uint8_t *pem = fixture_get("ca.pem", &length);
    assert_int_equal(chain_parse_pem(pem, length, &chain, NULL), RM_OK);
    rm_free(pem);
    pem = fixture_get("ca.key", &length);
    assert_int_equal(key_parse(pem, length, &key, NULL), RM_OK);
    rm_free(pem);
    fixture_folder_close();
    assert_int_equal(
        issuer_new(chain.certificates[0].bytes, chain.certificates[0].length, key, &issuer, &error),
        RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "lacks the key usage keyCertSign"));
    key_unref(key);
    chain_deinit(&chain);
    assert_null(issuer);
    issuer = issuer_ref(root.issuer);
    issuer_unref(issuer);
    issuer_unref(NULL);
    fixture_free(&root);
    fixture_free(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_and_intermediate_say_what_the_design_says),
        cmocka_unit_test(openssl_sees_the_same),
        cmocka_unit_test(names_that_cannot_stand_are_refused),
        cmocka_unit_test(long_trust_domains_stand_in_the_identity_alone),
        cmocka_unit_test(intermediate_stays_under_its_root),
        cmocka_unit_test(issuer_must_be_a_ca_with_its_own_key),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
