// SPDX-License-Identifier: GPL-3.0-or-later
//
// wolfSSL keeps a peer's valid intermediate in the context for good (wolfssl.md 0.1). A peer that
// sends only its leaf must fail after a good peer exactly as before it, also while both are in
// handshake.
#include "tls_fixture.h"

#include <string.h>

#include "base/clock.h"

static struct tls_context *lone_leaf(const struct world *world, const char *id)
{
    struct pki_recipe recipe = {.spiffe_id = id, .leaves_out_middle = true};
    struct tls_identity *identity = pki_identity(&world->authority, &recipe);
    struct tls_context *context = pki_context(identity, world->trust);
    tls_identity_unref(identity);
    return context;
}

static void server_forgets(void **state)
{
    const struct world *world = *state;
    struct tls_context *lone = lone_leaf(world, WORLD_CLIENT_ID);
    struct pair pair;
    for (int i = 0; i < 3; i++) {
        pair_init(&pair, world->client, world->server);
        assert_int_equal(pair.server.result, RM_OK);
        pair_deinit(&pair);
        pair_init(&pair, lone, world->server);
        assert_int_equal(pair.server.result, RM_ERR_UNTRUSTED);
        assert_string_equal(tls_failure_name(&pair.server.failure), "missing_intermediate");
        pair_deinit(&pair);
    }
    tls_context_unref(lone);
}

static void client_forgets(void **state)
{
    const struct world *world = *state;
    struct tls_context *lone = lone_leaf(world, WORLD_SERVER_ID);
    struct pair pair;
    for (int i = 0; i < 3; i++) {
        pair_init(&pair, world->client, world->server);
        assert_int_equal(pair.client.result, RM_OK);
        pair_deinit(&pair);
        pair_init(&pair, world->client, lone);
        assert_int_equal(pair.client.result, RM_ERR_UNTRUSTED);
        assert_string_equal(tls_failure_name(&pair.client.failure), "missing_intermediate");
        pair_deinit(&pair);
    }
    tls_context_unref(lone);
}

struct crowd {
    struct end clients[8];
    struct end servers[8];
};

static bool crowd_is_done(void *context)
{
    struct crowd *crowd = context;
    for (size_t i = 0; i < 8; i++) {
        if (!crowd->servers[i].is_done || !crowd->clients[i].is_done) {
            return false;
        }
    }
    return true;
}

// Good peers and lone leaves take turns on one context, flight by flight.
static void interleaved_handshakes_do_not_mix(void **state)
{
    const struct world *world = *state;
    struct tls_context *lone = lone_leaf(world, WORLD_CLIENT_ID);
    struct loop *loop = loop_new("test");
    struct crowd crowd = {0};
    for (size_t i = 0; i < 8; i++) {
        struct stream *a = NULL;
        struct stream *b = NULL;
        assert_int_equal(memory_stream_pair(loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
        end_connect(&crowd.clients[i], a, i % 2 == 0 ? world->client : lone);
        end_accept(&crowd.servers[i], b, world->server);
    }
    world_until(loop, crowd_is_done, &crowd);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(crowd.servers[i].result, i % 2 == 0 ? RM_OK : RM_ERR_UNTRUSTED);
        end_close(&crowd.clients[i], STREAM_CLOSE_ABORT);
        end_close(&crowd.servers[i], STREAM_CLOSE_ABORT);
    }
    world_end(loop);
    tls_context_unref(lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_forgets),
        cmocka_unit_test(client_forgets),
        cmocka_unit_test(interleaved_handshakes_do_not_mix),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
