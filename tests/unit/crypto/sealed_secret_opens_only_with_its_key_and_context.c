// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto_fixture.h"

static const char plain[] = "a private key";

static struct secret make_key(uint8_t first)
{
    struct secret key;
    assert_int_equal(secret_new(SEAL_KEY_BYTES, &key), RM_OK);
    memset(key.bytes, 7, SEAL_KEY_BYTES);
    key.bytes[0] = first;
    return key;
}

static void what_was_sealed_comes_back(void **state)
{
    (void)state;
    struct secret key = make_key(1);
    for (size_t length = 0; length <= sizeof(plain); length++) {
        uint8_t *sealed = NULL;
        size_t sealed_length = 0;
        struct secret opened;
        assert_int_equal(seal(&key, "ca-key/1", plain, length, &sealed, &sealed_length), RM_OK);
        assert_int_equal(sealed_length, length + SEAL_OVERHEAD_BYTES);
        assert_int_equal(unseal(&key, "ca-key/1", sealed, sealed_length, &opened), RM_OK);
        assert_int_equal(opened.length, length);
        assert_memory_equal(opened.length > 0 ? (const char *)opened.bytes : plain, plain, length);
        secret_free(&opened);
        rm_free(sealed);
    }
    secret_free(&key);
}

static void two_seals_of_one_secret_differ(void **state)
{
    (void)state;
    struct secret key = make_key(1);
    uint8_t *first = NULL;
    uint8_t *second = NULL;
    size_t length = 0;
    assert_int_equal(seal(&key, "c", plain, sizeof(plain), &first, &length), RM_OK);
    assert_int_equal(seal(&key, "c", plain, sizeof(plain), &second, &length), RM_OK);
    assert_memory_not_equal(first + 1, second + 1, 12);
    assert_memory_not_equal(first + 13, second + 13, sizeof(plain));
    assert_null(memmem(first, length, plain, sizeof(plain)));
    rm_free(first);
    rm_free(second);
    secret_free(&key);
}

static void other_key_context_or_bytes_are_refused(void **state)
{
    (void)state;
    struct secret key = make_key(1);
    struct secret other = make_key(2);
    struct secret opened;
    uint8_t *sealed = NULL;
    size_t length = 0;
    assert_int_equal(seal(&key, "ca-key/1", plain, sizeof(plain), &sealed, &length), RM_OK);
    assert_int_equal(unseal(&other, "ca-key/1", sealed, length, &opened), RM_ERR_CRYPTO);
    assert_null(opened.bytes);
    assert_int_equal(unseal(&key, "ca-key/2", sealed, length, &opened), RM_ERR_CRYPTO);
    assert_int_equal(unseal(&key, "", sealed, length, &opened), RM_ERR_CRYPTO);
    for (size_t i = 0; i < length * 8; i++) {
        sealed[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(unseal(&key, "ca-key/1", sealed, length, &opened), RM_ERR_CRYPTO);
        assert_null(opened.bytes);
        sealed[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t cut = 0; cut < length; cut++) {
        assert_int_equal(unseal(&key, "ca-key/1", sealed, cut, &opened), RM_ERR_CRYPTO);
    }
    assert_int_equal(unseal(&key, "ca-key/1", sealed, length, &opened), RM_OK);
    secret_free(&opened);
    rm_free(sealed);
    secret_free(&key);
    secret_free(&other);
}

static void limits_are_kept(void **state)
{
    (void)state;
    char context[257];
    uint8_t *sealed = NULL;
    size_t length = 0;
    struct secret key = make_key(1);
    struct secret weak = make_key(1);
    struct secret opened;
    weak.length = 16;
    uint8_t *large = rm_calloc(1, SEAL_MAX_PLAIN_BYTES + 1);
    memset(context, 'c', sizeof(context));
    context[256] = '\0';
    assert_int_equal(seal(&key, context, "x", 1, &sealed, &length), RM_ERR_TOO_LARGE);
    assert_int_equal(seal(&key, "c", large, SEAL_MAX_PLAIN_BYTES + 1, &sealed, &length),
                     RM_ERR_TOO_LARGE);
    assert_int_equal(seal(&weak, "c", "x", 1, &sealed, &length), RM_ERR_CRYPTO);
    assert_null(sealed);
    assert_int_equal(seal(&key, context + 1, large, SEAL_MAX_PLAIN_BYTES, &sealed, &length), RM_OK);
    assert_int_equal(unseal(&key, context + 1, sealed, length, &opened), RM_OK);
    assert_memory_equal(opened.bytes, large, SEAL_MAX_PLAIN_BYTES);
    secret_free(&opened);
    rm_free(sealed);
    rm_free(large);
    secret_free(&key);
    secret_free(&weak);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_comes_back),
        cmocka_unit_test(two_seals_of_one_secret_differ),
        cmocka_unit_test(other_key_context_or_bytes_are_refused),
        cmocka_unit_test(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
