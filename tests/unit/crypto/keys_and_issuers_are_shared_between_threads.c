// SPDX-License-Identifier: GPL-3.0-or-later
//
// For the thread sanitizer above all: one issuer, one key, one trust snapshot, many threads.
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto_fixture.h"

#define THREADS 4
#define ROUNDS 25
#define ID "spiffe://example.org/a"

struct shared {
    struct fixture root;
    struct fixture intermediate;
    struct trust_snapshot *trust;
};

static bool issue_and_examine(const struct shared *shared)
{
    struct fixture leaf = fixture_leaf(&shared->intermediate, ID);
    const struct der sent[] = {leaf.view, shared->intermediate.view};
    struct certificate read;
    struct chain_facts facts = {0};
    const char *why = NULL;
    uint8_t *csr = NULL;
    uint8_t *spki = NULL;
    size_t csr_length = 0;
    size_t spki_length = 0;
    struct private_key *key = key_ref(leaf.key);
    bool is_good = chain_examine(sent, 2, shared->trust, &read, &facts, &why) == RM_OK &&
                   facts.is_anchored && csr_make(key, &csr, &csr_length) == RM_OK &&
                   csr_read(csr, csr_length, &spki, &spki_length, NULL) == RM_OK;
    certificate_deinit(&read);
    key_unref(key);
    rm_free(csr);
    rm_free(spki);
    fixture_free(&leaf);
    return is_good;
}

static void *work(void *context)
{
    const struct shared *shared = context;
    struct issuer *issuer = issuer_ref(shared->intermediate.issuer);
    struct trust_snapshot *trust = trust_ref(shared->trust);
    bool is_good = true;
    for (int i = 0; i < ROUNDS; i++) {
        is_good = issue_and_examine(shared) && is_good;
    }
    issuer_unref(issuer);
    trust_unref(trust);
    return is_good ? context : NULL;
}

static void many_threads_issue_and_examine(void **state)
{
    (void)state;
    struct shared shared = {.root = fixture_root("example.org")};
    pthread_t threads[THREADS];
    void *result = NULL;
    shared.intermediate = fixture_intermediate(&shared.root, "example.org");
    shared.trust = fixture_trust("example.org", &shared.root);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &shared), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        assert_non_null(result);
    }
    trust_unref(shared.trust);
    fixture_free(&shared.intermediate);
    fixture_free(&shared.root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_issue_and_examine),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
