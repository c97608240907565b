// SPDX-License-Identifier: GPL-3.0-or-later
//
// A full mutual handshake ends with both identities proven, the facts filled, and the first bytes of
// both sides delivered.
#include "tls_fixture.h"

#include <string.h>

#include "crypto/crypto.h"

#define CLIENT_ID "spiffe://td.test/ns/a/sa/client"
#define SERVER_ID "spiffe://td.test/ns/a/sa/server"

struct state {
    struct pki_authority authority;
    struct tls_identity *client_identity;
    struct tls_identity *server_identity;
    struct trust_snapshot *trust;
    struct tls_context *client;
    struct tls_context *server;
};

static int setup(void **out)
{
    static struct state state;
    assert_int_equal(crypto_init(NULL), RM_OK);
    pki_authority_init(&state.authority, "td.test");
    state.client_identity =
        pki_identity(&state.authority, &(struct pki_recipe){.spiffe_id = CLIENT_ID});
    state.server_identity =
        pki_identity(&state.authority, &(struct pki_recipe){.spiffe_id = SERVER_ID});
    state.trust = pki_trust("td.test", &state.authority, NULL);
    state.client = pki_context(state.client_identity, state.trust);
    state.server = pki_context(state.server_identity, state.trust);
    *out = &state;
    return 0;
}

static int teardown(void **out)
{
    struct state *state = *out;
    tls_context_unref(state->client);
    tls_context_unref(state->server);
    tls_identity_unref(state->client_identity);
    tls_identity_unref(state->server_identity);
    trust_unref(state->trust);
    pki_authority_deinit(&state->authority);
    crypto_deinit();
    return 0;
}

static void both_ends_know_who_the_other_is(void **out)
{
    struct state *state = *out;
    struct pair pair;
    pair_init(&pair, state->client, state->server);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_OK);
    assert_string_equal(stream_peer(pair.client.stream)->spiffe_id, SERVER_ID);
    assert_string_equal(stream_peer(pair.server.stream)->spiffe_id, CLIENT_ID);
    assert_memory_equal(stream_peer(pair.client.stream)->anchor_key_id, state->authority.root_id,
                        KEY_ID_BYTES);
    pair_deinit(&pair);
}

static void facts_are_filled(void **out)
{
    struct state *state = *out;
    struct pair pair;
    struct tls_session_options options = {.tls = state->client, .sni = "abc.td.test"};
    pair_init_with(&pair, &options, state->server);
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
    assert_int_equal(tls_stream_failure(pair.client.stream)->fault, TLS_FAULT_NONE);
    pair_deinit(&pair);
}

static void bytes_pass_both_ways(void **out)
{
    struct state *state = *out;
    struct pair pair;
    char text[64];
    pair_init(&pair, state->client, state->server);
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
    return cmocka_run_group_tests(tests, setup, teardown);
}
