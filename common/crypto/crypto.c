// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/crypto.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/key.h"
#include "crypto/signature_internal.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>
#include <wolfssl/wolfcrypt/cpuid.h>

#define OLDEST_VERSION_HEX 0x05009000
#define OLDEST_VERSION_TEXT "5.9.0"

#if LIBWOLFSSL_VERSION_HEX < OLDEST_VERSION_HEX
#error "Remora needs wolfSSL 5.9 or newer: older ones have known security faults"
#endif
#if !defined(WOLFSSL_TLS13) || !defined(HAVE_AESGCM) || !defined(HAVE_ECC) ||                      \
    !defined(HAVE_ECC384) || defined(NO_RSA) || defined(IGNORE_NAME_CONSTRAINTS)
#error "this wolfSSL lacks what Remora relies on: build it with deploy/install-deps.sh"
#endif

static pthread_mutex_t init_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned int init_count; // crypto_init() calls that no crypto_deinit() has matched

// Known answers: SHA-256 of "abc" (FIPS 180-4), HMAC-SHA-256 test case 2 (RFC 4231).
static const uint8_t sha256_of_abc[SHA256_BYTES] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
static const uint8_t hmac_of_jefe[SHA256_BYTES] = {
    0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
    0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};

static bool hashes_work(void)
{
    static const char jefe[] = "what do ya want for nothing?";
    uint8_t digest[SHA256_BYTES];
    sha256("abc", 3, digest);
    if (memcmp(digest, sha256_of_abc, sizeof(digest)) != 0) {
        return false;
    }
    return hmac_sha256("Jefe", 4, jefe, strlen(jefe), digest) == RM_OK &&
           memcmp(digest, hmac_of_jefe, sizeof(digest)) == 0;
}

static bool signatures_work(void)
{
    struct private_key *key = NULL;
    uint8_t signature[SIGNATURE_MAX_BYTES];
    size_t length = 0;
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    if (key_generate(&key) != RM_OK) {
        return false;
    }
    key_spki(key, &spki, &spki_length);
    bool works = key_sign_sha256(key, "abc", 3, signature, &length) == RM_OK &&
                 spki_verify_sha256(spki, spki_length, "abc", 3, signature, length) == RM_OK &&
                 spki_verify_sha256(spki, spki_length, "abd", 3, signature, length) != RM_OK;
    key_unref(key);
    return works;
}

static bool sealing_works(void)
{
    struct secret key = {0};
    struct secret plain = {0};
    uint8_t *sealed = NULL;
    size_t length = 0;
    bool works = secret_new(SEAL_KEY_BYTES, &key) == RM_OK &&
                 seal(&key, "self-test", "abc", 3, &sealed, &length) == RM_OK &&
                 unseal(&key, "another", sealed, length, &plain) != RM_OK &&
                 unseal(&key, "self-test", sealed, length, &plain) == RM_OK && plain.length == 3 &&
                 memcmp(plain.bytes, "abc", 3) == 0;
    rm_free(sealed);
    secret_free(&plain);
    secret_free(&key);
    return works;
}

static enum rm_err crypto_self_test(struct rm_error *error)
{
    const char *failed = NULL;
    if (!hashes_work()) {
        failed = "SHA-256";
    } else if (!signatures_work()) {
        failed = "ECDSA on P-256";
    } else if (!sealing_works()) {
        failed = "AES-256-GCM";
    }
    if (failed == NULL) {
        return RM_OK;
    }
    return rm_error_set(error, RM_ERR_INTERNAL,
                        "wolfSSL %s does not pass the self-test of %s on this machine",
                        wolfSSL_lib_version(), failed);
}

static enum rm_err crypto_start(struct rm_error *error)
{
    if (wolfSSL_lib_version_hex() < OLDEST_VERSION_HEX) {
        return rm_error_set(error, RM_ERR_INTERNAL, "wolfSSL %s is too old: %s or newer is needed",
                            wolfSSL_lib_version(), OLDEST_VERSION_TEXT);
    }
    if (!wolf_take_memory_from_us() || wolfSSL_Init() != WOLFSSL_SUCCESS) {
        return rm_error_set(error, RM_ERR_INTERNAL, "wolfSSL could not be started");
    }
    enum rm_err result = crypto_self_test(error);
    if (result != RM_OK) {
        wolfSSL_Cleanup();
    }
    return result;
}

enum rm_err crypto_init(struct rm_error *error)
{
    pthread_mutex_lock(&init_mutex);
    enum rm_err result = init_count == 0 ? crypto_start(error) : RM_OK;
    if (result == RM_OK) {
        init_count++;
    }
    pthread_mutex_unlock(&init_mutex);
    return result;
}

void crypto_deinit(void)
{
    pthread_mutex_lock(&init_mutex);
    if (init_count > 0 && --init_count == 0) {
        wolfSSL_Cleanup();
    }
    pthread_mutex_unlock(&init_mutex);
}

static bool cpu_has_aes(void)
{
#if defined(WOLFSSL_AESNI)
    return IS_INTEL_AESNI(cpuid_get_flags()) != 0;
#elif defined(HAVE_CPUID_AARCH64)
    return IS_AARCH64_AES(cpuid_get_flags()) != 0;
#else
    return false;
#endif
}

static bool cpu_has_avx2(void)
{
#if defined(WOLFSSL_AESNI)
    return IS_INTEL_AVX2(cpuid_get_flags()) != 0;
#else
    return false;
#endif
}

#if defined(WOLFSSL_HAVE_MLKEM)
#define DESCRIBE_GROUPS "X25519MLKEM768, X25519, P-256"
#else
#define DESCRIBE_GROUPS "X25519, P-256"
#endif
#define DESCRIBE "wolfSSL " LIBWOLFSSL_VERSION_STRING " ("
#define DESCRIBE_END DESCRIBE_GROUPS ", TLS 1.3 only)"

const char *crypto_describe(void)
{
    if (!cpu_has_aes()) {
        return DESCRIBE "AES in software, " DESCRIBE_END;
    }
    return cpu_has_avx2() ? DESCRIBE "AES and AVX2 instructions, " DESCRIBE_END
                          : DESCRIBE "AES instructions, " DESCRIBE_END;
}
