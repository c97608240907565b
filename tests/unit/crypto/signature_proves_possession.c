// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "crypto_fixture.h"

static const char text[] = "remora re-join";

static void only_the_signer_and_the_text_pass(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    struct private_key *other = fixture_key();
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    size_t length = 0;
    const uint8_t *spki = NULL;
    const uint8_t *wrong = NULL;
    size_t spki_length = 0;
    key_spki(key, &spki, &spki_length);
    key_spki(other, &wrong, &spki_length);
    for (int round = 0; round < 50; round++) { // lengths of signatures vary
        assert_int_equal(key_sign_sha256(key, text, sizeof(text), signature, &length), RM_OK);
        assert_in_range(length, 60, SIGNATURE_P256_MAX_BYTES);
        assert_int_equal(
            spki_verify_sha256(spki, spki_length, text, sizeof(text), signature, length), RM_OK);
    }
    assert_int_equal(spki_verify_sha256(wrong, spki_length, text, sizeof(text), signature, length),
                     RM_ERR_UNTRUSTED);
    assert_int_equal(
        spki_verify_sha256(spki, spki_length, text, sizeof(text) - 1, signature, length),
        RM_ERR_UNTRUSTED);
    for (size_t i = 0; i < length * 8; i++) {
        signature[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(
            spki_verify_sha256(spki, spki_length, text, sizeof(text), signature, length),
            RM_ERR_UNTRUSTED);
        signature[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t cut = 0; cut < length; cut++) {
        assert_int_equal(spki_verify_sha256(spki, spki_length, text, sizeof(text), signature, cut),
                         RM_ERR_UNTRUSTED);
    }
    key_unref(key);
    key_unref(other);
}

#define KEYS 24  // more than the library makes tables for
#define ROUNDS 4 // a table is made when a key comes again

// A key that was met often is verified with a table of its multiples: no key may be taken for
// another, whichever has its table.
static void keys_that_come_again_are_not_confused(void **state)
{
    (void)state;
    struct private_key *keys[KEYS];
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    size_t length = 0;
    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = fixture_key();
    }
    for (size_t step = 0; step < (size_t)KEYS * ROUNDS * ROUNDS; step++) {
        // First each key some times in a row, then all of them in turn.
        size_t signer = step < (size_t)KEYS * ROUNDS ? step / ROUNDS : step % KEYS;
        size_t shown = step % 3 == 0 ? (signer + 1) % KEYS : signer;
        const uint8_t *spki = NULL;
        size_t spki_length = 0;
        key_spki(keys[shown], &spki, &spki_length);
        assert_int_equal(key_sign_sha256(keys[signer], &step, sizeof(step), signature, &length),
                         RM_OK);
        assert_int_equal(
            spki_verify_sha256(spki, spki_length, &step, sizeof(step), signature, length),
            shown == signer ? RM_OK : RM_ERR_UNTRUSTED);
    }
    for (size_t i = 0; i < KEYS; i++) {
        key_unref(keys[i]);
    }
}

static void keys_that_are_none_are_refused(void **state)
{
    (void)state;
    struct private_key *key = fixture_key();
    struct private_key *p384 = fixture_foreign_key("P-384");
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    size_t length = 0;
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    uint8_t broken[91];
    assert_int_equal(key_sign_sha256(key, text, sizeof(text), signature, &length), RM_OK);
    key_spki(p384, &spki, &spki_length);
    assert_int_equal(spki_verify_sha256(spki, spki_length, text, sizeof(text), signature, length),
                     RM_ERR_UNSUPPORTED);
    assert_int_equal(key_sign_sha256(p384, text, sizeof(text), signature, &length),
                     RM_ERR_UNSUPPORTED);
    key_spki(key, &spki, &spki_length);
    memcpy(broken, spki, sizeof(broken));
    broken[90] ^= 1;
    assert_int_equal(spki_verify_sha256(broken, 91, text, sizeof(text), signature, length),
                     RM_ERR_MALFORMED);
    assert_int_equal(spki_verify_sha256(spki, 90, text, sizeof(text), signature, length),
                     RM_ERR_MALFORMED);
    assert_int_equal(spki_verify_sha256(NULL, 0, text, sizeof(text), signature, length),
                     RM_ERR_MALFORMED);
    key_unref(key);
    key_unref(p384);
}

// What a compressed or all-zero signature would be: numbers outside 1..n-1.
static void signatures_of_zero_are_refused(void **state)
{
    (void)state;
    static const uint8_t zeros[] = {0x30, 6, 2, 1, 0, 2, 1, 0};
    static const uint8_t ones[] = {0x30, 6, 2, 1, 1, 2, 1, 1};
    struct private_key *key = fixture_key();
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    key_spki(key, &spki, &spki_length);
    assert_int_equal(spki_verify_sha256(spki, spki_length, text, sizeof(text), zeros, 8),
                     RM_ERR_UNTRUSTED);
    assert_int_equal(spki_verify_sha256(spki, spki_length, text, sizeof(text), ones, 8),
                     RM_ERR_UNTRUSTED);
    key_unref(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_signer_and_the_text_pass),
        cmocka_unit_test(keys_that_come_again_are_not_confused),
        cmocka_unit_test(keys_that_are_none_are_refused),
        cmocka_unit_test(signatures_of_zero_are_refused),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
