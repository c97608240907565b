// SPDX-License-Identifier: GPL-3.0-or-later
//
// X25519 comes out right whatever the processor's registers held: after P-256 verifications, and
// after code that leaves all of them full. wolfSSL 5.9.2 as it is published fails here on
// processors with AVX2 (deploy/install-deps.sh, repair_x25519), and handshakes with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "crypto/crypto.h"
#include "crypto/key.h"
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/settings.h>

#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/random.h>

#define ROUNDS 64

static WC_RNG rng;

static void assert_both_ends_agree(void)
{
    curve25519_key near;
    curve25519_key far;
    uint8_t near_secret[CURVE25519_KEYSIZE];
    uint8_t far_secret[CURVE25519_KEYSIZE];
    word32 near_length = sizeof(near_secret);
    word32 far_length = sizeof(far_secret);
    assert_int_equal(wc_curve25519_init(&near), 0);
    assert_int_equal(wc_curve25519_init(&far), 0);
    assert_int_equal(wc_curve25519_make_key(&rng, CURVE25519_KEYSIZE, &near), 0);
    assert_int_equal(wc_curve25519_make_key(&rng, CURVE25519_KEYSIZE, &far), 0);
    assert_int_equal(wc_curve25519_shared_secret(&near, &far, near_secret, &near_length), 0);
    assert_int_equal(wc_curve25519_shared_secret(&far, &near, far_secret, &far_length), 0);
    assert_memory_equal(near_secret, far_secret, sizeof(near_secret));
    wc_curve25519_free(&near);
    wc_curve25519_free(&far);
}

static void after_verifications(void **state)
{
    struct private_key *key = NULL;
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    size_t signature_length = 0;
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    (void)state;
    assert_int_equal(key_generate(&key), RM_OK);
    key_spki(key, &spki, &spki_length);
    assert_int_equal(key_sign_sha256(key, "text", 4, signature, &signature_length), RM_OK);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(
            spki_verify_sha256(spki, spki_length, "text", 4, signature, signature_length), RM_OK);
        assert_both_ends_agree();
    }
    key_unref(key);
}

static void fill_registers(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        __asm__ volatile("vpcmpeqd %%ymm7, %%ymm7, %%ymm7\n\t"
                         "vpcmpeqd %%ymm8, %%ymm8, %%ymm8\n\t"
                         "vpcmpeqd %%ymm9, %%ymm9, %%ymm9" ::
                             : "xmm7", "xmm8", "xmm9");
    }
#endif
}

static void after_full_registers(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        fill_registers();
        assert_both_ends_agree();
    }
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(NULL), RM_OK);
    assert_int_equal(wc_InitRng(&rng), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wc_FreeRng(&rng);
    crypto_deinit();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_verifications),
        cmocka_unit_test(after_full_registers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
