// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two domains are trusted, so wolfSSL finds an anchor for what either CA signed; but a leaf of one
// domain that the other domain's CA signed is refused, at both ends.
#include "tls_fixture.h"

#include <string.h>

// openssl's CA, which has no name constraints, signs leaves of td.test. It is trusted for `domain`.
static void assert_result(const struct world *world, const char *domain, const char *name)
{
    struct foreign_pki pki;
    struct pair pair;
    struct trust_builder *builder = trust_builder_new();
    foreign_pki_init(&pki);
    foreign_pki_add_root(&pki, builder, domain);
    assert_int_equal(trust_builder_add_root(builder, "td.test", world->authority.root,
                                            world->authority.root_length, world->authority.root_id),
                     RM_OK);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    struct tls_identity *identity = foreign_pki_identity(&pki, "p256");
    struct tls_context *foreign = pki_context(identity, trust);
    struct tls_context *client = pki_context(world->client_identity, trust);
    struct tls_context *server = pki_context(world->server_identity, trust);

    pair_init(&pair, foreign, server);
    assert_string_equal(tls_failure_name(&pair.server.failure), name);
    assert_int_equal(pair.server.result == RM_OK, strcmp(name, "ok") == 0);
    pair_deinit(&pair);
    pair_init(&pair, client, foreign);
    assert_string_equal(tls_failure_name(&pair.client.failure), name);
    assert_int_equal(pair.client.result == RM_OK, strcmp(name, "ok") == 0);
    pair_deinit(&pair);

    tls_context_unref(foreign);
    tls_context_unref(client);
    tls_context_unref(server);
    tls_identity_unref(identity);
    trust_unref(trust);
    foreign_pki_deinit(&pki);
}

static void root_of_its_own_domain_proves(void **state)
{
    assert_result(*state, "td.test", "ok");
}

static void root_of_another_domain_does_not(void **state)
{
    assert_result(*state, "other.test", "not_anchored");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_of_its_own_domain_proves),
        cmocka_unit_test(root_of_another_domain_does_not),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
