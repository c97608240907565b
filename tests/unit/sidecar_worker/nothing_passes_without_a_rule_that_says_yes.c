// SPDX-License-Identifier: GPL-3.0-or-later
//
// snapshot_decide(): each row of who decides on a hosted service.
#include <string.h>

#include "cases.h"
#include "sidecar_parts.h"
#include "tls_fixture.h"

#include "worker/snapshot.h"

#define OWN_ID "spiffe://td.test/ns/a/sa/web"
#define FRIEND "spiffe://td.test/ns/a/sa/friend"
#define OTHER "spiffe://td.test/ns/a/sa/other"
#define FOREIGN "spiffe://else.test/ns/a/sa/friend"

#define CONTROL                                                                                    \
    "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: /x}}\n"
#define FILES "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"
#define SERVICE "inbound: {services: [{name: web, port: 80, target: '127.0.0.1:8080'}]}\n"
#define GUARDED                                                                                    \
    "inbound: {services: [{name: web, port: 80, target: '127.0.0.1:8080', allow: ['" FRIEND        \
    "']}]}\n"

// What one decision stands on.
struct decision {
    const char *yaml;       // configuration
    struct mesh_view *view; // taken; NULL: the empty one
    bool lacks_identity;    // no certificate yet
};

static const char *decide(struct world *world, const struct decision *decision, const char *peer)
{
    struct sidecar_config *config = config_of(decision->yaml);
    struct tls_identity *identity =
        decision->lacks_identity
            ? NULL
            : pki_identity(&world->authority, &(struct pki_recipe){.spiffe_id = OWN_ID});
    struct mesh_view *view = decision->view != NULL ? decision->view : mesh_view_empty();
    struct snapshot *snapshot = snapshot_new(
        config, identity, decision->lacks_identity ? NULL : world->trust, view, 0, 1, NULL, 0);
    assert_non_null(snapshot);
    enum fault reason = snapshot_decide(snapshot, 0, peer, strlen(peer));
    snapshot_unref(snapshot);
    mesh_view_unref(view);
    tls_identity_unref(identity);
    sidecar_config_unref(config);
    return reason == FAULT_OK ? NULL : fault_name(reason);
}

static struct mesh_view *view_of(const char *service, uint16_t port, const char *owner,
                                 const char *const *allow)
{
    return full_view(PUTS(make_service(service, port, LIST(owner), allow)));
}

static void before_an_identity_nobody_passes(void **state)
{
    assert_string_equal(
        decide(*state, &(struct decision){.yaml = FILES SERVICE, .lacks_identity = true}, FRIEND),
        "identity_missing");
    assert_string_equal(
        decide(*state, &(struct decision){.yaml = CONTROL SERVICE, .lacks_identity = true}, FRIEND),
        "identity_missing");
}

static void without_a_control_plane_the_own_trust_domain_passes(void **state)
{
    assert_null(decide(*state, &(struct decision){.yaml = FILES SERVICE}, OTHER));
    assert_string_equal(decide(*state, &(struct decision){.yaml = FILES SERVICE}, FOREIGN),
                        "default_deny");
}

static void own_allow_list_guards_without_a_control_plane(void **state)
{
    assert_null(decide(*state, &(struct decision){.yaml = FILES GUARDED}, FRIEND));
    assert_string_equal(decide(*state, &(struct decision){.yaml = FILES GUARDED}, OTHER),
                        "guarded");
}

static void with_a_control_plane_its_record_is_needed(void **state)
{
    // An allow list of our own does not stand in for it.
    assert_string_equal(decide(*state, &(struct decision){.yaml = CONTROL GUARDED}, FRIEND),
                        "view_missing");
    assert_string_equal(decide(*state,
                               &(struct decision){.yaml = CONTROL GUARDED,
                                                  .view = view_of("cache", 80, OWN_ID, LIST())},
                               FRIEND),
                        "service_unknown");
}

static void record_must_name_us_and_our_port(void **state)
{
    assert_string_equal(decide(*state,
                               &(struct decision){.yaml = CONTROL SERVICE,
                                                  .view = view_of("web", 80, OTHER, LIST())},
                               FRIEND),
                        "service_not_owned");
    assert_string_equal(decide(*state,
                               &(struct decision){.yaml = CONTROL SERVICE,
                                                  .view = view_of("web", 81, OWN_ID, LIST())},
                               FRIEND),
                        "service_not_owned");
    assert_null(decide(
        *state,
        &(struct decision){.yaml = CONTROL SERVICE, .view = view_of("web", 80, OWN_ID, LIST())},
        FRIEND));
}

static void both_lists_must_allow(void **state)
{
    const char *const *others = LIST(OTHER);
    assert_string_equal(decide(*state,
                               &(struct decision){.yaml = CONTROL GUARDED,
                                                  .view = view_of("web", 80, OWN_ID, others)},
                               FRIEND),
                        "guarded");
    assert_string_equal(decide(*state,
                               &(struct decision){.yaml = CONTROL GUARDED,
                                                  .view = view_of("web", 80, OWN_ID, others)},
                               OTHER),
                        "guarded");
    assert_null(decide(*state,
                       &(struct decision){.yaml = CONTROL GUARDED,
                                          .view = view_of("web", 80, OWN_ID, LIST(FRIEND))},
                       FRIEND));
}

static void record_alone_decides_without_an_own_list(void **state)
{
    assert_string_equal(decide(*state,
                               &(struct decision){.yaml = CONTROL SERVICE,
                                                  .view = view_of("web", 80, OWN_ID, LIST(FRIEND))},
                               OTHER),
                        "guarded");
    // Without an allow rule the default holds there, too.
    assert_string_equal(decide(*state,
                               &(struct decision){.yaml = CONTROL SERVICE,
                                                  .view = view_of("web", 80, OWN_ID, LIST())},
                               FOREIGN),
                        "default_deny");
}

// However memory fails, there is no snapshot rather than one with a rule missing.
static void failed_allocation_gives_no_snapshot(void **state)
{
    struct world *world = *state;
    struct sidecar_config *config = config_of(CONTROL GUARDED);
    struct tls_identity *identity =
        pki_identity(&world->authority, &(struct pki_recipe){.spiffe_id = OWN_ID});
    struct mesh_view *view = view_of("web", 80, OWN_ID, LIST(OTHER));
    struct snapshot *snapshot = NULL;
    uint64_t n = 0;
    while (snapshot == NULL) {
        assert_true(n < 1000);
        rm_alloc_fail_at(++n);
        snapshot = snapshot_new(config, identity, world->trust, view, 0, 1, NULL, 0);
    }
    rm_alloc_fail_at(0);
    assert_true(n > 4);
    assert_int_equal(snapshot_decide(snapshot, 0, FRIEND, strlen(FRIEND)), FAULT_GUARDED);
    assert_int_equal(snapshot_decide(snapshot, 1, FRIEND, strlen(FRIEND)), FAULT_IDENTITY_MISSING);
    snapshot_unref(snapshot);
    mesh_view_unref(view);
    tls_identity_unref(identity);
    sidecar_config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_an_identity_nobody_passes),
        cmocka_unit_test(without_a_control_plane_the_own_trust_domain_passes),
        cmocka_unit_test(own_allow_list_guards_without_a_control_plane),
        cmocka_unit_test(with_a_control_plane_its_record_is_needed),
        cmocka_unit_test(record_must_name_us_and_our_port),
        cmocka_unit_test(both_lists_must_allow),
        cmocka_unit_test(record_alone_decides_without_an_own_list),
        cmocka_unit_test(failed_allocation_gives_no_snapshot),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
