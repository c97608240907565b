// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/encode.h"
#include "crypto/crypto.h"
#include "crypto_fixture.h"

static void assert_digest(const uint8_t digest[SHA256_BYTES], const char *expected)
{
    char text[HEX_BYTES(SHA256_BYTES)];
    hex_encode(digest, SHA256_BYTES, text);
    assert_string_equal(text, expected);
}

// FIPS 180-4 examples.
static void sha256_of_known_texts(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    sha256("", 0, digest);
    assert_digest(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256(NULL, 0, digest);
    assert_digest(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, digest);
    assert_digest(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void pieces_hash_like_the_whole(void **state)
{
    (void)state;
    uint8_t bytes[1000];
    uint8_t whole[SHA256_BYTES];
    uint8_t pieces[SHA256_BYTES];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    sha256(bytes, sizeof(bytes), whole);
    for (size_t step = 1; step < 200; step += 13) {
        struct sha256_stream *stream = sha256_stream_new();
        for (size_t at = 0; at < sizeof(bytes); at += step) {
            size_t left = sizeof(bytes) - at;
            sha256_stream_update(stream, bytes + at, left < step ? left : step);
        }
        sha256_stream_finish(stream, pieces);
        assert_memory_equal(whole, pieces, SHA256_BYTES);
    }
}

// RFC 4231, test cases 1, 2, 6.
static void hmac_of_known_texts(void **state)
{
    (void)state;
    uint8_t key[131];
    uint8_t digest[SHA256_BYTES];
    memset(key, 0x0b, 20);
    assert_int_equal(hmac_sha256(key, 20, "Hi There", 8, digest), RM_OK);
    assert_digest(digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, digest), RM_OK);
    assert_digest(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_int_equal(hmac_sha256(key, sizeof(key),
                                 "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                                 digest),
                     RM_OK);
    assert_digest(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(hmac_sha256("key", 3, NULL, 0, digest), RM_OK);
    assert_digest(digest, "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_known_texts),
        cmocka_unit_test(pieces_hash_like_the_whole),
        cmocka_unit_test(hmac_of_known_texts),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
