// SPDX-License-Identifier: GPL-3.0-or-later
//
// ALPN that is missing or does not overlap, and SNI that is missing or not ours, end the handshake
// with a name of their own at the judging end; the library alone would let some of them pass.
#include "tls_fixture.h"

#include <string.h>

#define OUR_NAME "abcdefghijklmnopqrstuvwxyz.td.test"

static struct tls_context *strict_server(const struct world *world)
{
    static const char *const names[] = {"zyx.td.test", OUR_NAME};
    struct tls_spiffe_profile profile = pki_profile(world->server_identity, world->trust);
    struct tls_context *context = NULL;
    profile.is_sni_strict = true;
    profile.own_names = names;
    profile.own_name_count = 2;
    assert_int_equal(tls_context_new_spiffe(&profile, &context, NULL), RM_OK);
    return context;
}

static void assert_hello(const struct world *world, const char *sni, const char *alpn,
                         const char *fault, uint8_t alert)
{
    const char *const offered[] = {alpn};
    struct tls_session_options options = {
        .tls = world->client, .sni = sni, .alpn = offered, .alpn_count = 1};
    struct tls_context *server = strict_server(world);
    struct pair pair;
    pair_init_with(&pair, &options, server);
    assert_string_equal(tls_failure_name(&pair.server.failure), fault);
    if (alert == 0) {
        assert_int_equal(pair.server.result, RM_OK);
    } else {
        assert_int_equal(pair.server.result, RM_ERR_TLS);
        assert_int_equal(pair.server.failure.alert_sent, alert);
        assert_int_equal(pair.client.result, RM_ERR_REFUSED_BY_PEER);
        assert_int_equal(pair.client.failure.alert_received, alert);
    }
    pair_deinit(&pair);
    tls_context_unref(server);
}

static void our_names_pass(void **state)
{
    assert_hello(*state, OUR_NAME, "remora/1", "ok", 0);
    assert_hello(*state, "ABCdefghijklmnopqrstuvwxyz.TD.test", "remora/1", "ok", 0);
    assert_hello(*state, "zyx.td.test", "remora/1", "ok", 0);
}

static void missing_sni_is_refused(void **state)
{
    assert_hello(*state, NULL, "remora/1", "sni_missing", 109);
}

static void unknown_sni_is_refused(void **state)
{
    assert_hello(*state, "abcdefghijklmnopqrstuvwxyz.td.tes", "remora/1", "sni_unknown", 112);
    assert_hello(*state, "td.test", "remora/1", "sni_unknown", 112);
}

static void other_alpn_is_refused(void **state)
{
    assert_hello(*state, OUR_NAME, "http/1.1", "alpn_mismatch", 120);
    assert_hello(*state, OUR_NAME, "remora/12", "alpn_mismatch", 120);
}

static void mismatch_says_wanted_and_found(void **state)
{
    const struct world *world = *state;
    static const char *const offered[] = {"http/1.1", "h2"};
    struct tls_session_options options = {.tls = world->client, .alpn = offered, .alpn_count = 2};
    struct pair pair;
    pair_init_with(&pair, &options, world->server);
    assert_string_equal(pair.server.failure.detail, "wanted remora/1, found http/1.1,h2");
    pair_deinit(&pair);
}

static void one_of_several_is_chosen(void **state)
{
    const struct world *world = *state;
    static const char *const accepted[] = {"h2", "remora/1"};
    static const char *const offered[] = {"http/1.1", "remora/1"};
    struct tls_spiffe_profile profile = pki_profile(world->server_identity, world->trust);
    struct tls_session_options options = {.tls = world->client, .alpn = offered, .alpn_count = 2};
    struct tls_context *server = NULL;
    struct pair pair;
    profile.alpn = accepted;
    profile.alpn_count = 2;
    assert_int_equal(tls_context_new_spiffe(&profile, &server, NULL), RM_OK);
    pair_init_with(&pair, &options, server);
    assert_int_equal(pair.server.result, RM_OK);
    assert_string_equal(tls_stream_facts(pair.server.stream)->alpn, "remora/1");
    assert_string_equal(tls_stream_facts(pair.client.stream)->alpn, "remora/1");
    pair_deinit(&pair);
    tls_context_unref(server);
}

// An edge listener: whatever programs offer is ignored.
static void profile_without_alpn_ignores_offers(void **state)
{
    const struct world *world = *state;
    struct tls_spiffe_profile profile = pki_profile(world->server_identity, world->trust);
    struct tls_context *server = NULL;
    struct tls_context *client = NULL;
    struct pair pair;
    profile.alpn_count = 0;
    assert_int_equal(tls_context_new_spiffe(&profile, &server, NULL), RM_ERR_CONFIG);
    profile.is_alpn_required = false;
    assert_int_equal(tls_context_new_spiffe(&profile, &server, NULL), RM_OK);
    profile = pki_profile(world->client_identity, world->trust);
    profile.is_alpn_required = false;
    assert_int_equal(tls_context_new_spiffe(&profile, &client, NULL), RM_OK);
    pair_init(&pair, client, server);
    assert_int_equal(pair.server.result, RM_OK);
    assert_int_equal(pair.client.result, RM_OK);
    assert_string_equal(tls_stream_facts(pair.server.stream)->alpn, "");
    pair_deinit(&pair);
    pair_init(&pair, world->client, server); // this one requires an answer
    assert_string_equal(tls_failure_name(&pair.client.failure), "alpn_missing");
    pair_deinit(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_names_pass),
        cmocka_unit_test(missing_sni_is_refused),
        cmocka_unit_test(unknown_sni_is_refused),
        cmocka_unit_test(other_alpn_is_refused),
        cmocka_unit_test(mismatch_says_wanted_and_found),
        cmocka_unit_test(one_of_several_is_chosen),
        cmocka_unit_test(profile_without_alpn_ignores_offers),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
