// SPDX-License-Identifier: GPL-3.0-or-later
#include "authority_fixture.h"

#include <stdatomic.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "crypto/crypto.h"

static atomic_int_fast64_t clock_offset_ms;

static int64_t moved_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000 + atomic_load(&clock_offset_ms);
}

void clock_move(int64_t offset_s)
{
    atomic_store(&clock_offset_ms, offset_s * 1000);
}

struct authority_fixture *authority_fixture_new(void)
{
    struct rm_error error = {0};
    assert_int_equal(crypto_init(&error), RM_OK);
    clock_move(0);
    clock_replace(NULL, moved_wall_ms);
    struct authority_fixture *fixture = rm_calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->base = fixture_new();
    fixture_open(fixture->base);
    assert_int_equal(secret_new(SEAL_KEY_BYTES, &fixture->kek), RM_OK);
    assert_int_equal(random_bytes(fixture->kek.bytes, fixture->kek.length), RM_OK);
    return fixture;
}

void authority_fixture_free(struct authority_fixture *fixture)
{
    authority_fixture_close(fixture);
    fixture_free(fixture->base);
    secret_free(&fixture->kek);
    rm_free(fixture->csr_pem);
    rm_free(fixture);
    clock_replace(NULL, NULL);
    crypto_deinit();
}

int authority_fixture_setup(void **state)
{
    struct authority_fixture *fixture = authority_fixture_new();
    assert_int_equal(authority_fixture_init(fixture, AUTHORITY_SELF), RM_OK);
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
    *state = fixture;
    return 0;
}

int authority_fixture_teardown(void **state)
{
    authority_fixture_free(*state);
    return 0;
}

// --- Calls.

struct call {
    struct authority_fixture *fixture; // borrowed
    enum authority_mode mode;          // init
    const void *pem;                   // import
    size_t length;                     // import
    const char *const *dns_names;      // identity
    size_t dns_count;                  // identity
    int64_t lifetime_s;                // identity, sign
    struct tls_identity *identity;     // answer of identity
    struct authority_leaf *leaf;       // answer of sign
    enum rm_err result;                // of the call
    size_t done;                       // 1 once answered
};

static void finish(struct call *call, enum rm_err result)
{
    call->result = result;
    fixture_count(call->fixture->base, &call->done);
}

static enum rm_err run(struct call *call, fixture_fn function)
{
    rm_error_clear(&call->fixture->error);
    fixture_run(call->fixture->base, function, call);
    fixture_wait(call->fixture->base, &call->done, 1);
    return call->result;
}

static void on_init(void *context, enum rm_err result, const char *csr_pem,
                    const struct rm_error *error)
{
    struct call *call = context;
    if (result != RM_OK) {
        call->fixture->error = *error;
    } else if (csr_pem != NULL) {
        call->fixture->csr_pem = rm_strdup(csr_pem);
    }
    finish(call, result);
}

static void do_init(struct fixture *base, void *context)
{
    struct call *call = context;
    struct authority_fixture *fixture = call->fixture;
    enum rm_err result = authority_init(base->store, call->mode, TEST_DOMAIN, &fixture->kek,
                                        on_init, call, &fixture->error);
    if (result != RM_OK) {
        finish(call, result);
    }
}

enum rm_err authority_fixture_init(struct authority_fixture *fixture, enum authority_mode mode)
{
    struct call call = {.fixture = fixture, .mode = mode};
    return run(&call, do_init);
}

static void do_import(struct fixture *base, void *context)
{
    struct call *call = context;
    struct authority_fixture *fixture = call->fixture;
    enum rm_err result = authority_import(base->store, TEST_DOMAIN, &fixture->kek, call->pem,
                                          call->length, on_init, call, &fixture->error);
    if (result != RM_OK) {
        finish(call, result);
    }
}

enum rm_err authority_fixture_import(struct authority_fixture *fixture, const void *pem,
                                     size_t length)
{
    struct call call = {.fixture = fixture, .pem = pem, .length = length};
    return run(&call, do_import);
}

static void on_ready(void *context, enum rm_err result, struct authority *authority,
                     const struct rm_error *error)
{
    struct call *call = context;
    call->fixture->authority = authority;
    if (result != RM_OK) {
        call->fixture->error = *error;
    }
    finish(call, result);
}

static void do_load(struct fixture *base, void *context)
{
    struct call *call = context;
    enum rm_err result =
        authority_load(base->loop, base->store, TEST_DOMAIN, &call->fixture->kek, on_ready, call);
    if (result != RM_OK) {
        finish(call, result);
    }
}

enum rm_err authority_fixture_load(struct authority_fixture *fixture)
{
    struct call call = {.fixture = fixture};
    return run(&call, do_load);
}

static void do_close(struct fixture *base, void *context)
{
    (void)base;
    struct authority_fixture *fixture = context;
    authority_close(fixture->authority);
    fixture->authority = NULL;
}

void authority_fixture_close(struct authority_fixture *fixture)
{
    fixture_run(fixture->base, do_close, fixture);
}

static void do_identity(struct fixture *base, void *context)
{
    struct call *call = context;
    struct authority_fixture *fixture = call->fixture;
    (void)base;
    finish(call, authority_own_identity(fixture->authority, call->dns_names, call->dns_count,
                                        call->lifetime_s, &call->identity, &fixture->error));
}

enum rm_err authority_fixture_identity(struct authority_fixture *fixture,
                                       const char *const *dns_names, size_t dns_count,
                                       int64_t lifetime_s, struct tls_identity **out)
{
    struct call call = {.fixture = fixture,
                        .dns_names = dns_names,
                        .dns_count = dns_count,
                        .lifetime_s = lifetime_s};
    enum rm_err result = run(&call, do_identity);
    *out = call.identity;
    return result;
}

static void on_signed(void *context, enum rm_err result, struct authority_leaf *leaf)
{
    struct call *call = context;
    if (result == RM_OK) {
        *call->leaf = *leaf;
        leaf->chain = (struct chain){0};
    }
    finish(call, result);
}

static void do_sign(struct fixture *base, void *context)
{
    struct call *call = context;
    struct private_key *key = NULL;
    const uint8_t *spki = NULL;
    struct authority_leaf_request request = {.lifetime_s = call->lifetime_s};
    (void)base;
    assert_int_equal(key_generate(&key), RM_OK);
    key_spki(key, &spki, &request.spki_length);
    request.spki = rm_memdup(spki, request.spki_length);
    request.spiffe_id = rm_strdup("spiffe://" TEST_DOMAIN "/ns/test/sa/leaf");
    assert_int_equal(authority_random_lineage(request.serial), RM_OK);
    key_unref(key);
    enum rm_err result = authority_sign(call->fixture->authority, &request, on_signed, call);
    if (result != RM_OK) {
        finish(call, result);
    }
}

enum rm_err authority_fixture_sign(struct authority_fixture *fixture, int64_t lifetime_s,
                                   struct authority_leaf *leaf)
{
    struct call call = {.fixture = fixture, .lifetime_s = lifetime_s, .leaf = leaf};
    return run(&call, do_sign);
}
