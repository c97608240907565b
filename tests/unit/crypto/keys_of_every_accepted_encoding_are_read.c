// SPDX-License-Identifier: GPL-3.0-or-later
//
// Keys made by the openssl command, and what it says of them, are the judge here.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto_fixture.h"

static struct private_key *read_key(const char *name, enum rm_err expected)
{
    struct private_key *key = NULL;
    struct rm_error error = {0};
    size_t length = 0;
    uint8_t *bytes = fixture_get(name, &length);
    enum rm_err result = key_parse(bytes, length, &key, &error);
    if (result != expected) {
        print_message("%s: %s\n", name, rm_error_message(&error));
    }
    assert_int_equal(result, expected);
    rm_free(bytes);
    return key;
}

// Every form of one key gives the same public key, which is the one openssl sees.
static void assert_forms(const char *generate, enum key_kind kind, bool has_traditional)
{
    static const char *const forms[] = {"pkcs8.pem", "pkcs8.der", "old.pem", "old.der"};
    char id_of_spki[KEY_ID_BYTES];
    size_t public_length = 0;
    const uint8_t *spki = NULL;
    size_t length = 0;
    fixture_folder_open();
    assert_true(fixture_run(generate));
    assert_true(fixture_run("openssl pkey -in pkcs8.pem -outform DER -out pkcs8.der && "
                            "openssl pkey -in pkcs8.pem -traditional -out old.pem && "
                            "openssl pkey -in pkcs8.pem -traditional -outform DER -out old.der && "
                            "openssl pkey -in pkcs8.pem -pubout -outform DER -out public.der"));
    uint8_t *expected = fixture_get("public.der", &public_length);
    for (size_t i = 0; i < (has_traditional ? 4 : 2); i++) {
        struct private_key *key = read_key(forms[i], RM_OK);
        assert_int_equal(key_kind_of(key), kind);
        key_spki(key, &spki, &length);
        assert_int_equal(length, public_length);
        assert_memory_equal(spki, expected, length);
        sha256(spki, length, (uint8_t *)id_of_spki);
        uint8_t id[KEY_ID_BYTES];
        key_id(key, id);
        assert_memory_equal(id, id_of_spki, KEY_ID_BYTES);
        fixture_put("ours.der", key_pkcs8(key)->bytes, key_pkcs8(key)->length);
        assert_true(i > 0 || fixture_run("openssl pkey -inform DER -in ours.der -check -noout"));
        assert_true(fixture_run("openssl pkey -inform DER -in ours.der -pubout -outform DER "
                                "-out again.der && cmp again.der public.der"));
        key_unref(key);
    }
    rm_free(expected);
    fixture_folder_close();
}

static void p256(void **state)
{
    (void)state;
    assert_forms("openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
                 "-out pkcs8.pem",
                 KEY_P256, true);
}

static void p384(void **state)
{
    (void)state;
    assert_forms("openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-384 "
                 "-out pkcs8.pem",
                 KEY_P384, true);
}

static void rsa(void **state)
{
    (void)state;
    static const int sizes[] = {2048, 3072, 4096};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char command[128];
        snprintf(command, sizeof(command),
                 "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:%d -out pkcs8.pem",
                 sizes[i]);
        assert_forms(command, KEY_RSA, true);
    }
}

static void parameters_and_certificates_beside_the_key_are_ignored(void **state)
{
    (void)state;
    fixture_folder_open();
    assert_true(fixture_run("openssl ecparam -genkey -name prime256v1 -out with-parameters.pem && "
                            "openssl req -x509 -key with-parameters.pem -subj /CN=x -out c.pem && "
                            "cat c.pem with-parameters.pem c.pem >combined.pem && "
                            "sed 's/$/\\r/' combined.pem >windows.pem"));
    key_unref(read_key("with-parameters.pem", RM_OK));
    key_unref(read_key("combined.pem", RM_OK));
    key_unref(read_key("windows.pem", RM_OK));
    fixture_folder_close();
}

// SEC 1 leaves the public key out where it likes; it can be computed.
static void private_number_alone_is_enough(void **state)
{
    (void)state;
    const uint8_t *expected = NULL;
    const uint8_t *spki = NULL;
    size_t length = 0;
    fixture_folder_open();
    assert_true(fixture_run("openssl ecparam -genkey -noout -name prime256v1 -out whole.pem && "
                            "openssl ec -in whole.pem -no_public -outform DER -out bare.der"));
    struct private_key *whole = read_key("whole.pem", RM_OK);
    struct private_key *bare = read_key("bare.der", RM_OK);
    key_spki(whole, &expected, &length);
    key_spki(bare, &spki, &length);
    assert_memory_equal(spki, expected, length);
    key_unref(whole);
    key_unref(bare);
    fixture_folder_close();
}

static void own_key_survives_its_own_encoding(void **state)
{
    (void)state;
    struct private_key *made = fixture_key();
    struct private_key *again = NULL;
    uint8_t first[KEY_ID_BYTES];
    uint8_t second[KEY_ID_BYTES];
    const struct secret *pkcs8 = key_pkcs8(made);
    assert_int_equal(key_parse(pkcs8->bytes, pkcs8->length, &again, NULL), RM_OK);
    key_id(made, first);
    key_id(again, second);
    assert_memory_equal(first, second, KEY_ID_BYTES);
    key_unref(made);
    key_unref(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p256),
        cmocka_unit_test(p384),
        cmocka_unit_test(rsa),
        cmocka_unit_test(parameters_and_certificates_beside_the_key_are_ignored),
        cmocka_unit_test(private_number_alone_is_enough),
        cmocka_unit_test(own_key_survives_its_own_encoding),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
