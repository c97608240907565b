// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto_fixture.h"

static void assert_refused_bytes(const uint8_t *bytes, size_t length, enum rm_err expected,
                                 const char *says)
{
    struct private_key *key = NULL;
    struct rm_error error = {0};
    assert_int_equal(key_parse(bytes, length, &key, &error), expected);
    assert_null(key);
    assert_int_equal(error.code, expected);
    if (strstr(error.message, says) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, says);
    }
}

// `command` makes the file "key".
static void assert_refused(const char *command, enum rm_err expected, const char *says)
{
    size_t length = 0;
    fixture_folder_open();
    assert_true(fixture_run(command));
    uint8_t *bytes = fixture_get("key", &length);
    assert_refused_bytes(bytes, length, expected, says);
    rm_free(bytes);
    fixture_folder_close();
}

static void encrypted_keys_say_so(void **state)
{
    (void)state;
    assert_refused(
        "openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes-256-cbc "
        "-pass pass:secret -out key",
        RM_ERR_UNSUPPORTED, "the private key is encrypted");
    assert_refused("openssl ecparam -genkey -noout -name prime256v1 | openssl ec -aes-256-cbc "
                   "-passout pass:secret -out key",
                   RM_ERR_UNSUPPORTED, "the private key is encrypted");
    assert_refused("openssl ecparam -genkey -noout -name prime256v1 -out plain && "
                   "openssl pkcs8 -topk8 -in plain -v2 aes-256-cbc -passout pass:secret "
                   "-outform DER -out key",
                   RM_ERR_UNSUPPORTED, "the private key is encrypted");
}

static void other_kinds_are_named(void **state)
{
    (void)state;
    assert_refused("openssl genpkey -quiet -algorithm ED25519 -out key", RM_ERR_UNSUPPORTED,
                   "of kind Ed25519; accepted are P-256, P-384 and RSA from 2048 to 4096 bits");
    assert_refused("openssl genpkey -quiet -algorithm X25519 -out key", RM_ERR_UNSUPPORTED,
                   "of kind X25519;");
    assert_refused("openssl ecparam -genkey -noout -name secp521r1 -out key", RM_ERR_UNSUPPORTED,
                   "of kind P-521;");
    assert_refused(
        "openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out key",
        RM_ERR_UNSUPPORTED, "of kind secp256k1;");
    assert_refused("openssl ecparam -genkey -noout -name brainpoolP256r1 -out key",
                   RM_ERR_UNSUPPORTED, "of kind EC on another curve;");
    assert_refused(
        "openssl genpkey -quiet -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out key",
        RM_ERR_UNSUPPORTED, "of kind RSA-PSS;");
}

static void wrong_sizes_are_named(void **state)
{
    (void)state;
    assert_refused("openssl genrsa -out key 1024", RM_ERR_UNSUPPORTED, "of kind RSA 1024;");
    assert_refused("openssl genrsa -traditional -out key 1536", RM_ERR_UNSUPPORTED,
                   "of kind RSA 1536;");
    assert_refused("openssl genrsa -primes 4 -out key 4104", RM_ERR_UNSUPPORTED,
                   "of kind RSA 4104;");
}

static void curves_without_a_name_are_refused(void **state)
{
    (void)state;
    assert_refused("openssl ecparam -genkey -noout -name prime256v1 -param_enc explicit -out key",
                   RM_ERR_UNSUPPORTED, "of kind EC with explicit curve parameters;");
    assert_refused("openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
                   "-pkeyopt ec_param_enc:explicit -out key",
                   RM_ERR_UNSUPPORTED, "of kind EC with explicit curve parameters;");
}

static void files_without_one_key_are_refused(void **state)
{
    (void)state;
    assert_refused("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                   "-subj /CN=x -keyout other -out key",
                   RM_ERR_MALFORMED, "no PRIVATE KEY block");
    assert_refused("openssl ecparam -genkey -noout -name prime256v1 -out one && cat one one >key",
                   RM_ERR_MALFORMED, "more than one private key");
    assert_refused("openssl ecparam -genkey -noout -name prime256v1 | head -n 2 >key",
                   RM_ERR_MALFORMED, "does not end");
    assert_refused("openssl ecparam -genkey -noout -name prime256v1 | sed '2s/./!/' >key",
                   RM_ERR_MALFORMED, "not base64");
    assert_refused("openssl ecparam -genkey -noout -name prime256v1 | openssl ec -pubout -out key",
                   RM_ERR_MALFORMED, "no PRIVATE KEY block");
    assert_refused("echo hello >key", RM_ERR_MALFORMED, "this is no private key");
    assert_refused("true >key", RM_ERR_MALFORMED, "this is no private key");
    assert_refused("head -c 65537 /dev/zero >key", RM_ERR_TOO_LARGE, "at most 65536");
}

// The public half of one key beside the private half of another.
static void halves_that_do_not_match_are_refused(void **state)
{
    (void)state;
    struct private_key *one = fixture_key();
    struct private_key *other = fixture_key();
    const struct secret *first = key_pkcs8(one);
    const struct secret *second = key_pkcs8(other);
    uint8_t mixed[256];
    assert_int_equal(first->length, second->length);
    memcpy(mixed, first->bytes, first->length);
    memcpy(mixed + first->length - 64, second->bytes + second->length - 64, 64);
    assert_refused_bytes(mixed, first->length, RM_ERR_MALFORMED, "damaged");
    key_unref(one);
    key_unref(other);
}

static void numbers_off_the_curve_are_refused(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    const struct secret *pkcs8 = key_pkcs8(key);
    uint8_t bytes[256];
    size_t private_at = pkcs8->length - 65 - 5 - 32; // before [1] { BIT STRING { point } }
    memcpy(bytes, pkcs8->bytes, pkcs8->length);
    memset(bytes + private_at, 0, 32);
    assert_refused_bytes(bytes, pkcs8->length, RM_ERR_MALFORMED, "damaged");
    memset(bytes + private_at, 0xff, 32);
    assert_refused_bytes(bytes, pkcs8->length, RM_ERR_MALFORMED, "damaged");
    memcpy(bytes, pkcs8->bytes, pkcs8->length);
    bytes[pkcs8->length - 1] ^= 1;
    assert_refused_bytes(bytes, pkcs8->length, RM_ERR_MALFORMED, "damaged");
    key_unref(key);
}

// A bit of an RSA key's private part: the file still reads well, its signatures are wrong.
static void damaged_rsa_keys_are_refused(void **state)
{
    (void)state;
    struct private_key *key = fixture_foreign_key("RSA:2048");
    const struct secret *pkcs8 = key_pkcs8(key);
    uint8_t bytes[2048];
    memcpy(bytes, pkcs8->bytes, pkcs8->length);
    bytes[pkcs8->length - 40] ^= 1; // in the last number, the CRT coefficient
    assert_refused_bytes(bytes, pkcs8->length, RM_ERR_MALFORMED, "damaged");
    key_unref(key);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    struct private_key *parsed = NULL;
    const struct secret *pkcs8 = key_pkcs8(key);
    for (size_t length = 0; length < pkcs8->length; length++) {
        uint8_t *cut = rm_memdup(pkcs8->bytes, length); // its own block: reads beyond it are seen
        assert_int_equal(key_parse(cut, length, &parsed, NULL), RM_ERR_MALFORMED);
        rm_free(cut);
    }
    key_unref(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encrypted_keys_say_so),
        cmocka_unit_test(other_kinds_are_named),
        cmocka_unit_test(wrong_sizes_are_named),
        cmocka_unit_test(curves_without_a_name_are_refused),
        cmocka_unit_test(files_without_one_key_are_refused),
        cmocka_unit_test(halves_that_do_not_match_are_refused),
        cmocka_unit_test(numbers_off_the_curve_are_refused),
        cmocka_unit_test(damaged_rsa_keys_are_refused),
        cmocka_unit_test(every_cut_is_refused),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
