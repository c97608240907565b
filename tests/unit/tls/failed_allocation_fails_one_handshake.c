// SPDX-License-Identifier: GPL-3.0-or-later
//
// Whichever allocation fails, in our code or inside wolfSSL, while contexts and sessions are made
// and while they shake hands: an error at most, never a crash, a leak, or a session without a
// verdict.
#include "tls_fixture.h"

#include <string.h>

#include "base/alloc.h"

#define MOST_ALLOCATIONS 4000 // far above what a handshake makes

// A context that was made although an allocation failed must not lack a root or a certificate.
static void assert_context_is_whole(const struct world *world, struct tls_context *context)
{
    struct pair pair;
    pair_init(&pair, world->client, context);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_OK);
    pair_deinit(&pair);
}

static void context_survives(void **state)
{
    const struct world *world = *state;
    uint64_t n = 1;
    for (;; n++) {
        struct tls_spiffe_profile profile = pki_profile(world->server_identity, world->trust);
        struct tls_context *context = NULL;
        static const char *const names[] = {"a.td.test", "b.td.test"};
        profile.own_names = names;
        profile.own_name_count = 2;
        rm_alloc_fail_at(n);
        enum rm_err result = tls_context_new_spiffe(&profile, &context, NULL);
        bool was_reached = rm_alloc_count() >= n;
        rm_alloc_fail_at(0);
        if (result == RM_OK) {
            assert_context_is_whole(world, context);
            tls_context_unref(context);
        } else {
            // wolfSSL does not always say that it was memory.
            assert_true(result == RM_ERR_NO_MEMORY || result == RM_ERR_CRYPTO);
            assert_null(context);
        }
        if (!was_reached) {
            break;
        }
        assert_in_range(n, 1, MOST_ALLOCATIONS);
    }
    assert_in_range(n, 20, MOST_ALLOCATIONS);
}

static void identity_survives(void **state)
{
    const struct world *world = *state;
    for (uint64_t n = 1;; n++) {
        struct private_key *key = NULL;
        struct tls_identity *identity = NULL;
        struct chain chain =
            pki_chain(&world->authority, &(struct pki_recipe){.spiffe_id = WORLD_CLIENT_ID}, &key);
        rm_alloc_fail_at(n);
        enum rm_err result = tls_identity_new(&chain, key, &identity, NULL);
        bool was_reached = rm_alloc_count() >= n;
        rm_alloc_fail_at(0);
        assert_true(result == RM_OK || result == RM_ERR_NO_MEMORY);
        assert_int_equal(chain.count, 0);
        tls_identity_unref(identity);
        key_unref(key);
        if (!was_reached) {
            break;
        }
    }
}

// One handshake in which the n-th allocation after `armed_turn` loop turns fails; then bytes both
// ways as far as it got. Returns true when that many allocations were not made.
static bool try_handshake(const struct world *world, uint64_t n)
{
    struct pair pair = {.loop = loop_new("test")};
    struct stream *a = NULL;
    struct stream *b = NULL;
    struct tls_session_options client = {.tls = world->client, .sni = "a.td.test"};
    struct tls_session_options server = {.tls = world->server};
    static const char *const expected[] = {WORLD_SERVER_ID};
    client.expected_ids = expected;
    client.expected_count = 1;
    assert_int_equal(memory_stream_pair(pair.loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
    rm_alloc_fail_at(n);
    bool has_client = end_try_connect(&pair.client, a, &client);
    bool has_server = end_try_accept(&pair.server, b, &server);
    world_turns(pair.loop, 40);
    if (has_client && has_server && pair.client.result == RM_OK && pair.client.is_done) {
        size_t written = 0;
        assert_string_equal(stream_peer(pair.client.stream)->spiffe_id, WORLD_SERVER_ID);
        (void)!stream_write_bytes(pair.client.stream, "x", 1, &written);
        stream_want(pair.server.stream, STREAM_READ);
        world_turns(pair.loop, 20);
    }
    bool was_reached = rm_alloc_count() >= n;
    rm_alloc_fail_at(0);
    if (has_server && pair.server.is_done && pair.server.result == RM_OK) {
        assert_string_equal(stream_peer(pair.server.stream)->spiffe_id, WORLD_CLIENT_ID);
    }
    pair_deinit(&pair);
    return !was_reached;
}

static void handshake_survives(void **state)
{
    uint64_t n = 1;
    while (!try_handshake(*state, n)) {
        n++;
        assert_in_range(n, 1, MOST_ALLOCATIONS);
    }
    assert_in_range(n, 100, MOST_ALLOCATIONS);
    // Nothing was broken for those that follow.
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_OK);
    pair_deinit(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_survives),
        cmocka_unit_test(identity_survives),
        cmocka_unit_test(handshake_survives),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
