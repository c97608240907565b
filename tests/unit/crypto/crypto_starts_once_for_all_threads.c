// SPDX-License-Identifier: GPL-3.0-or-later
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto_fixture.h"

#define THREADS 8

static void *start_and_stop(void *context)
{
    struct private_key *key = NULL;
    int *failures = context;
    for (int round = 0; round < 20; round++) {
        if (crypto_init(NULL) != RM_OK || key_generate(&key) != RM_OK) {
            (*failures)++;
        }
        key_unref(key);
        key = NULL;
        crypto_deinit();
    }
    return NULL;
}

static void threads_may_start_and_stop_it_at_the_same_time(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int failures[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, start_and_stop, &failures[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

static void every_init_needs_its_deinit(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    assert_int_equal(crypto_init(NULL), RM_OK);
    assert_int_equal(crypto_init(NULL), RM_OK);
    crypto_deinit();
    assert_int_equal(hmac_sha256("key", 3, "text", 4, digest), RM_OK);
    crypto_deinit();
    crypto_deinit(); // one too many is no harm
    assert_int_equal(crypto_init(NULL), RM_OK);
    crypto_deinit();
}

static void wolfssl_takes_its_memory_from_us(void **state)
{
    (void)state;
    struct private_key *key = NULL;
    assert_int_equal(crypto_init(NULL), RM_OK);
    rm_alloc_fail_at(1); // the first allocation is wolfCrypt's, for its random number generator
    assert_int_equal(key_generate(&key), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_null(key);
    crypto_deinit();
}

static void failed_start_says_why_and_can_be_repeated(void **state)
{
    (void)state;
    struct rm_error error = {0};
    rm_alloc_fail_at(3); // inside the self-test
    assert_int_equal(crypto_init(&error), RM_ERR_INTERNAL);
    rm_alloc_fail_at(0);
    assert_non_null(strstr(error.message, "self-test"));
    assert_int_equal(crypto_init(&error), RM_OK);
    crypto_deinit();
}

static void version_line_names_library_and_features(void **state)
{
    (void)state;
    assert_non_null(strstr(crypto_describe(), "wolfSSL 5."));
    assert_non_null(strstr(crypto_describe(), "X25519MLKEM768"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_start_and_stop_it_at_the_same_time),
        cmocka_unit_test(every_init_needs_its_deinit),
        cmocka_unit_test(wolfssl_takes_its_memory_from_us),
        cmocka_unit_test(failed_start_says_why_and_can_be_repeated),
        cmocka_unit_test(version_line_names_library_and_features),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
