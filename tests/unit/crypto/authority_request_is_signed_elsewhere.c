// SPDX-License-Identifier: GPL-3.0-or-later
//
// Offline root: our request goes out, an operator signs it with openssl, the certificate comes
// back.
#include "base/alloc.h"
#include "crypto_fixture.h"

static void signed_request_makes_an_issuer(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    struct fixture intermediate = {.key = key};
    uint8_t *request = NULL;
    size_t length = 0;
    struct chain chain;
    struct rm_error error = {0};
    assert_int_equal(
        csr_make_authority(key, "example.org", "Remora intermediate 1", &request, &length), RM_OK);
    fixture_folder_open();
    fixture_put_pem("request.pem", "CERTIFICATE REQUEST", request, length);
    assert_true(fixture_run(
        "openssl req -in request.pem -verify -noout && "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 30 "
        "-subj /CN=offline -addext keyUsage=critical,keyCertSign,cRLSign -keyout root.key "
        "-out root.pem && "
        "openssl x509 -req -in request.pem -CA root.pem -CAkey root.key -days 10 "
        "-copy_extensions copyall -out signed.pem"));
    uint8_t *pem = fixture_get("signed.pem", &length);
    assert_int_equal(chain_parse_pem(pem, length, &chain, &error), RM_OK);
    assert_int_equal(issuer_new(chain.certificates[0].bytes, chain.certificates[0].length, key,
                                &intermediate.issuer, &error),
                     RM_OK);
    struct fixture leaf = fixture_leaf(&intermediate, "spiffe://example.org/a");
    fixture_put_pem("leaf.pem", "CERTIFICATE", leaf.der, leaf.length);
    assert_true(fixture_run("openssl verify -x509_strict -CAfile root.pem -untrusted signed.pem "
                            "leaf.pem && openssl x509 -in signed.pem -noout -text >text && "
                            "grep -q 'URI:example.org' text && grep -q 'pathlen:0' text"));
    fixture_folder_close();
    rm_free(pem);
    rm_free(request);
    chain_deinit(&chain);
    fixture_free(&leaf);
    fixture_free(&intermediate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_request_makes_an_issuer),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
