// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "crypto_fixture.h"

#define NEW_REQUEST "openssl req -new -nodes -keyout key.pem -outform DER -out request "

// `command` makes the file "request".
static uint8_t *make(const char *command, size_t *length)
{
    fixture_folder_open();
    assert_true(fixture_run(command));
    uint8_t *der = fixture_get("request", length);
    fixture_folder_close();
    return der;
}

static void assert_refused_bytes(const uint8_t *der, size_t length, enum rm_err expected,
                                 const char *says)
{
    uint8_t *spki = NULL;
    size_t spki_length = 0;
    struct rm_error error = {0};
    assert_int_equal(csr_read(der, length, &spki, &spki_length, &error), expected);
    assert_null(spki);
    assert_int_equal(error.code, expected);
    if (strstr(error.message, says) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, says);
    }
}

static void assert_refused(const char *command, enum rm_err expected, const char *says)
{
    size_t length = 0;
    uint8_t *der = make(command, &length);
    assert_refused_bytes(der, length, expected, says);
    rm_free(der);
}

static void own_request_gives_the_key_back(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    const uint8_t *expected = NULL;
    size_t expected_length = 0;
    uint8_t *der = NULL;
    uint8_t *spki = NULL;
    size_t length = 0;
    size_t spki_length = 0;
    key_spki(key, &expected, &expected_length);
    assert_int_equal(csr_make(key, &der, &length), RM_OK);
    assert_int_equal(csr_read(der, length, &spki, &spki_length, NULL), RM_OK);
    assert_int_equal(spki_length, expected_length);
    assert_memory_equal(spki, expected, spki_length);
    rm_free(spki);
    fixture_folder_open();
    fixture_put("request", der, length);
    assert_true(fixture_run("openssl req -inform DER -in request -verify -noout"));
    fixture_folder_close();
    rm_free(der);
    key_unref(key);
}

// Whatever others put around the key is stepped over.
static void requests_of_others_are_taken(void **state)
{
    (void)state;
    static const char *const commands[] = {
        NEW_REQUEST "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /",
        NEW_REQUEST "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=x/O=y -sha384 "
                    "-addext subjectAltName=DNS:evil.example,URI:spiffe://evil.example/a "
                    "-addext basicConstraints=critical,CA:TRUE",
        NEW_REQUEST "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=x -sha512",
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        size_t length = 0;
        uint8_t *spki = NULL;
        size_t spki_length = 0;
        struct rm_error error = {0};
        uint8_t *der = make(commands[i], &length);
        if (csr_read(der, length, &spki, &spki_length, &error) != RM_OK) {
            fail_msg("%s: %s", commands[i], error.message);
        }
        assert_int_equal(spki_length, 91);
        rm_free(spki);
        rm_free(der);
    }
}

static void other_keys_are_named(void **state)
{
    (void)state;
    assert_refused(NEW_REQUEST "-newkey rsa:2048 -subj /CN=x", RM_ERR_UNSUPPORTED,
                   "the key in the request is RSA 2048; accepted is P-256");
    assert_refused(NEW_REQUEST "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -subj /CN=x",
                   RM_ERR_UNSUPPORTED, "is P-384;");
    assert_refused(NEW_REQUEST "-newkey ed25519 -subj /CN=x", RM_ERR_UNSUPPORTED, "is Ed25519;");
    assert_refused(NEW_REQUEST "-newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -subj /CN=x",
                   RM_ERR_UNSUPPORTED, "is secp256k1;");
    assert_refused(NEW_REQUEST "-newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                               "-pkeyopt ec_param_enc:explicit -subj /CN=x",
                   RM_ERR_UNSUPPORTED, "is EC with explicit curve parameters;");
    assert_refused(
        "openssl ecparam -genkey -name prime256v1 -noout | openssl ec -conv_form compressed "
        "-out key.pem && openssl req -new -key key.pem -subj /CN=x -outform DER "
        "-out request",
        RM_ERR_UNSUPPORTED, "is P-256 with a compressed point;");
}

static void weak_signatures_are_named(void **state)
{
    (void)state;
    assert_refused(NEW_REQUEST "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=x -sha1",
                   RM_ERR_UNSUPPORTED, "signed with ecdsa-with-SHA1;");
}

static void what_is_no_request_is_named(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    assert_refused_bytes(root.der, root.length, RM_ERR_MALFORMED, "looks like a certificate");
    assert_refused_bytes((const uint8_t *)"hello", 5, RM_ERR_MALFORMED, "not DER");
    assert_refused_bytes((const uint8_t *)"", 0, RM_ERR_MALFORMED, "not DER");
    assert_refused_bytes(key_pkcs8(root.key)->bytes, key_pkcs8(root.key)->length, RM_ERR_MALFORMED,
                         "not a certificate signing request");
    assert_refused_bytes((const uint8_t *)"-----BEGIN CERTIFICATE REQUEST-----", 35,
                         RM_ERR_MALFORMED, "PEM text");
    assert_refused_bytes(root.der, CSR_MAX_DER_BYTES + 1, RM_ERR_TOO_LARGE, "at most 8192");
    fixture_free(&root);
}

// Every bit of a request is covered by its signature or by the form.
static void no_bit_may_change(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    uint8_t *der = NULL;
    uint8_t *spki = NULL;
    size_t length = 0;
    size_t spki_length = 0;
    assert_int_equal(csr_make(key, &der, &length), RM_OK);
    for (size_t i = 0; i < length * 8; i++) {
        der[i / 8] ^= (uint8_t)(1U << i % 8);
        enum rm_err result = csr_read(der, length, &spki, &spki_length, NULL);
        if (result != RM_ERR_MALFORMED && result != RM_ERR_UNSUPPORTED) {
            fail_msg("bit %zu: %s", i, rm_err_name(result));
        }
        assert_null(spki);
        der[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *part = rm_memdup(der, cut);
        assert_refused_bytes(part, cut, RM_ERR_MALFORMED, "the request is refused");
        rm_free(part);
    }
    rm_free(der);
    key_unref(key);
}

// A request whose key is another's: the self-signature is what proves possession.
static void anothers_key_is_refused(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    struct private_key *other = fixture_key();
    const uint8_t *own = NULL;
    const uint8_t *stolen = NULL;
    uint8_t *der = NULL;
    size_t spki_length = 0;
    size_t length = 0;
    key_spki(key, &own, &spki_length);
    key_spki(other, &stolen, &spki_length);
    assert_int_equal(csr_make(key, &der, &length), RM_OK);
    uint8_t *place = memmem(der, length, own, spki_length);
    assert_non_null(place);
    memcpy(place, stolen, spki_length);
    assert_refused_bytes(der, length, RM_ERR_MALFORMED, "signature is wrong");
    rm_free(der);
    key_unref(key);
    key_unref(other);
}

// x = 5 lies on the curve; x = 5 + p is the same number modulo p, written so that one key would
// have two encodings and two key ids.
static void points_written_beyond_the_field_are_refused(void **state)
{
    (void)state;
    static const char x[] = "ffffffff00000001000000000000000000000001000000000000000000000004";
    static const char y[] = "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc";
    struct private_key *key = fixture_key();
    const uint8_t *spki = NULL;
    uint8_t *der = NULL;
    size_t spki_length = 0;
    size_t length = 0;
    key_spki(key, &spki, &spki_length);
    assert_int_equal(csr_make(key, &der, &length), RM_OK);
    uint8_t *place = memmem(der, length, spki, spki_length);
    assert_non_null(place);
    assert_int_equal(hex_decode(x, 64, place + spki_length - 64, 32), RM_OK);
    assert_int_equal(hex_decode(y, 64, place + spki_length - 32, 32), RM_OK);
    assert_refused_bytes(der, length, RM_ERR_MALFORMED, "not a point on P-256");
    // The same point in range: only the signature is wrong then.
    memset(place + spki_length - 64, 0, 31);
    place[spki_length - 33] = 5;
    assert_refused_bytes(der, length, RM_ERR_MALFORMED, "signature is wrong");
    rm_free(der);
    key_unref(key);
}

static void points_off_the_curve_are_refused(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    const uint8_t *spki = NULL;
    uint8_t *der = NULL;
    size_t spki_length = 0;
    size_t length = 0;
    key_spki(key, &spki, &spki_length);
    assert_int_equal(csr_make(key, &der, &length), RM_OK);
    uint8_t *place = memmem(der, length, spki, spki_length);
    assert_non_null(place);
    place[spki_length - 1] ^= 1;
    assert_refused_bytes(der, length, RM_ERR_MALFORMED, "not a point on P-256");
    memset(place + spki_length - 64, 0, 64);
    assert_refused_bytes(der, length, RM_ERR_MALFORMED, "not a point on P-256");
    rm_free(der);
    key_unref(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_request_gives_the_key_back),
        cmocka_unit_test(requests_of_others_are_taken),
        cmocka_unit_test(other_keys_are_named),
        cmocka_unit_test(weak_signatures_are_named),
        cmocka_unit_test(what_is_no_request_is_named),
        cmocka_unit_test(no_bit_may_change),
        cmocka_unit_test(anothers_key_is_refused),
        cmocka_unit_test(points_written_beyond_the_field_are_refused),
        cmocka_unit_test(points_off_the_curve_are_refused),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
