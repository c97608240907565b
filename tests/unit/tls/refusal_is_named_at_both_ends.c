// SPDX-License-Identifier: GPL-3.0-or-later
//
// The judging end names the fault exactly and sends the right alert; the other end says that it was
// refused, with the alert, even though its own handshake may have looked good.
#include "tls_fixture.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"

// What the judging end must say.
struct judgement {
    const char *name;  // tls_failure_name()
    enum rm_err code;  // of on_ready
    uint8_t alert;     // that it sent
    const char *found; // part of the detail
};

static void assert_judged(const struct end *judge, const struct judgement *expected)
{
    char text[512];
    tls_failure_text(&judge->failure, text, sizeof(text));
    assert_string_equal(tls_failure_name(&judge->failure), expected->name);
    assert_int_equal(judge->result, expected->code);
    assert_int_equal(judge->failure.alert_sent, expected->alert);
    if (strstr(judge->failure.detail, expected->found) == NULL) {
        fail_msg("'%s' does not say '%s'", judge->failure.detail, expected->found);
    }
    assert_non_null(strstr(text, judge->failure.detail));
    assert_null(stream_peer(judge->stream));
}

// The refused end learns it from its handshake, or, as a client that was done before, from a read.
static void assert_refused(struct pair *pair, struct end *refused, uint8_t alert)
{
    char text[64];
    enum rm_err result = refused->result;
    if (result == RM_OK) {
        result = end_read(pair, refused, text, sizeof(text));
    }
    const struct tls_failure *failure = tls_stream_failure(refused->stream);
    assert_int_equal(result, RM_ERR_REFUSED_BY_PEER);
    assert_int_equal(failure->fault, FAULT_REFUSED_BY_PEER);
    assert_string_equal(tls_failure_name(failure), "refused_by_peer");
    assert_int_equal(failure->alert_received, alert);
    assert_non_null(strstr(failure->detail, tls_alert_name(alert)));
}

static void server_refuses(const struct world *world, struct tls_context *client,
                           const struct judgement *expected)
{
    struct pair pair;
    pair_init(&pair, client, world->server);
    assert_judged(&pair.server, expected);
    assert_refused(&pair, &pair.client, expected->alert);
    pair_deinit(&pair);
}

static void client_refuses(const struct world *world, struct tls_context *server,
                           const struct judgement *expected)
{
    struct pair pair;
    pair_init(&pair, world->client, server);
    assert_judged(&pair.client, expected);
    assert_refused(&pair, &pair.server, expected->alert);
    pair_deinit(&pair);
}

static void both_refuse(const struct world *world, struct tls_identity *identity,
                        const struct judgement *expected)
{
    struct tls_context *context = pki_context(identity, world->trust);
    server_refuses(world, context, expected);
    client_refuses(world, context, expected);
    tls_context_unref(context);
    tls_identity_unref(identity);
}

static void expired_certificate(void **state)
{
    const struct world *world = *state;
    struct pki_recipe recipe = {
        .spiffe_id = WORLD_CLIENT_ID,
        .not_before_s = clock_wall_s() - 3 * 3600,
        .not_after_s = clock_wall_s() - 2 * 3600 - 600,
    };
    both_refuse(world, pki_identity(&world->authority, &recipe),
                &(struct judgement){"certificate_expired", RM_ERR_EXPIRED, 45, "2h10m"});
}

static void certificate_of_the_future(void **state)
{
    const struct world *world = *state;
    struct pki_recipe recipe = {
        .spiffe_id = WORLD_CLIENT_ID,
        .not_before_s = clock_wall_s() + 3600 + 30,
        .not_after_s = clock_wall_s() + 7200,
    };
    both_refuse(world, pki_identity(&world->authority, &recipe),
                &(struct judgement){"not_yet_valid", RM_ERR_EXPIRED, 45, "clocks is wrong"});
}

static int64_t clock_ahead_ms;

static int64_t shifted_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + clock_ahead_ms;
}

// Where the own certificate is outside its dates too, the own clock is the likely culprit; the
// other end finds the same when it looks at its own.
static void assert_clock(const struct world *world, int64_t ahead_ms, const char *name,
                         const char *refused_says)
{
    struct pair pair;
    clock_ahead_ms = ahead_ms;
    clock_replace(NULL, shifted_wall_ms);
    pair_init(&pair, world->client, world->server);
    clock_replace(NULL, NULL);
    assert_judged(&pair.client,
                  &(struct judgement){name, RM_ERR_EXPIRED, 45, "so our clock is probably wrong"});
    assert_refused(&pair, &pair.server, 45);
    assert_non_null(strstr(tls_stream_failure(pair.server.stream)->detail, refused_says));
    pair_deinit(&pair);
}

static void clock_that_is_wrong_here(void **state)
{
    const int64_t year_ms = 366LL * 24 * 3600 * 1000;
    assert_clock(*state, -year_ms, "not_yet_valid", "our certificate becomes valid only in ");
    assert_clock(*state, 30 * year_ms, "certificate_expired", "our certificate expired ");
}

static void unknown_issuer(void **state)
{
    const struct world *world = *state;
    struct pki_authority stranger;
    pki_authority_init_named(&stranger, "td.test", "Stranger root", "Stranger intermediate");
    struct pki_recipe recipe = {.spiffe_id = WORLD_CLIENT_ID};
    both_refuse(world, pki_identity(&stranger, &recipe),
                &(struct judgement){"unknown_issuer", RM_ERR_UNTRUSTED, 48, "Stranger root"});
    recipe.sends_root = true;
    both_refuse(world, pki_identity(&stranger, &recipe),
                &(struct judgement){"unknown_issuer", RM_ERR_UNTRUSTED, 48, "Stranger root"});
    pki_authority_deinit(&stranger);
}

static void issuer_that_only_has_the_name_of_ours(void **state)
{
    const struct world *world = *state;
    struct pki_authority stranger;
    pki_authority_init(&stranger, "td.test");
    struct pki_recipe recipe = {.spiffe_id = WORLD_CLIENT_ID};
    both_refuse(world, pki_identity(&stranger, &recipe),
                &(struct judgement){"unknown_issuer", RM_ERR_UNTRUSTED, 48, "Test root"});
    recipe.sends_root = true; // then wolfSSL meets a wrong signature first
    both_refuse(world, pki_identity(&stranger, &recipe),
                &(struct judgement){"unknown_issuer", RM_ERR_UNTRUSTED, 42, "Test root"});
    pki_authority_deinit(&stranger);
}

static void missing_intermediate(void **state)
{
    const struct world *world = *state;
    struct pki_recipe recipe = {.spiffe_id = WORLD_CLIENT_ID, .leaves_out_middle = true};
    both_refuse(
        world, pki_identity(&world->authority, &recipe),
        &(struct judgement){"missing_intermediate", RM_ERR_UNTRUSTED, 48, "Test intermediate"});
}

static void trust_domain_nobody_knows(void **state)
{
    const struct world *world = *state;
    struct pki_authority stranger;
    pki_authority_init(&stranger, "other.test");
    struct pki_recipe recipe = {.spiffe_id = "spiffe://other.test/x"};
    both_refuse(
        world, pki_identity(&stranger, &recipe),
        &(struct judgement){"unknown_trust_domain", RM_ERR_UNTRUSTED, 48, "spiffe://other.test/x"});
    pki_authority_deinit(&stranger);
}

static void client_without_certificate(void **state)
{
    const struct world *world = *state;
    struct tls_context *context = pki_context(NULL, world->trust);
    server_refuses(world, context,
                   &(struct judgement){"no_certificate", RM_ERR_UNAUTHENTICATED, 116, "none"});
    tls_context_unref(context);
}

static void server_with_another_identity(void **state)
{
    const struct world *world = *state;
    static const char *const expected[] = {"spiffe://td.test/ns/a/sa/cache"};
    struct tls_session_options options = {
        .tls = world->client, .expected_ids = expected, .expected_count = 1};
    struct pair pair;
    pair_init_with(&pair, &options, world->server);
    assert_judged(&pair.client, &(struct judgement){"wrong_identity", RM_ERR_UNAUTHENTICATED, 42,
                                                    "wanted spiffe://td.test/ns/a/sa/cache, found "
                                                    "spiffe://td.test/ns/a/sa/server"});
    assert_refused(&pair, &pair.server, 42);
    pair_deinit(&pair);
}

static void empty_expectation_expects_nobody(void **state)
{
    const struct world *world = *state;
    static const char *const nobody[1] = {NULL};
    struct tls_session_options options = {.tls = world->client, .expected_ids = nobody};
    struct pair pair;
    pair_init_with(&pair, &options, world->server);
    assert_int_equal(pair.client.result, RM_ERR_UNAUTHENTICATED);
    assert_string_equal(tls_failure_name(&pair.client.failure), "wrong_identity");
    pair_deinit(&pair);
}

// Each end judges by the withdrawal of the other's lineage.
static void assert_withdrawn(const struct world *world, enum trust_withdrawal_kind kind,
                             const char *name)
{
    struct trust_builder *builder = trust_builder_new();
    assert_int_equal(trust_builder_add_root(builder, "td.test", world->authority.root,
                                            world->authority.root_length, world->authority.root_id),
                     RM_OK);
    assert_int_equal(
        trust_builder_withdraw(builder, kind, world->client_identity->serial, LINEAGE_BYTES, 0),
        RM_OK);
    assert_int_equal(
        trust_builder_withdraw(builder, kind, world->server_identity->serial, LINEAGE_BYTES, 0),
        RM_OK);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    struct tls_context *server = pki_context(world->server_identity, trust);
    struct tls_context *client = pki_context(world->client_identity, trust);
    struct pair pair;
    pair_init(&pair, world->client, server);
    assert_judged(&pair.server, &(struct judgement){name, RM_ERR_REVOKED, 42,
                                                    "found " WORLD_CLIENT_ID ", serial "});
    assert_refused(&pair, &pair.client, 42);
    pair_deinit(&pair);
    pair_init(&pair, client, world->server);
    assert_judged(&pair.client, &(struct judgement){name, RM_ERR_REVOKED, 42,
                                                    "found " WORLD_SERVER_ID ", serial "});
    assert_refused(&pair, &pair.server, 42);
    pair_deinit(&pair);
    tls_context_unref(server);
    tls_context_unref(client);
    trust_unref(trust);
}

static void revoked_lineage(void **state)
{
    assert_withdrawn(*state, TRUST_REVOKED_LINEAGE, "certificate_revoked");
}

static void lapsed_lineage(void **state)
{
    assert_withdrawn(*state, TRUST_LAPSED_LINEAGE, "lineage_lapsed");
}

// Our own examination ignores certificates that take no part; wolfSSL does not like an expired one
// among them, and its word stands.
static void refusal_by_the_library_alone_stands(void **state)
{
    const struct world *world = *state;
    struct private_key *stray_key = NULL;
    struct private_key *key = NULL;
    struct tls_identity *identity = NULL;
    uint8_t *stray = NULL;
    size_t stray_length = 0;
    struct authority_request request = {.trust_domain = "td.test",
                                        .common_name = "Old intermediate",
                                        .not_before_s = clock_wall_s() - 20 * PKI_DAY_S,
                                        .not_after_s = clock_wall_s() - 10 * PKI_DAY_S,
                                        .serial = {0x11, 1, 2, 3}};
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    assert_int_equal(key_generate(&stray_key), RM_OK);
    key_spki(stray_key, &spki, &spki_length);
    assert_int_equal(issue_intermediate(world->authority.root_issuer, spki, spki_length, &request,
                                        &stray, &stray_length),
                     RM_OK);
    struct chain chain =
        pki_chain(&world->authority, &(struct pki_recipe){.spiffe_id = WORLD_CLIENT_ID}, &key);
    assert_int_equal(chain_append(&chain, stray, stray_length), RM_OK);
    assert_int_equal(tls_identity_new(&chain, key, &identity, NULL), RM_OK);
    both_refuse(world, identity,
                &(struct judgement){"certificate_expired", RM_ERR_EXPIRED, 45, "wolfSSL"});
    rm_free(stray);
    key_unref(stray_key);
    key_unref(key);
}

static void on_ready_aborts(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct end *end = context;
    end->is_done = true;
    end->result = result;
    end->failure = *failure;
    end_close(end, STREAM_CLOSE_ABORT);
}

// A judge that aborts at once does not take its alert back.
static void refusal_survives_an_immediate_abort(void **state)
{
    const struct world *world = *state;
    struct tls_context *nobody = pki_context(NULL, world->trust);
    struct tls_session_options options = {.tls = world->server};
    struct pair pair = {.loop = loop_new("test")};
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(memory_stream_pair(pair.loop, PKI_MEMORY_BYTES, &a, &b), RM_OK);
    end_connect(&pair.client, a, nobody);
    assert_int_equal(tls_accept(b, &options, on_ready_aborts, &pair.server, &pair.server.stream),
                     RM_OK);
    world_until(pair.loop, pair_is_done, &pair);
    world_turns(pair.loop, 8);
    assert_true(pair.server.is_closed);
    assert_refused(&pair, &pair.client, 116);
    pair_deinit(&pair);
    tls_context_unref(nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expired_certificate),
        cmocka_unit_test(certificate_of_the_future),
        cmocka_unit_test(clock_that_is_wrong_here),
        cmocka_unit_test(unknown_issuer),
        cmocka_unit_test(issuer_that_only_has_the_name_of_ours),
        cmocka_unit_test(missing_intermediate),
        cmocka_unit_test(trust_domain_nobody_knows),
        cmocka_unit_test(client_without_certificate),
        cmocka_unit_test(server_with_another_identity),
        cmocka_unit_test(empty_expectation_expects_nobody),
        cmocka_unit_test(revoked_lineage),
        cmocka_unit_test(lapsed_lineage),
        cmocka_unit_test(refusal_survives_an_immediate_abort),
        cmocka_unit_test(refusal_by_the_library_alone_stands),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
