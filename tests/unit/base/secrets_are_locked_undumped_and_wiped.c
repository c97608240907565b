// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/secret.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

#define FLAGS_BYTES 256

// Copies the kernel's flags ("rd wr mr ... lo dd") of the mapping that holds `address`.
static void read_flags(const void *address, char flags[FLAGS_BYTES])
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    char line[512];
    bool is_ours = false;
    flags[0] = '\0';
    while (fgets(line, sizeof(line), maps) != NULL) {
        uintptr_t from = 0;
        uintptr_t to = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            is_ours = (uintptr_t)address >= from && (uintptr_t)address < to;
        } else if (is_ours && strncmp(line, "VmFlags:", 8) == 0) {
            snprintf(flags, FLAGS_BYTES, "%.*s", FLAGS_BYTES - 1, line + 8);
        }
    }
    fclose(maps);
}

static void assert_guarded(const struct secret *secret)
{
    char flags[FLAGS_BYTES];
    read_flags(secret->bytes, flags);
    assert_non_null(strstr(flags, " dd")); // left out of core dumps
    assert_non_null(strstr(flags, " dc")); // left out of children
    if (secret_is_locked()) {
        assert_non_null(strstr(flags, " lo"));
    }
    read_flags(secret->bytes + secret->length - 1, flags);
    assert_non_null(strstr(flags, " dd"));
}

static void small_and_large_blocks_are_guarded(void **state)
{
    (void)state;
    const size_t lengths[] = {1, 32, 48, 49, 1000, 1008, 1009, 5000, 100000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct secret secret;
        assert_int_equal(secret_new(lengths[i], &secret), RM_OK);
        for (size_t j = 0; j < lengths[i]; j++) {
            assert_int_equal(secret.bytes[j], 0);
        }
        memset(secret.bytes, 0xa5, lengths[i]);
        assert_guarded(&secret);
        secret_free(&secret);
        assert_null(secret.bytes);
        secret_free(&secret);
    }
}

static void freed_bytes_are_wiped(void **state)
{
    (void)state;
    const size_t lengths[] = {32, 100, 200, 500, 1000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct secret secret;
        assert_int_equal(secret_new(lengths[i], &secret), RM_OK);
        memset(secret.bytes, 0xa5, lengths[i]);
        const uint8_t *where = secret.bytes;
        secret.length = 5; // an owner may lower it; all of the block is wiped
        secret_free(&secret);
        // A slab stays mapped, so that its memory can be looked at.
        for (size_t j = 0; j < lengths[i]; j++) {
            assert_int_equal(where[j], 0);
        }
    }
}

static void blocks_never_overlap(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct secret secrets[COUNT];
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(secret_new(1 + i * 7 % 1200, &secrets[i]), RM_OK);
            memset(secrets[i].bytes, (int)(i % 251), secrets[i].length);
        }
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t j = 0; j < secrets[i].length; j++) {
                assert_int_equal(secrets[i].bytes[j], i % 251);
            }
            secret_free(&secrets[i]);
        }
    }
}

static void an_empty_secret_needs_no_memory(void **state)
{
    (void)state;
    struct secret secret;
    rm_alloc_fail_at(1);
    assert_int_equal(secret_new(0, &secret), RM_OK);
    rm_alloc_fail_at(0);
    assert_null(secret.bytes);
    secret_free(&secret);
}

static void a_failed_allocation_leaves_nothing(void **state)
{
    (void)state;
    struct secret secret;
    rm_alloc_fail_at(1);
    assert_int_equal(secret_dup("abc", 3, &secret), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_null(secret.bytes);
    assert_int_equal(secret_new(SIZE_MAX, &secret), RM_ERR_NO_MEMORY);
    assert_int_equal(secret_new(SIZE_MAX - 4096, &secret), RM_ERR_NO_MEMORY);
}

// Without the right to lock: exit code 0 when all is as said.
static int use_without_lock(void)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
        (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)) {
        return 2;
    }
    struct secret secret;
    if (secret_new(100000, &secret) != RM_OK || secret_is_locked()) {
        return 3;
    }
    memset(secret.bytes, 1, secret.length);
    secret_free(&secret);
    return 0;
}

static void a_refused_lock_is_said_and_survived(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(use_without_lock());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void *churn(void *context)
{
    uint8_t mark = *(uint8_t *)context;
    for (size_t i = 0; i < 2000; i++) {
        struct secret secret;
        if (secret_new(1 + i % 300, &secret) != RM_OK) {
            return "no memory";
        }
        memset(secret.bytes, mark, secret.length);
        for (size_t j = 0; j < secret.length; j++) {
            if (secret.bytes[j] != mark) {
                return "shared with another thread";
            }
        }
        secret_free(&secret);
    }
    return NULL;
}

static void threads_get_blocks_of_their_own(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint8_t marks[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &marks[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *complaint = NULL;
        assert_int_equal(pthread_join(threads[i], &complaint), 0);
        assert_null(complaint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_and_large_blocks_are_guarded),
        cmocka_unit_test(freed_bytes_are_wiped),
        cmocka_unit_test(blocks_never_overlap),
        cmocka_unit_test(an_empty_secret_needs_no_memory),
        cmocka_unit_test(a_failed_allocation_leaves_nothing),
        cmocka_unit_test(a_refused_lock_is_said_and_survived),
        cmocka_unit_test(threads_get_blocks_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
