// SPDX-License-Identifier: GPL-3.0-or-later
//
// The pinned profile overrides one error of wolfSSL's, so it is tried hard: only the control
// plane's SPIFFE ID, under a root whose key hash is pinned and which was sent, is accepted.
#include "tls_fixture.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define CONTROL_ID "spiffe://td.test/remora/control"

static struct tls_context *pinned(const uint8_t pin[KEY_ID_BYTES])
{
    uint8_t pins[2][KEY_ID_BYTES] = {{0x55}};
    struct tls_context *context = NULL;
    memcpy(pins[1], pin, KEY_ID_BYTES);
    assert_int_equal(
        tls_context_new_pinned(CONTROL_ID, (const uint8_t(*)[KEY_ID_BYTES])pins, 2, &context, NULL),
        RM_OK);
    return context;
}

// The control plane's port: ALPN h2, clients without certificate are welcome.
static struct tls_context *control_port(const struct world *world, struct tls_identity *identity)
{
    static const char *const alpn[] = {"h2"};
    struct tls_spiffe_profile profile = pki_profile(identity, world->trust);
    struct tls_context *context = NULL;
    profile.alpn = alpn;
    profile.is_client_certificate_required = false;
    assert_int_equal(tls_context_new_spiffe(&profile, &context, NULL), RM_OK);
    return context;
}

// Takes the identity. `name` "ok": accepted.
static void assert_outcome(const struct world *world, const uint8_t pin[KEY_ID_BYTES],
                           struct tls_identity *identity, const char *name)
{
    struct tls_context *client = pinned(pin);
    struct tls_context *server = control_port(world, identity);
    struct pair pair;
    pair_init(&pair, client, server);
    if (strcmp(tls_failure_name(&pair.client.failure), name) != 0) {
        fail_msg("%s: %s", tls_failure_name(&pair.client.failure), pair.client.failure.detail);
    }
    bool is_good = strcmp(name, "ok") == 0;
    assert_int_equal(pair.client.result == RM_OK, is_good);
    assert_int_equal(pair.server.result == RM_OK, is_good);
    if (is_good) {
        assert_string_equal(stream_peer(pair.client.stream)->spiffe_id, CONTROL_ID);
        assert_null(stream_peer(pair.server.stream));
        assert_string_equal(tls_stream_facts(pair.client.stream)->alpn, "h2");
    } else {
        assert_null(stream_peer(pair.client.stream));
    }
    pair_deinit(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
    tls_identity_unref(identity);
}

static struct tls_identity *control_identity(const struct pki_authority *authority)
{
    return pki_identity(authority,
                        &(struct pki_recipe){.spiffe_id = CONTROL_ID, .sends_root = true});
}

static void control_plane_is_accepted(void **state)
{
    const struct world *world = *state;
    assert_outcome(world, world->authority.root_id, control_identity(&world->authority), "ok");
}

static void wrong_pin_is_refused(void **state)
{
    const struct world *world = *state;
    uint8_t pin[KEY_ID_BYTES];
    memcpy(pin, world->authority.root_id, sizeof(pin));
    pin[KEY_ID_BYTES - 1] ^= 1;
    assert_outcome(world, pin, control_identity(&world->authority), "untrusted_chain");
}

static void another_identity_is_refused(void **state)
{
    const struct world *world = *state;
    static const char *const others[] = {WORLD_SERVER_ID, "spiffe://td.test/remora/control2",
                                         "spiffe://td.test/remora"};
    for (size_t i = 0; i < 3; i++) {
        struct pki_recipe recipe = {.spiffe_id = others[i], .sends_root = true};
        assert_outcome(world, world->authority.root_id, pki_identity(&world->authority, &recipe),
                       "wrong_identity");
    }
}

static void pin_of_an_intermediate_is_refused(void **state)
{
    const struct world *world = *state;
    uint8_t pin[KEY_ID_BYTES];
    assert_int_equal(
        certificate_key_id(world->authority.middle, world->authority.middle_length, pin), RM_OK);
    assert_outcome(world, pin, control_identity(&world->authority), "untrusted_chain");
}

static void pin_of_a_leaf_is_refused(void **state)
{
    const struct world *world = *state;
    struct tls_identity *identity = control_identity(&world->authority);
    uint8_t pin[KEY_ID_BYTES];
    key_id(identity->key, pin);
    assert_outcome(world, pin, identity, "untrusted_chain");
}

static void root_that_was_not_sent_is_refused(void **state)
{
    const struct world *world = *state;
    struct pki_recipe recipe = {.spiffe_id = CONTROL_ID};
    assert_outcome(world, world->authority.root_id, pki_identity(&world->authority, &recipe),
                   "untrusted_chain");
}

// A stranger sends our real root behind a chain of its own.
static void chain_beside_the_pinned_root_is_refused(void **state)
{
    const struct world *world = *state;
    static const char *const names[][2] = {{"Stranger root", "Stranger intermediate"},
                                           {"Test root", "Test intermediate"}};
    for (size_t i = 0; i < 2; i++) {
        struct pki_authority stranger;
        struct private_key *key = NULL;
        struct tls_identity *identity = NULL;
        pki_authority_init_named(&stranger, "td.test", names[i][0], names[i][1]);
        struct chain chain =
            pki_chain(&stranger, &(struct pki_recipe){.spiffe_id = CONTROL_ID}, &key);
        assert_int_equal(chain_append(&chain, world->authority.root, world->authority.root_length),
                         RM_OK);
        assert_int_equal(tls_identity_new(&chain, key, &identity, NULL), RM_OK);
        key_unref(key);
        assert_outcome(world, world->authority.root_id, identity, "not_anchored");
        pki_authority_deinit(&stranger);
    }
}

// The certificate has the pinned key, but nobody with that key made it: the signature is changed.
static void forged_root_with_the_pinned_key_is_refused(void **state)
{
    const struct world *world = *state;
    const struct pki_authority *authority = &world->authority;
    struct private_key *key = NULL;
    struct tls_identity *identity = NULL;
    struct chain chain = pki_chain(authority, &(struct pki_recipe){.spiffe_id = CONTROL_ID}, &key);
    uint8_t *forged = rm_memdup(authority->root, authority->root_length);
    forged[authority->root_length - 1] ^= 1;
    assert_int_equal(chain_append(&chain, forged, authority->root_length), RM_OK);
    rm_free(forged);
    assert_int_equal(tls_identity_new(&chain, key, &identity, NULL), RM_OK);
    key_unref(key);
    assert_outcome(world, authority->root_id, identity, "untrusted_chain");
}

static void dates_count(void **state)
{
    const struct world *world = *state;
    struct pki_recipe late = {.spiffe_id = CONTROL_ID,
                              .sends_root = true,
                              .not_before_s = clock_wall_s() - 7200,
                              .not_after_s = clock_wall_s() - 3600};
    struct pki_recipe early = {.spiffe_id = CONTROL_ID,
                               .sends_root = true,
                               .not_before_s = clock_wall_s() + 3600,
                               .not_after_s = clock_wall_s() + 7200};
    assert_outcome(world, world->authority.root_id, pki_identity(&world->authority, &late),
                   "certificate_expired");
    assert_outcome(world, world->authority.root_id, pki_identity(&world->authority, &early),
                   "not_yet_valid");
}

static void control_plane_of_another_domain_is_refused(void **state)
{
    const struct world *world = *state;
    struct pki_authority other;
    pki_authority_init(&other, "other.test");
    struct pki_recipe recipe = {.spiffe_id = "spiffe://other.test/remora/control",
                                .sends_root = true};
    assert_outcome(world, other.root_id, pki_identity(&other, &recipe), "unknown_trust_domain");
    pki_authority_deinit(&other);
}

static void pinned_contexts_cannot_serve(void **state)
{
    const struct world *world = *state;
    struct tls_context *context = pinned(world->authority.root_id);
    struct tls_session_options options = {.tls = context};
    struct loop *loop = loop_new("test");
    struct stream *a = NULL;
    struct stream *b = NULL;
    struct stream *out = NULL;
    assert_int_equal(memory_stream_pair(loop, 4096, &a, &b), RM_OK);
    assert_int_equal(tls_accept(a, &options, NULL, NULL, &out), RM_ERR_CONFIG);
    stream_close(b, STREAM_CLOSE_ABORT, NULL, NULL);
    world_end(loop);
    tls_context_unref(context);
}

static void other_expectations_are_mistakes(void **state)
{
    const struct world *world = *state;
    static const char *const expected[] = {WORLD_SERVER_ID};
    struct tls_context *context = pinned(world->authority.root_id);
    struct tls_session_options options = {
        .tls = context, .expected_ids = expected, .expected_count = 1};
    struct loop *loop = loop_new("test");
    struct stream *a = NULL;
    struct stream *b = NULL;
    struct stream *out = NULL;
    assert_int_equal(memory_stream_pair(loop, 4096, &a, &b), RM_OK);
    assert_int_equal(tls_connect(a, &options, NULL, NULL, &out), RM_ERR_CONFIG);
    stream_close(b, STREAM_CLOSE_ABORT, NULL, NULL);
    world_end(loop);
    tls_context_unref(context);
}

static void no_pins_no_context(void **state)
{
    struct tls_context *context = NULL;
    (void)state;
    assert_int_equal(tls_context_new_pinned(CONTROL_ID, NULL, 0, &context, NULL), RM_ERR_CONFIG);
    assert_int_equal(tls_context_new_pinned("http://td.test/x", (const uint8_t[1][KEY_ID_BYTES]){0},
                                            1, &context, NULL),
                     RM_ERR_MALFORMED);
    assert_null(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_plane_is_accepted),
        cmocka_unit_test(wrong_pin_is_refused),
        cmocka_unit_test(another_identity_is_refused),
        cmocka_unit_test(pin_of_an_intermediate_is_refused),
        cmocka_unit_test(pin_of_a_leaf_is_refused),
        cmocka_unit_test(root_that_was_not_sent_is_refused),
        cmocka_unit_test(chain_beside_the_pinned_root_is_refused),
        cmocka_unit_test(forged_root_with_the_pinned_key_is_refused),
        cmocka_unit_test(dates_count),
        cmocka_unit_test(control_plane_of_another_domain_is_refused),
        cmocka_unit_test(pinned_contexts_cannot_serve),
        cmocka_unit_test(other_expectations_are_mistakes),
        cmocka_unit_test(no_pins_no_context),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
