// SPDX-License-Identifier: GPL-3.0-or-later
#include "authority_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"

static void write_pem(const struct authority_fixture *fixture, const char *name,
                      const struct chain *chain, size_t from, size_t to)
{
    struct buffer pem;
    buffer_init(&pem, 65536);
    for (size_t i = from; i < to; i++) {
        assert_int_equal(pem_append(&pem, "CERTIFICATE", chain->certificates[i].bytes,
                                    chain->certificates[i].length),
                         RM_OK);
    }
    assert_int_equal(file_write_atomic(fixture_path(fixture->base, name), buffer_data(&pem),
                                       buffer_length(&pem), 0600, NULL),
                     RM_OK);
    buffer_deinit(&pem);
}

static int openssl_verify(const struct authority_fixture *fixture, const char *purpose)
{
    char command[1024];
    const char *folder = fixture->base->folder;
    snprintf(command, sizeof command,
             "openssl verify -x509_strict -purpose %s -CAfile %s/root.pem -untrusted %s/mid.pem "
             "%s/leaf.pem >/dev/null",
             purpose, folder, folder, folder);
    return system(command);
}

static void whole_chain_with_root_verifies(void **state)
{
    struct authority_fixture *fixture = *state;
    const char *names[] = {"control.example", "localhost"};
    struct tls_identity *identity = NULL;
    assert_int_equal(authority_fixture_identity(fixture, names, 2, 3600, &identity), RM_OK);
    assert_int_equal(identity->chain.count, 3);
    assert_string_equal(identity->spiffe_id, "spiffe://" TEST_DOMAIN "/remora/control");
    write_pem(fixture, "leaf.pem", &identity->chain, 0, 1);
    write_pem(fixture, "mid.pem", &identity->chain, 1, 2);
    write_pem(fixture, "root.pem", &identity->chain, 2, 3);
    assert_int_equal(openssl_verify(fixture, "sslserver"), 0);
    assert_int_equal(openssl_verify(fixture, "sslclient"), 0);

    struct certificate leaf;
    assert_int_equal(certificate_parse(identity->chain.certificates[0].bytes,
                                       identity->chain.certificates[0].length, &leaf, NULL),
                     RM_OK);
    assert_int_equal(leaf.dns_count, 2);
    assert_string_equal(leaf.dns[0], "control.example");
    certificate_deinit(&leaf);
    // The check itself can fail: without the intermediate there is no chain.
    write_pem(fixture, "mid.pem", &identity->chain, 2, 3);
    assert_int_not_equal(openssl_verify(fixture, "sslserver"), 0);
    tls_identity_unref(identity);
}

static void each_identity_has_a_fresh_key_and_serial(void **state)
{
    struct tls_identity *a = NULL;
    struct tls_identity *b = NULL;
    assert_int_equal(authority_fixture_identity(*state, NULL, 0, 3600, &a), RM_OK);
    assert_int_equal(authority_fixture_identity(*state, NULL, 0, 3600, &b), RM_OK);
    assert_memory_not_equal(a->serial, b->serial, ISSUE_SERIAL_BYTES);
    uint8_t a_id[KEY_ID_BYTES];
    uint8_t b_id[KEY_ID_BYTES];
    key_id(a->key, a_id);
    key_id(b->key, b_id);
    assert_memory_not_equal(a_id, b_id, KEY_ID_BYTES);
    tls_identity_unref(a);
    tls_identity_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_chain_with_root_verifies, authority_fixture_setup,
                                        authority_fixture_teardown),
        cmocka_unit_test_setup_teardown(each_identity_has_a_fresh_key_and_serial,
                                        authority_fixture_setup, authority_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
