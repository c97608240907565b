// SPDX-License-Identifier: GPL-3.0-or-later
//
// A full mutual handshake ends with both identities proven, the facts filled, and the first bytes
// of both sides delivered.
#include "tls_fixture.h"

#include <string.h>

static void both_ends_know_who_the_other_is(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_OK);
    assert_string_equal(stream_peer(pair.client.stream)->spiffe_id, WORLD_SERVER_ID);
    assert_string_equal(stream_peer(pair.server.stream)->spiffe_id, WORLD_CLIENT_ID);
    assert_memory_equal(stream_peer(pair.client.stream)->anchor_key_id, world->authority.root_id,
                        KEY_ID_BYTES);
    pair_deinit(&pair);
}

static void facts_are_filled(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    struct tls_session_options options = {.tls = world->client, .sni = "abc.td.test"};
    pair_init_with(&pair, &options, world->server);
    assert_int_equal(pair.server.result, RM_OK);
    const struct tls_facts *client = tls_stream_facts(pair.client.stream);
    const struct tls_facts *server = tls_stream_facts(pair.server.stream);
    assert_string_equal(client->version, "TLSv1.3");
    assert_string_equal(client->suite, server->suite);
    assert_non_null(strstr(client->suite, "TLS_"));
    assert_string_equal(client->group, "X25519MLKEM768");
    assert_string_equal(server->group, "X25519MLKEM768");
    assert_string_equal(client->alpn, "remora/1");
    assert_string_equal(server->alpn, "remora/1");
    assert_string_equal(client->sni, "abc.td.test");
    assert_string_equal(server->sni, "abc.td.test");
    assert_false(client->is_resumed);
    assert_false(client->is_server);
    assert_true(server->is_server);
    assert_int_equal(tls_stream_failure(pair.client.stream)->fault, FAULT_OK);
    pair_deinit(&pair);
}

static void bytes_pass_both_ways(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    char text[64];
    pair_init(&pair, world->client, world->server);
    end_write(&pair.client, "from the client");
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "from the client");
    end_write(&pair.server, "from the server");
    assert_int_equal(end_read(&pair, &pair.client, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "from the server");
    pair_deinit(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_know_who_the_other_is),
        cmocka_unit_test(facts_are_filled),
        cmocka_unit_test(bytes_pass_both_ways),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
