// SPDX-License-Identifier: GPL-3.0-or-later
//
// A second connection resumes the first one's session, and both ends know the same peer as before.
// What changed meanwhile counts: dates, withdrawals, roots, our own identity, names, the keys' age.
#include "tls_fixture.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

#define PEER_NAME "10.0.0.1:15008"

static int64_t wall_offset_ms;
static uint64_t mono_offset_ns;

static int64_t shifted_wall_ms(void)
{
    struct timespec system_clock;
    clock_gettime(CLOCK_REALTIME, &system_clock);
    return (int64_t)system_clock.tv_sec * 1000 + system_clock.tv_nsec / 1000000 + wall_offset_ms;
}

static uint64_t shifted_mono_ns(void)
{
    struct timespec system_clock;
    clock_gettime(CLOCK_MONOTONIC, &system_clock);
    return (uint64_t)system_clock.tv_sec * 1000000000U + (uint64_t)system_clock.tv_nsec +
           mono_offset_ns;
}

// Two ends that resume. Contexts can be replaced between connections.
struct ends {
    const struct world *world;
    struct tls_ticket_keys *keys; // the server's process
    struct tls_context *client;
    struct tls_context *server;
};

static struct tls_context *resuming(struct tls_identity *identity, struct trust_snapshot *trust,
                                    struct tls_ticket_keys *keys)
{
    struct tls_spiffe_profile profile = pki_profile(identity, trust);
    struct tls_context *context = NULL;
    profile.ticket_keys = keys;
    assert_int_equal(tls_context_new_spiffe(&profile, &context, NULL), RM_OK);
    return context;
}

static struct ends ends_new(const struct world *world)
{
    struct ends ends = {.world = world, .keys = tls_ticket_keys_new()};
    assert_non_null(ends.keys);
    ends.client = resuming(world->client_identity, world->trust, ends.keys);
    ends.server = resuming(world->server_identity, world->trust, ends.keys);
    return ends;
}

static void ends_free(struct ends *ends)
{
    tls_context_unref(ends->client);
    tls_context_unref(ends->server);
    tls_ticket_keys_unref(ends->keys);
    wall_offset_ms = 0;
    mono_offset_ns = 0;
    clock_replace(NULL, NULL);
}

static void replace(struct tls_context **context, struct tls_context *by)
{
    tls_context_retire(*context);
    tls_context_unref(*context);
    *context = by;
}

static struct tls_session_options options_of(const struct ends *ends)
{
    static const char *const expected[] = {WORLD_SERVER_ID};
    return (struct tls_session_options){
        .tls = ends->client,
        .sni = "name.td.test",
        .expected_ids = expected,
        .expected_count = 1,
        .resume_key = PEER_NAME,
        .resume_key_length = strlen(PEER_NAME),
    };
}

// A connection that also delivers the ticket: it comes with the first bytes of the server.
static void connect_pair(const struct ends *ends, struct pair *pair,
                         const struct tls_session_options *options)
{
    char text[16];
    pair_init_with(pair, options, ends->server);
    assert_int_equal(pair->client.result, RM_OK);
    assert_int_equal(pair->server.result, RM_OK);
    end_write(&pair->server, "hello");
    assert_int_equal(end_read(pair, &pair->client, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "hello");
    assert_string_equal(stream_peer(pair->client.stream)->spiffe_id, WORLD_SERVER_ID);
    assert_string_equal(stream_peer(pair->server.stream)->spiffe_id, WORLD_CLIENT_ID);
}

// Connects once; what became of the ticket, as the server and as the client see it.
static enum tls_ticket_use connect_with(const struct ends *ends,
                                        const struct tls_session_options *options,
                                        enum tls_ticket_use *at_client)
{
    struct pair pair;
    connect_pair(ends, &pair, options);
    const struct tls_facts *server = tls_stream_facts(pair.server.stream);
    const struct tls_facts *client = tls_stream_facts(pair.client.stream);
    enum tls_ticket_use use = server->ticket;
    assert_int_equal(server->is_resumed, use == TLS_TICKET_RESUMED);
    assert_int_equal(client->is_resumed, server->is_resumed);
    assert_int_equal(stream_peer(pair.server.stream)->is_resumed, server->is_resumed);
    if (at_client != NULL) {
        *at_client = client->ticket;
    }
    pair_deinit(&pair);
    return use;
}

static enum tls_ticket_use connect_once(const struct ends *ends)
{
    struct tls_session_options options = options_of(ends);
    return connect_with(ends, &options, NULL);
}

static void second_connection_resumes(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    struct pair pair;
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    connect_pair(&ends, &pair, &options);
    const struct peer *peer = stream_peer(pair.server.stream);
    assert_int_equal(tls_stream_facts(pair.server.stream)->ticket, TLS_TICKET_RESUMED);
    assert_true(peer->is_resumed);
    assert_int_equal(peer->serial_length, ends.world->client_identity->serial_length);
    assert_memory_equal(peer->serial, ends.world->client_identity->serial, peer->serial_length);
    assert_int_equal(peer->not_after_s, ends.world->client_identity->not_after_s);
    assert_int_equal(peer->leaf_not_before_s, ends.world->client_identity->not_before_s);
    assert_memory_equal(peer->anchor_key_id, ends.world->authority.root_id, KEY_ID_BYTES);
    assert_string_equal(tls_stream_facts(pair.client.stream)->group, "X25519MLKEM768");
    pair_deinit(&pair);
    ends_free(&ends);
}

// wolfSSL fails the 257th of a chain after the client believes it is connected (wolfssl.md 0.3).
static void chain_of_resumptions_never_breaks(void **state)
{
    struct ends ends = ends_new(*state);
    unsigned int full = 0;
    for (int i = 0; i < 420; i++) {
        enum tls_ticket_use use = connect_once(&ends);
        assert_true(use == TLS_TICKET_RESUMED ||
                    use == (i == 0 ? TLS_TICKET_NONE : TLS_TICKET_WORN));
        full += use != TLS_TICKET_RESUMED;
    }
    assert_int_equal(full, 1 + 420 / (TLS_TICKET_MAX_GENERATION + 1));
    ends_free(&ends);
}

static void without_a_name_for_the_other_end_nothing_is_kept(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    options.resume_key = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(connect_with(&ends, &options, NULL), TLS_TICKET_NONE);
    }
    ends_free(&ends);
}

static void other_ends_have_their_own_sessions(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    options.resume_key = "10.0.0.2:15008";
    assert_int_equal(connect_with(&ends, &options, NULL), TLS_TICKET_NONE);
    options = options_of(&ends);
    options.sni = "other.td.test";
    assert_int_equal(connect_with(&ends, &options, NULL), TLS_TICKET_NONE);
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    ends_free(&ends);
}

// An end expected to be another one now: the session is not even offered.
static void expectation_is_judged_again(void **state)
{
    static const char *const other[] = {"spiffe://td.test/ns/a/sa/other"};
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    struct pair pair;
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    options.expected_ids = other;
    pair_init_with(&pair, &options, ends.server);
    assert_int_not_equal(pair.client.result, RM_OK);
    assert_string_equal(tls_failure_name(&pair.client.failure), "wrong_identity");
    pair_deinit(&pair);
    ends_free(&ends);
}

static void new_identity_or_bundle_of_the_client_starts_anew(void **state)
{
    struct ends ends = ends_new(*state);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    replace(&ends.client, resuming(ends.world->client_identity, ends.world->trust, ends.keys));
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    ends_free(&ends);
}

// A live connection of the replaced context still gets its ticket; it must not come back.
static void retired_context_keeps_nothing(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    struct pair pair;
    pair_init_with(&pair, &options, ends.server);
    tls_context_retire(ends.client);
    char text[16];
    end_write(&pair.server, "hello");
    assert_int_equal(end_read(&pair, &pair.client, text, sizeof(text)), RM_OK);
    pair_deinit(&pair);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    ends_free(&ends);
}

// The server's own renewal costs no client its session: keys are the process's.
static void new_certificate_of_the_server_cuts_nothing(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_identity *renewed =
        pki_identity(&ends.world->authority, &(struct pki_recipe){.spiffe_id = WORLD_SERVER_ID});
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    replace(&ends.server, resuming(renewed, ends.world->trust, ends.keys));
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    tls_identity_unref(renewed);
    ends_free(&ends);
}

// A ticket belongs to the identity that gave it: a process that changes its own must prove it.
static void other_identity_of_the_server_is_proven_anew(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_identity *other =
        pki_identity(&ends.world->authority,
                     &(struct pki_recipe){.spiffe_id = "spiffe://td.test/ns/a/sa/other"});
    struct tls_session_options options = options_of(&ends);
    struct pair pair;
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    replace(&ends.server, resuming(other, ends.world->trust, ends.keys));
    pair_init_with(&pair, &options, ends.server);
    assert_int_not_equal(pair.client.result, RM_OK);
    assert_string_equal(tls_failure_name(&pair.client.failure), "wrong_identity");
    pair_deinit(&pair);
    tls_identity_unref(other);
    ends_free(&ends);
}

static void other_process_makes_a_full_handshake(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_ticket_keys *others = tls_ticket_keys_new();
    enum tls_ticket_use at_client = TLS_TICKET_NONE;
    struct tls_session_options options = options_of(&ends);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    replace(&ends.server, resuming(ends.world->server_identity, ends.world->trust, others));
    assert_int_equal(connect_with(&ends, &options, &at_client), TLS_TICKET_UNREADABLE);
    assert_int_equal(at_client, TLS_TICKET_DECLINED);
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    tls_ticket_keys_unref(others);
    ends_free(&ends);
}

// The key before the current one still opens; the one before that is gone.
static void keys_change_and_the_last_one_still_opens(void **state)
{
    struct ends ends = ends_new(*state);
    const uint64_t period_ns = (uint64_t)TLS_TICKET_PERIOD_S * 1000000000U;
    clock_replace(shifted_mono_ns, NULL);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    mono_offset_ns = period_ns;
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED); // and gets one under the new key
    mono_offset_ns = 2 * period_ns + 1000000U;
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    mono_offset_ns = 4 * period_ns + 2000000U;
    assert_int_equal(connect_once(&ends), TLS_TICKET_UNREADABLE);
    ends_free(&ends);
}

// --- What ends trust ends resumption -------------------------------------------------------------

// The client still trusts its session; the server's verdict on the ticket says no, and the full
// handshake that follows is refused by name.
static void assert_refused(const struct ends *ends, const char *name)
{
    struct tls_session_options options = options_of(ends);
    struct pair pair;
    pair_init_with(&pair, &options, ends->server);
    assert_int_not_equal(pair.server.result, RM_OK);
    assert_string_equal(tls_failure_name(&pair.server.failure), name);
    assert_null(stream_peer(pair.server.stream));
    pair_deinit(&pair);
}

static struct trust_snapshot *trust_without(const struct world *world,
                                            enum trust_withdrawal_kind kind, const void *key,
                                            size_t length, int64_t before_s)
{
    struct trust_builder *builder = trust_builder_new();
    assert_int_equal(trust_builder_add_root(builder, "td.test", world->authority.root,
                                            world->authority.root_length, world->authority.root_id),
                     RM_OK);
    assert_int_equal(trust_builder_withdraw(builder, kind, key, length, before_s), RM_OK);
    return trust_builder_finish(builder);
}

static void withdrawals_count_at_the_server(void **state)
{
    const struct world *world = *state;
    const struct {
        enum trust_withdrawal_kind kind;
        const void *key;
        size_t length;
        int64_t before_s;
        const char *name;
    } cases[] = {
        {TRUST_REVOKED_LINEAGE, world->client_identity->serial, LINEAGE_BYTES, 0,
         "certificate_revoked"},
        {TRUST_LAPSED_LINEAGE, world->client_identity->serial, LINEAGE_BYTES, 0, "lineage_lapsed"},
        {TRUST_REVOKED_IDENTITY, WORLD_CLIENT_ID, strlen(WORLD_CLIENT_ID),
         world->client_identity->not_before_s + 1, "certificate_revoked"},
        {TRUST_REVOKED_ISSUER, world->authority.root_id, KEY_ID_BYTES, 0, "certificate_revoked"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ends ends = ends_new(world);
        struct trust_snapshot *trust =
            trust_without(world, cases[i].kind, cases[i].key, cases[i].length, cases[i].before_s);
        assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
        assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
        tls_context_set_trust(ends.server, trust);
        assert_refused(&ends, cases[i].name);
        trust_unref(trust);
        ends_free(&ends);
    }
}

static void withdrawals_count_at_the_client(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    struct trust_snapshot *trust = trust_without(
        ends.world, TRUST_REVOKED_LINEAGE, ends.world->server_identity->serial, LINEAGE_BYTES, 0);
    struct pair pair;
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    tls_context_set_trust(ends.client, trust);
    pair_init_with(&pair, &options, ends.server);
    assert_int_not_equal(pair.client.result, RM_OK);
    assert_string_equal(tls_failure_name(&pair.client.failure), "certificate_revoked");
    pair_deinit(&pair);
    trust_unref(trust);
    ends_free(&ends);
}

static void removed_root_counts(void **state)
{
    struct ends ends = ends_new(*state);
    struct pki_authority other;
    pki_authority_init(&other, "td.test");
    struct trust_snapshot *trust = pki_trust("td.test", &other, NULL);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    replace(&ends.server, resuming(ends.world->server_identity, trust, ends.keys));
    assert_refused(&ends, "unknown_issuer");
    trust_unref(trust);
    pki_authority_deinit(&other);
    ends_free(&ends);
}

// Neither a client's certificate nor a server's is resumed past its end.
static void expiry_counts_at_both_ends(void **state)
{
    const struct world *world = *state;
    const struct pki_recipe brief = {.spiffe_id = WORLD_CLIENT_ID,
                                     .not_after_s = clock_wall_s() + 120};
    struct tls_identity *client = pki_identity(&world->authority, &brief);
    struct ends ends = ends_new(world);
    clock_replace(NULL, shifted_wall_ms);
    replace(&ends.client, resuming(client, world->trust, ends.keys));
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    wall_offset_ms = 130 * 1000;
    assert_refused(&ends, "certificate_expired");
    wall_offset_ms = 0;
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    tls_identity_unref(client);
    ends_free(&ends);
}

static void expired_server_is_not_resumed(void **state)
{
    const struct world *world = *state;
    const struct pki_recipe brief = {.spiffe_id = WORLD_SERVER_ID,
                                     .not_after_s = clock_wall_s() + 120};
    struct tls_identity *server = pki_identity(&world->authority, &brief);
    struct ends ends = ends_new(world);
    struct tls_session_options options = options_of(&ends);
    enum tls_ticket_use at_client = TLS_TICKET_NONE;
    clock_replace(NULL, shifted_wall_ms);
    replace(&ends.server, resuming(server, world->trust, ends.keys));
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    wall_offset_ms = 130 * 1000;
    replace(&ends.server, resuming(world->server_identity, world->trust, ends.keys));
    assert_int_equal(connect_with(&ends, &options, &at_client), TLS_TICKET_NONE);
    assert_int_equal(at_client, TLS_TICKET_DENIED);
    tls_identity_unref(server);
    ends_free(&ends);
}

// --- Names ---------------------------------------------------------------------------------------

static void other_alpn_makes_a_full_handshake(void **state)
{
    static const char *const both[] = {"remora/1", "h2"};
    static const char *const second[] = {"h2"};
    struct ends ends = ends_new(*state);
    struct tls_spiffe_profile profile = pki_profile(ends.world->server_identity, ends.world->trust);
    struct tls_context *server = NULL;
    struct tls_session_options options = options_of(&ends);
    profile.alpn = both;
    profile.alpn_count = 2;
    profile.ticket_keys = ends.keys;
    assert_int_equal(tls_context_new_spiffe(&profile, &server, NULL), RM_OK);
    replace(&ends.server, server);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    options.alpn = second;
    options.alpn_count = 1;
    assert_int_equal(connect_with(&ends, &options, NULL), TLS_TICKET_UNREADABLE);
    ends_free(&ends);
}

// A ticket of one profile (the edge, without rules for names) is nothing under another.
static void other_profile_makes_a_full_handshake(void **state)
{
    static const char *const own_names[] = {"name.td.test"};
    struct ends ends = ends_new(*state);
    struct tls_spiffe_profile profile = pki_profile(ends.world->server_identity, ends.world->trust);
    struct tls_context *strict = NULL;
    profile.is_sni_strict = true;
    profile.own_names = own_names;
    profile.own_name_count = 1;
    profile.ticket_keys = ends.keys;
    assert_int_equal(tls_context_new_spiffe(&profile, &strict, NULL), RM_OK);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    replace(&ends.server, strict);
    assert_int_equal(connect_once(&ends), TLS_TICKET_UNREADABLE);
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    ends_free(&ends);
}

// What does not fit into a ticket gets none; the connection is none the worse.
static void identity_that_does_not_fit_gets_no_ticket(void **state)
{
    const struct world *world = *state;
    char id[256] = "spiffe://td.test/ns/";
    memset(id + strlen(id), 'n', 170);
    struct tls_identity *client =
        pki_identity(&world->authority, &(struct pki_recipe){.spiffe_id = id});
    struct ends ends = ends_new(world);
    struct tls_session_options options = options_of(&ends);
    replace(&ends.client, resuming(client, world->trust, ends.keys));
    options.tls = ends.client;
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        pair_init_with(&pair, &options, ends.server);
        assert_int_equal(pair.server.result, RM_OK);
        assert_string_equal(stream_peer(pair.server.stream)->spiffe_id, id);
        assert_int_equal(tls_stream_facts(pair.server.stream)->ticket, TLS_TICKET_NONE);
        end_write(&pair.server, "hello");
        char text[16];
        assert_int_equal(end_read(&pair, &pair.client, text, sizeof(text)), RM_OK);
        pair_deinit(&pair);
    }
    tls_identity_unref(client);
    ends_free(&ends);
}

// --- Several at once -----------------------------------------------------------------------------

#define CROWD 6

struct crowd {
    struct end clients[CROWD];
    struct end servers[CROWD];
};

static bool crowd_is_done(void *context)
{
    struct crowd *crowd = context;
    for (size_t i = 0; i < CROWD; i++) {
        if (!crowd->clients[i].is_done || !crowd->servers[i].is_done) {
            return false;
        }
    }
    return true;
}

// Connections that start from one ticket at the same time do not spoil each other's, nor the next.
static void one_ticket_serves_several_at_once(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    struct crowd crowd = {0};
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    struct loop *loop = loop_new("test");
    for (size_t i = 0; i < CROWD; i++) {
        struct stream *a = NULL;
        struct stream *b = NULL;
        assert_int_equal(memory_stream_pair(loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
        end_connect_with(&crowd.clients[i], a, &options);
        end_accept(&crowd.servers[i], b, ends.server);
    }
    world_until(loop, crowd_is_done, &crowd);
    struct pair pair = {.loop = loop};
    for (size_t i = 0; i < CROWD; i++) {
        char text[16];
        assert_int_equal(crowd.servers[i].result, RM_OK);
        assert_true(tls_stream_facts(crowd.servers[i].stream)->is_resumed);
        end_write(&crowd.servers[i], "hello");
        assert_int_equal(end_read(&pair, &crowd.clients[i], text, sizeof(text)), RM_OK);
        assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    }
    for (size_t i = 0; i < CROWD; i++) {
        end_close(&crowd.clients[i], STREAM_CLOSE_ABORT);
        end_close(&crowd.servers[i], STREAM_CLOSE_ABORT);
    }
    world_end(loop);
    ends_free(&ends);
}

// The oldest is forgotten first, and the number is bounded.
static void sessions_kept_are_bounded(void **state)
{
    struct ends ends = ends_new(*state);
    struct tls_session_options options = options_of(&ends);
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    for (uint32_t i = 0; i < TLS_RESUME_MAX_PEERS; i++) {
        // A name is remembered when it is dialled, whether a ticket comes or not.
        struct end end = {0};
        struct stream *a = NULL;
        struct stream *b = NULL;
        struct loop *loop = loop_new("test");
        assert_int_equal(memory_stream_pair(loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
        options.resume_key = &i;
        options.resume_key_length = sizeof(i);
        end_connect_with(&end, a, &options);
        end_close(&end, STREAM_CLOSE_ABORT);
        stream_close(b, STREAM_CLOSE_ABORT, NULL, NULL);
        world_end(loop);
    }
    assert_int_equal(connect_once(&ends), TLS_TICKET_NONE);
    assert_int_equal(connect_once(&ends), TLS_TICKET_RESUMED);
    ends_free(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_connection_resumes),
        cmocka_unit_test(chain_of_resumptions_never_breaks),
        cmocka_unit_test(without_a_name_for_the_other_end_nothing_is_kept),
        cmocka_unit_test(other_ends_have_their_own_sessions),
        cmocka_unit_test(expectation_is_judged_again),
        cmocka_unit_test(new_identity_or_bundle_of_the_client_starts_anew),
        cmocka_unit_test(retired_context_keeps_nothing),
        cmocka_unit_test(new_certificate_of_the_server_cuts_nothing),
        cmocka_unit_test(other_identity_of_the_server_is_proven_anew),
        cmocka_unit_test(other_process_makes_a_full_handshake),
        cmocka_unit_test(keys_change_and_the_last_one_still_opens),
        cmocka_unit_test(withdrawals_count_at_the_server),
        cmocka_unit_test(withdrawals_count_at_the_client),
        cmocka_unit_test(removed_root_counts),
        cmocka_unit_test(expiry_counts_at_both_ends),
        cmocka_unit_test(expired_server_is_not_resumed),
        cmocka_unit_test(other_alpn_makes_a_full_handshake),
        cmocka_unit_test(other_profile_makes_a_full_handshake),
        cmocka_unit_test(identity_that_does_not_fit_gets_no_ticket),
        cmocka_unit_test(one_ticket_serves_several_at_once),
        cmocka_unit_test(sessions_kept_are_bounded),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
