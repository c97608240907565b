// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where a client may come without a certificate (the control-plane port), it has no peer; one that
// shows a certificate is judged as strictly as anywhere.
#include "tls_fixture.h"

#include <string.h>

#include "base/clock.h"

static struct tls_context *open_server(const struct world *world)
{
    struct tls_spiffe_profile profile = pki_profile(world->server_identity, world->trust);
    struct tls_context *context = NULL;
    profile.is_client_certificate_required = false;
    assert_int_equal(tls_context_new_spiffe(&profile, &context, NULL), RM_OK);
    return context;
}

static void client_without_certificate_has_no_peer(void **state)
{
    const struct world *world = *state;
    struct tls_context *server = open_server(world);
    struct tls_context *nobody = pki_context(NULL, world->trust);
    struct pair pair;
    char text[16];
    pair_init(&pair, nobody, server);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_OK);
    assert_null(stream_peer(pair.server.stream));
    assert_string_equal(stream_peer(pair.client.stream)->spiffe_id, WORLD_SERVER_ID);
    end_write(&pair.client, "token");
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_OK);
    pair_deinit(&pair);
    tls_context_unref(server);
    tls_context_unref(nobody);
}

static void client_with_certificate_is_known(void **state)
{
    const struct world *world = *state;
    struct tls_context *server = open_server(world);
    struct pair pair;
    pair_init(&pair, world->client, server);
    assert_int_equal(pair.server.result, RM_OK);
    assert_string_equal(stream_peer(pair.server.stream)->spiffe_id, WORLD_CLIENT_ID);
    pair_deinit(&pair);
    tls_context_unref(server);
}

static void bad_certificate_is_not_nobody(void **state)
{
    const struct world *world = *state;
    struct pki_recipe recipe = {.spiffe_id = WORLD_CLIENT_ID,
                                .not_before_s = clock_wall_s() - 7200,
                                .not_after_s = clock_wall_s() - 3600};
    struct tls_identity *identity = pki_identity(&world->authority, &recipe);
    struct tls_context *client = pki_context(identity, world->trust);
    struct tls_context *server = open_server(world);
    struct pair pair;
    pair_init(&pair, client, server);
    assert_int_equal(pair.server.result, RM_ERR_EXPIRED);
    assert_null(stream_peer(pair.server.stream));
    pair_deinit(&pair);
    tls_context_unref(server);
    tls_context_unref(client);
    tls_identity_unref(identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_without_certificate_has_no_peer),
        cmocka_unit_test(client_with_certificate_is_known),
        cmocka_unit_test(bad_certificate_is_not_nobody),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
