// SPDX-License-Identifier: GPL-3.0-or-later
//
// Chains that another maker issued (openssl): P-384 and RSA keys and deeper chains are accepted,
// and each way a chain or a leaf can be wrong has its own name at the end that judges.
#include "tls_fixture.h"

#include <string.h>

struct foreign {
    struct world *world;          // ours: the judging ends
    struct foreign_pki pki;       // openssl's
    struct trust_snapshot *trust; // our root and the foreign one, both of td.test
    struct tls_context *client;   // with that trust
    struct tls_context *server;   // with that trust
};

static struct trust_snapshot *foreign_trust(const struct foreign *foreign)
{
    const struct pki_authority *ours = &foreign->world->authority;
    struct trust_builder *builder = trust_builder_new();
    assert_int_equal(
        trust_builder_add_root(builder, "td.test", ours->root, ours->root_length, ours->root_id),
        RM_OK);
    foreign_pki_add_root(&foreign->pki, builder, "td.test");
    return trust_builder_finish(builder);
}

static int setup(void **state)
{
    static struct foreign foreign;
    void *world = NULL;
    world_setup(&world);
    foreign_pki_init(&foreign.pki);
    foreign.world = world;
    foreign.trust = foreign_trust(&foreign);
    foreign.client = pki_context(foreign.world->client_identity, foreign.trust);
    foreign.server = pki_context(foreign.world->server_identity, foreign.trust);
    *state = &foreign;
    return 0;
}

static int teardown(void **state)
{
    struct foreign *foreign = *state;
    tls_context_unref(foreign->client);
    tls_context_unref(foreign->server);
    trust_unref(foreign->trust);
    void *world = foreign->world;
    world_teardown(&world);
    foreign_pki_deinit(&foreign->pki);
    return 0;
}

// Both roles of the foreign end against ours. `name` "ok": accepted.
static void assert_judgement(const struct foreign *foreign, const char *kind, const char *as_client,
                             const char *as_server)
{
    struct tls_identity *identity = foreign_pki_identity(&foreign->pki, kind);
    struct tls_context *context = pki_context(identity, foreign->trust);
    struct pair pair;
    pair_init(&pair, context, foreign->server);
    if (strcmp(tls_failure_name(&pair.server.failure), as_client) != 0) {
        fail_msg("%s as client: %s, not %s: %s", kind, tls_failure_name(&pair.server.failure),
                 as_client, pair.server.failure.detail);
    }
    assert_int_equal(pair.server.result == RM_OK, strcmp(as_client, "ok") == 0);
    pair_deinit(&pair);
    pair_init(&pair, foreign->client, context);
    if (strcmp(tls_failure_name(&pair.client.failure), as_server) != 0) {
        fail_msg("%s as server: %s, not %s: %s", kind, tls_failure_name(&pair.client.failure),
                 as_server, pair.client.failure.detail);
    }
    assert_int_equal(pair.client.result == RM_OK, strcmp(as_server, "ok") == 0);
    pair_deinit(&pair);
    tls_context_unref(context);
    tls_identity_unref(identity);
}

static void keys_of_all_kinds_are_accepted(void **state)
{
    assert_judgement(*state, "p256", "ok", "ok");
    assert_judgement(*state, "p384", "ok", "ok");
    assert_judgement(*state, "rsa", "ok", "ok");
}

static void deep_chain_is_accepted(void **state)
{
    assert_judgement(*state, "deep", "ok", "ok");
}

static void wrong_order_is_named(void **state)
{
    assert_judgement(*state, "swapped", "wrong_order", "wrong_order");
}

static void path_length_is_kept(void **state)
{
    assert_judgement(*state, "toolong", "chain_too_long", "chain_too_long");
}

static void self_signed_is_named(void **state)
{
    assert_judgement(*state, "selfsigned", "self_signed", "self_signed");
}

static void spiffe_id_must_be_the_only_uri(void **state)
{
    assert_judgement(*state, "nouri", "no_spiffe_id", "no_spiffe_id");
    assert_judgement(*state, "dnsuri", "no_spiffe_id", "no_spiffe_id");
    assert_judgement(*state, "twouris", "several_spiffe_ids", "several_spiffe_ids");
}

static void usage_follows_the_role(void **state)
{
    assert_judgement(*state, "serveronly", "wrong_usage", "ok");
    assert_judgement(*state, "clientonly", "ok", "wrong_usage");
    assert_judgement(*state, "nosign", "wrong_usage", "wrong_usage");
    assert_judgement(*state, "caleaf", "wrong_usage", "wrong_usage");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_all_kinds_are_accepted),
        cmocka_unit_test(deep_chain_is_accepted),
        cmocka_unit_test(wrong_order_is_named),
        cmocka_unit_test(path_length_is_kept),
        cmocka_unit_test(self_signed_is_named),
        cmocka_unit_test(spiffe_id_must_be_the_only_uri),
        cmocka_unit_test(usage_follows_the_role),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
