// SPDX-License-Identifier: GPL-3.0-or-later
//
// A diagnosis of an address says what answers there and what is wrong with it, wanted and found.
#include "diagnosed.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"

// A server that is no sidecar: TLS with this context, or these bytes, or nothing at all.
struct server {
    struct tunnel_world *world;  // borrowed
    struct listener *listener;   // owned
    struct tls_context *tls;     // owned reference; NULL: none
    const char *says;            // in plain text; NULL: nothing
    struct stream *streams[16];  // one of each connection; NULL once closed
    struct server_end *ends[16]; // the same order
    size_t count;
    char address[64];
};
struct server_end {
    struct server *server;
    size_t index;
};

static void server_close(struct server *server, size_t index)
{
    if (server->streams[index] != NULL) {
        stream_close(server->streams[index], STREAM_CLOSE_ORDERLY, NULL, NULL);
        server->streams[index] = NULL;
    }
}

// Ends when it was asked to.
static void server_on_event(void *context, unsigned events)
{
    struct server_end *end = context;
    uint8_t bytes[4096];
    size_t length = 0;
    (void)events;
    enum rm_err result =
        stream_read(end->server->streams[end->index], bytes, sizeof(bytes), &length);
    if (result != RM_OK && result != RM_ERR_WOULD_BLOCK) {
        server_close(end->server, end->index);
    }
}

static void server_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct server_end *end = context;
    (void)failure;
    if (result != RM_OK) {
        server_close(end->server, end->index);
        return;
    }
    stream_own(end->server->streams[end->index], server_on_event, end);
    stream_want(end->server->streams[end->index], STREAM_READ);
}

static void server_on_accept(void *context, struct stream *stream)
{
    struct server *server = context;
    struct server_end *end = calloc(1, sizeof(*end));
    assert_non_null(end);
    assert_true(server->count < 16);
    end->server = server;
    end->index = server->count++;
    server->ends[end->index] = end;
    if (server->tls != NULL) {
        struct tls_session_options options = {.tls = server->tls};
        assert_int_equal(
            tls_accept(stream, &options, server_on_ready, end, &server->streams[end->index]),
            RM_OK);
        return;
    }
    server->streams[end->index] = stream;
    stream_own(stream, server_on_event, end);
    stream_want(stream, STREAM_READ);
    size_t written = 0;
    if (server->says != NULL) {
        assert_int_equal(stream_write_bytes(stream, server->says, strlen(server->says), &written),
                         RM_OK);
        server_close(server, end->index);
    }
}

static void server_start(struct server *server, struct tunnel_world *world)
{
    struct listener_options options = {.unix_uid = -1, .unix_gid = -1};
    char text[STREAM_ADDRESS_TEXT_BYTES];
    server->world = world;
    assert_int_equal(socket_address_parse("127.0.0.1:0", &options.address, NULL), RM_OK);
    assert_int_equal(
        listener_open(world->loop, &options, server_on_accept, server, &server->listener, NULL),
        RM_OK);
    stream_address_text(listener_address(server->listener), text);
    (void)snprintf(server->address, sizeof(server->address), "%.60s", text);
}

static void server_stop(struct server *server)
{
    listener_close(server->listener, false);
    for (size_t i = 0; i < server->count; i++) {
        server_close(server, i);
        free(server->ends[i]);
    }
    tls_context_unref(server->tls);
}

// Looks at a server with a certificate of this recipe under this authority.
static void look_at(struct tunnel_world *world, const struct pki_authority *authority,
                    const struct pki_recipe *recipe, struct diagnosed *diagnosed)
{
    struct server server = {0};
    struct tls_identity *identity = pki_identity(authority, recipe);
    server.tls = pki_context(identity, world->trust);
    server_start(&server, world);
    diagnosed_init(diagnosed, world);
    diagnosed_run(diagnosed, &(struct diagnose_request){.target = server.address});
    diagnosed_deinit(diagnosed);
    server_stop(&server);
    tls_identity_unref(identity);
}

static struct diagnosed seen;

static void good_tunnel_port_is_well(void **state)
{
    struct tunnel_world *world = *state;
    diagnosed_init(&seen, world);
    diagnosed_run(
        &seen, &(struct diagnose_request){.target = world->tunnel_address, .expected = SERVER_ID});
    diagnosed_deinit(&seen);
    assert_true(seen.is_well);
    assert_string_equal(fact_of(&seen, "handshake", "version"), "TLSv1.3");
    assert_string_equal(fact_of(&seen, "handshake", "group"), "X25519MLKEM768");
    assert_string_equal(fact_of(&seen, "handshake", "alpn"), "remora/1");
    assert_string_equal(fact_of(&seen, "certificate", "key"), "P-256");
    assert_string_equal(fact_of(&seen, "certificate", "signature"), "ecdsa-with-SHA256");
    assert_string_equal(fact_of(&seen, "certificate", "spiffe_id"), SERVER_ID);
    assert_string_equal(fact_of(&seen, "chain", "trust_domain"), "td.test");
    assert_string_equal(fact_of(&seen, "names", "found"), SERVER_ID);
    assert_string_equal(fact_of(&seen, "client_certificate", "wanted"), "true");
    assert_string_equal(fact_of(&seen, "client_certificate", "ours"), "not refused");
    assert_string_equal(fact_of(&seen, "client_certificate", "none"),
                        "refused: certificate_required");
    assert_non_null(strstr(fact_of(&seen, "sni", "without"), "refused: "));
    assert_string_equal(fact_of(&seen, "alpn", "remora_1"), "chosen");
    assert_string_equal(fact_of(&seen, "alpn", "h2"), "refused: no_application_protocol");
    assert_string_equal(fact_of(&seen, "alpn", "none"), "refused: no_application_protocol");
}

static void tunnel_port_wants_a_name(void **state)
{
    struct tunnel_world *world = *state;
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.target = world->tunnel_address});
    diagnosed_deinit(&seen);
    assert_found(&seen, FAULT_SNI_WANTED, DIAGNOSE_ERROR, "missing_extension");
    assert_false(seen.is_well);
}

// Whom to expect at an address, the view knows.
static void endpoint_of_the_view_is_recognised(void **state)
{
    struct tunnel_world *world = *state;
    client_has_view(world, LIST(world->tunnel_address));
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.target = world->tunnel_address});
    diagnosed_deinit(&seen);
    assert_string_equal(fact_of(&seen, "resolve", "endpoint"), "web/0");
    assert_string_equal(fact_of(&seen, "names", "wanted"), SERVER_ID);
    assert_true(seen.is_well);
}

static void other_identity_is_found(void **state)
{
    struct tunnel_world *world = *state;
    char sni[SPIFFE_SNI_BYTES];
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    assert_int_equal(spiffe_id_parse(SERVER_ID, strlen(SERVER_ID), &id, NULL), RM_OK);
    sha256(id.text, id.length, digest);
    spiffe_sni(&id, digest, sni);
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){
                             .target = world->tunnel_address, .expected = CLIENT_ID, .sni = sni});
    diagnosed_deinit(&seen);
    assert_found(&seen, FAULT_WRONG_IDENTITY, DIAGNOSE_ERROR, "found " SERVER_ID);
    assert_int_equal(step_of(&seen, "names")->outcome, DIAGNOSE_FAILED);
}

static void stranger_expired_and_near_end_are_found(void **state)
{
    struct tunnel_world *world = *state;
    struct pki_authority stranger;
    int64_t now_s = clock_wall_s();
    pki_authority_init_named(&stranger, "td.test", "another root", "another middle");
    look_at(world, &stranger, &(struct pki_recipe){.spiffe_id = SERVER_ID}, &seen);
    assert_found(&seen, FAULT_UNKNOWN_ISSUER, DIAGNOSE_ERROR, "another root");
    assert_int_equal(step_of(&seen, "chain")->outcome, DIAGNOSE_FAILED);
    look_at(world, &world->authority,
            &(struct pki_recipe){.spiffe_id = SERVER_ID, .leaves_out_middle = true}, &seen);
    assert_found(&seen, FAULT_MISSING_INTERMEDIATE, DIAGNOSE_ERROR, "was not sent");
    look_at(world, &world->authority,
            &(struct pki_recipe){
                .spiffe_id = SERVER_ID, .not_before_s = 1000000000, .not_after_s = 1000003600},
            &seen);
    assert_found(&seen, FAULT_CERTIFICATE_EXPIRED, DIAGNOSE_ERROR, "2001-09-09T02:46:40Z");
    assert_int_equal(step_of(&seen, "certificate")->outcome, DIAGNOSE_FAILED);
    look_at(world, &world->authority,
            &(struct pki_recipe){
                .spiffe_id = SERVER_ID, .not_before_s = now_s - 3600, .not_after_s = now_s + 500},
            &seen);
    assert_found(&seen, FAULT_CERTIFICATE_ENDS_SOON, DIAGNOSE_WARNING, SERVER_ID);
    assert_false(seen.is_well);
    pki_authority_deinit(&stranger);
}

// The server trusts another mesh: what it says after the handshake is heard.
static void our_certificate_is_refused(void **state)
{
    struct tunnel_world *world = *state;
    struct pki_authority stranger;
    struct server server = {0};
    pki_authority_init_named(&stranger, "td.test", "another root", "another middle");
    struct trust_snapshot *trust = pki_trust("td.test", &stranger, NULL);
    server.tls = pki_context(world->server.identity, trust);
    server_start(&server, world);
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.target = server.address});
    diagnosed_deinit(&seen);
    server_stop(&server);
    assert_found(&seen, FAULT_REFUSED_BY_PEER, DIAGNOSE_ERROR, "unknown_ca");
    assert_string_equal(fact_of(&seen, "client_certificate", "ours"), "refused: unknown_ca");
    assert_int_equal(step_of(&seen, "client_certificate")->outcome, DIAGNOSE_FAILED);
    trust_unref(trust);
    pki_authority_deinit(&stranger);
}

static void look_at_plain(struct tunnel_world *world, const char *says)
{
    struct server server = {.says = says};
    server_start(&server, world);
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.target = server.address});
    diagnosed_deinit(&seen);
    assert_int_equal(server.count, 1); // nothing more is to be learnt
    server_stop(&server);
}

static void what_is_no_server_of_tls_is_found(void **state)
{
    struct tunnel_world *world = *state;
    struct server server = {0};
    look_at_plain(world, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    assert_found(&seen, FAULT_NOT_TLS, DIAGNOSE_ERROR, "plain HTTP");
    look_at_plain(world, "\x15\x03\x03");
    assert_found(&seen, FAULT_CLOSED, DIAGNOSE_ERROR, "");
    server_start(&server, world);
    server_stop(&server); // its port is closed now
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.target = server.address});
    assert_found(&seen, FAULT_ENDPOINT_UNREACHABLE, DIAGNOSE_ERROR, server.address);
    diagnosed_run(&seen, &(struct diagnose_request){.target = "no-such-host.invalid:443"});
    assert_found(&seen, FAULT_NAME_NOT_RESOLVED, DIAGNOSE_ERROR, "no-such-host.invalid");
    diagnosed_deinit(&seen);
}

static void asked_protocol_is_missed(void **state)
{
    struct tunnel_world *world = *state;
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.target = world->tunnel_address,
                                                    .expected = SERVER_ID,
                                                    .alpn = "postgresql"});
    diagnosed_deinit(&seen);
    assert_found(&seen, FAULT_ALPN_MISSING, DIAGNOSE_ERROR, "wanted postgresql");
    assert_int_equal(step_of(&seen, "handshake")->outcome, DIAGNOSE_FAILED);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, tunnel_world_setup, tunnel_world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(good_tunnel_port_is_well),
        CASE(tunnel_port_wants_a_name),
        CASE(endpoint_of_the_view_is_recognised),
        CASE(other_identity_is_found),
        CASE(stranger_expired_and_near_end_are_found),
        CASE(our_certificate_is_refused),
        CASE(what_is_no_server_of_tls_is_found),
        CASE(asked_protocol_is_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
