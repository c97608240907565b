// SPDX-License-Identifier: GPL-3.0-or-later
//
// The server name in the hello chooses which identity answers, with the roots and rules of that
// one, however the hello is cut into pieces.
#include "tls_fixture.h"

#include <string.h>

#define FIRST_NAME "first.td.test"
#define SECOND_NAME "second.other.test"
#define SECOND_ID "spiffe://other.test/ns/a/sa/second"

struct port {
    const struct world *world;
    struct pki_authority other;    // of other.test
    struct tls_identity *second;   // SECOND_ID
    struct trust_snapshot *others; // other.test alone
    struct tls_ticket_keys *keys;  // shared
    struct tls_context *sibling;   // answers SECOND_NAME
    struct tls_context *server;    // answers FIRST_NAME, and all else where that is allowed
    struct trust_snapshot *both;   // td.test and other.test
    struct tls_context *client;    // of td.test, trusts both
};

static struct tls_context *server_of(struct tls_identity *identity, struct trust_snapshot *trust,
                                     const char *name, bool is_strict, struct tls_context **sibling,
                                     struct tls_ticket_keys *keys)
{
    struct tls_spiffe_profile profile = pki_profile(identity, trust);
    struct tls_context *context = NULL;
    profile.is_sni_strict = is_strict;
    profile.own_names = &name;
    profile.own_name_count = 1;
    profile.siblings = sibling;
    profile.sibling_count = sibling != NULL ? 1 : 0;
    profile.ticket_keys = keys;
    assert_int_equal(tls_context_new_spiffe(&profile, &context, NULL), RM_OK);
    return context;
}

static struct port port_new(const struct world *world, bool is_strict)
{
    struct port port = {.world = world, .keys = tls_ticket_keys_new()};
    pki_authority_init(&port.other, "other.test");
    port.second = pki_identity(&port.other, &(struct pki_recipe){.spiffe_id = SECOND_ID});
    port.others = pki_trust("other.test", &port.other, NULL);
    port.both = pki_trust("other.test", &port.other, "td.test", &world->authority, NULL);
    port.sibling = server_of(port.second, port.both, SECOND_NAME, is_strict, NULL, port.keys);
    port.server = server_of(world->server_identity, world->trust, FIRST_NAME, is_strict,
                            &port.sibling, port.keys);
    struct tls_spiffe_profile profile = pki_profile(world->client_identity, port.both);
    profile.ticket_keys = port.keys;
    assert_int_equal(tls_context_new_spiffe(&profile, &port.client, NULL), RM_OK);
    return port;
}

static void port_free(struct port *port)
{
    tls_context_unref(port->client);
    tls_context_unref(port->server);
    tls_context_unref(port->sibling);
    tls_ticket_keys_unref(port->keys);
    tls_identity_unref(port->second);
    trust_unref(port->others);
    trust_unref(port->both);
    pki_authority_deinit(&port->other);
}

static struct tls_session_options asking_for(struct tls_context *client, const char *name)
{
    return (struct tls_session_options){
        .tls = client, .sni = name, .resume_key = "peer", .resume_key_length = 4};
}

static void assert_answers(const struct port *port, const char *name, const char *id)
{
    struct tls_session_options options = asking_for(port->client, name);
    struct pair pair;
    pair_init_with(&pair, &options, port->server);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_OK);
    assert_string_equal(stream_peer(pair.client.stream)->spiffe_id, id);
    assert_string_equal(tls_stream_facts(pair.server.stream)->local_id, id);
    assert_string_equal(tls_stream_facts(pair.server.stream)->sni, name == NULL ? "" : name);
    char text[16];
    end_write(&pair.server, "hello");
    assert_int_equal(end_read(&pair, &pair.client, text, sizeof(text)), RM_OK);
    pair_deinit(&pair);
}

static void name_chooses_the_identity(void **state)
{
    struct port port = port_new(*state, true);
    assert_answers(&port, FIRST_NAME, WORLD_SERVER_ID);
    assert_answers(&port, SECOND_NAME, SECOND_ID);
    assert_answers(&port, "SECOND.other.TEST", SECOND_ID);
    port_free(&port);
}

static void unknown_and_absent_names_are_refused_where_names_count(void **state)
{
    struct port port = port_new(*state, true);
    const struct {
        const char *name;
        const char *fault;
    } cases[] = {{"third.td.test", "sni_unknown"}, {NULL, "sni_missing"}};
    for (size_t i = 0; i < 2; i++) {
        struct tls_session_options options = asking_for(port.client, cases[i].name);
        struct pair pair;
        pair_init_with(&pair, &options, port.server);
        assert_string_equal(tls_failure_name(&pair.server.failure), cases[i].fault);
        pair_deinit(&pair);
    }
    port_free(&port);
}

static void unknown_and_absent_names_get_the_first_elsewhere(void **state)
{
    struct port port = port_new(*state, false);
    assert_answers(&port, "third.td.test", WORLD_SERVER_ID);
    assert_answers(&port, NULL, WORLD_SERVER_ID);
    assert_answers(&port, SECOND_NAME, SECOND_ID);
    port_free(&port);
}

// The first identity trusts td.test alone, the second both domains.
static void roots_are_those_of_the_chosen_identity(void **state)
{
    struct port port = port_new(*state, true);
    struct tls_identity *stranger = pki_identity(
        &port.other, &(struct pki_recipe){.spiffe_id = "spiffe://other.test/ns/a/sa/client"});
    struct tls_context *client = pki_context(stranger, port.both);
    struct tls_session_options options = asking_for(client, SECOND_NAME);
    struct pair pair;
    pair_init_with(&pair, &options, port.server);
    assert_int_equal(pair.server.result, RM_OK);
    pair_deinit(&pair);
    options.sni = FIRST_NAME;
    pair_init_with(&pair, &options, port.server);
    assert_string_equal(tls_failure_name(&pair.server.failure), "unknown_trust_domain");
    pair_deinit(&pair);
    tls_context_unref(client);
    tls_identity_unref(stranger);
    port_free(&port);
}

static void sessions_are_resumed_by_the_identity_that_gave_them(void **state)
{
    struct port port = port_new(*state, true);
    const char *const names[] = {FIRST_NAME, SECOND_NAME};
    for (size_t i = 0; i < 2; i++) {
        struct tls_session_options options = asking_for(port.client, names[i]);
        struct pair pair;
        assert_answers(&port, names[i], i == 0 ? WORLD_SERVER_ID : SECOND_ID);
        pair_init_with(&pair, &options, port.server);
        assert_true(tls_stream_facts(pair.server.stream)->is_resumed);
        assert_string_equal(tls_stream_facts(pair.server.stream)->local_id,
                            i == 0 ? WORLD_SERVER_ID : SECOND_ID);
        pair_deinit(&pair);
    }
    port_free(&port);
}

// A pipe of a few bytes: the hello arrives in hundreds of pieces.
static void hello_may_come_in_pieces(void **state)
{
    struct port port = port_new(*state, true);
    struct pair pair = {.loop = loop_new("test")};
    struct stream *a = NULL;
    struct stream *b = NULL;
    struct tls_session_options options = asking_for(port.client, SECOND_NAME);
    assert_int_equal(memory_stream_pair(pair.loop, 7, &a, &b), RM_OK);
    end_connect_with(&pair.client, a, &options);
    end_accept(&pair.server, b, port.server);
    world_until(pair.loop, pair_is_done, &pair);
    assert_int_equal(pair.server.result, RM_OK);
    assert_string_equal(tls_stream_facts(pair.server.stream)->local_id, SECOND_ID);
    pair_deinit(&pair);
    port_free(&port);
}

// What an end is sent that is no TLS client of ours.
static void send_raw(const struct port *port, const void *bytes, size_t length, bool is_ended,
                     struct pair *pair)
{
    struct stream *a = NULL;
    struct stream *b = NULL;
    size_t written = 0;
    *pair = (struct pair){.loop = loop_new("test")};
    assert_int_equal(memory_stream_pair(pair->loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
    end_accept(&pair->server, b, port->server);
    assert_int_equal(stream_write_bytes(a, bytes, length, &written), RM_OK);
    if (is_ended) {
        assert_int_equal(stream_finish(a), RM_OK);
        world_until(pair->loop, end_is_done, &pair->server);
    }
    world_turns(pair->loop, 20);
    pair->client.stream = a;
}

static void half_a_hello_holds_no_chunk(void **state)
{
    static const uint8_t start[] = {22, 3, 1, 0x10, 0, 1, 0, 0x0f, 0xfc, 3, 3};
    struct port port = port_new(*state, true);
    struct pair pair;
    send_raw(&port, start, sizeof(start), false, &pair);
    assert_false(pair.server.is_done);
    assert_int_equal(chunk_lent_count(pair.loop), 0);
    pair_deinit(&pair);
    port_free(&port);
}

static void what_is_no_hello_is_named(void **state)
{
    uint8_t huge[20000];
    struct port port = port_new(*state, true);
    struct pair pair;
    send_raw(&port, "GET / HTTP/1.1\r\n\r\n", 18, true, &pair);
    assert_string_equal(tls_failure_name(&pair.server.failure), "not_tls");
    pair_deinit(&pair);
    send_raw(&port, "\x16\x03\x01\x10", 4, true, &pair);
    assert_string_equal(tls_failure_name(&pair.server.failure), "closed");
    pair_deinit(&pair);
    // A record that says it is longer than records may be.
    memset(huge, 0, sizeof(huge));
    memcpy(huge, "\x16\x03\x01\xff\xff\x01\x00\xff\xfb\x03\x03", 11);
    send_raw(&port, huge, sizeof(huge), true, &pair);
    assert_int_not_equal(pair.server.result, RM_OK);
    pair_deinit(&pair);
    port_free(&port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_chooses_the_identity),
        cmocka_unit_test(unknown_and_absent_names_are_refused_where_names_count),
        cmocka_unit_test(unknown_and_absent_names_get_the_first_elsewhere),
        cmocka_unit_test(roots_are_those_of_the_chosen_identity),
        cmocka_unit_test(sessions_are_resumed_by_the_identity_that_gave_them),
        cmocka_unit_test(hello_may_come_in_pieces),
        cmocka_unit_test(half_a_hello_holds_no_chunk),
        cmocka_unit_test(what_is_no_hello_is_named),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
