// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/access_internal.h"
#include "base/clock.h"

#define ANYONE "/remora.identity.v1.Identity/Issue"
#define WORKLOAD "/remora.mesh.v1.Mesh/Sync"
#define ADMIN "/remora.admin.v1.Admin/GetStatus"
#define ADMIN_ID "spiffe://td/ns/ops/sa/admin"
#define ADMIN_GROUP 4711

static const uint8_t root_id[KEY_ID_BYTES] = {1};
static const uint8_t foreign_root_id[KEY_ID_BYTES] = {2};
static const uint8_t revoked[LINEAGE_BYTES] = {0x10, 1};
static const uint8_t lapsed[LINEAGE_BYTES] = {0x10, 2};

struct world {
    struct access *access;        // under test
    struct trust_snapshot *trust; // it judges by
};

static struct trust_snapshot *give_trust(void *context)
{
    return ((struct world *)context)->trust;
}

static struct trust_snapshot *make_trust(void)
{
    struct trust_builder *builder = trust_builder_new();
    const uint8_t der[] = {0x30, 0};
    assert_int_equal(trust_builder_add_root(builder, "td", der, sizeof der, root_id), RM_OK);
    assert_int_equal(trust_builder_add_root(builder, "foreign", der, sizeof der, foreign_root_id),
                     RM_OK);
    assert_int_equal(
        trust_builder_withdraw(builder, TRUST_REVOKED_LINEAGE, revoked, sizeof revoked, 0), RM_OK);
    assert_int_equal(
        trust_builder_withdraw(builder, TRUST_LAPSED_LINEAGE, lapsed, sizeof lapsed, 0), RM_OK);
    return trust_builder_finish(builder);
}

static int setup(void **state)
{
    static struct world world;
    static const char *const admins[] = {ADMIN_ID};
    world.trust = make_trust();
    const struct access_options options = {
        .trust_domain = "td",
        .admins = admins,
        .admin_count = 1,
        .admin_group = ADMIN_GROUP,
        .source = {give_trust, &world},
    };
    assert_int_equal(access_new(&options, &world.access), RM_OK);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    access_free(world->access);
    trust_unref(world->trust);
    return 0;
}

// A peer as TLS would have made it an hour ago, for two hours.
static struct peer peer_of(const char *id, const uint8_t *lineage)
{
    struct peer peer = {
        .spiffe_id = id,
        .spiffe_id_length = strlen(id),
        .serial_length = 16,
        .has_lineage = true,
        .not_after_s = clock_wall_s() + 3600,
        .leaf_not_before_s = clock_wall_s() - 3600,
    };
    memcpy(peer.serial, lineage, LINEAGE_BYTES);
    memcpy(peer.lineage, lineage, LINEAGE_BYTES);
    memcpy(peer.anchor_key_id, root_id, KEY_ID_BYTES);
    return peer;
}

static void assert_judged(struct world *world, const struct access_caller *caller, const char *path,
                          enum rpc_status wanted, const char *name)
{
    const char *text = NULL;
    enum rpc_status status = access_judge(world->access, path, caller, &text);
    if (status != wanted) {
        fail_msg("%s: %s instead of %s", path, rpc_status_name(status), rpc_status_name(wanted));
    }
    if (wanted != RPC_OK && strncmp(text, name, strlen(name)) != 0) {
        fail_msg("%s: '%s' does not begin with '%s'", path, text, name);
    }
}

static const uint8_t alive[LINEAGE_BYTES] = {0x10, 3};

static void nobody_without_certificate(void **state)
{
    const struct access_caller caller = {0};
    assert_judged(*state, &caller, ANYONE, RPC_OK, "");
    assert_judged(*state, &caller, WORKLOAD, RPC_UNAUTHENTICATED, "no_certificate");
    assert_judged(*state, &caller, ADMIN, RPC_UNAUTHENTICATED, "no_certificate");
    assert_judged(*state, &caller, "/x/Y", RPC_PERMISSION_DENIED, "unknown_method");
}

static void workload(void **state)
{
    struct peer peer = peer_of("spiffe://td/ns/a/sa/b", alive);
    const struct access_caller caller = {.peer = &peer};
    assert_judged(*state, &caller, ANYONE, RPC_OK, "");
    assert_judged(*state, &caller, WORKLOAD, RPC_OK, "");
    assert_judged(*state, &caller, ADMIN, RPC_PERMISSION_DENIED, "not_an_admin");
}

static void listed_admin(void **state)
{
    struct world *world = *state;
    struct peer peer = peer_of(ADMIN_ID, alive);
    const struct access_caller caller = {.peer = &peer};
    assert_judged(world, &caller, ADMIN, RPC_OK, "");
    assert_judged(world, &caller, WORKLOAD, RPC_OK, "");
    assert_int_equal(access_set_admins(world->access, NULL, 0, GROUP_NONE), RM_OK);
    assert_judged(world, &caller, ADMIN, RPC_PERMISSION_DENIED, "not_an_admin");
}

static void revoked_expired_and_untrusted_callers(void **state)
{
    struct world *world = *state;
    static const char *const paths[] = {ANYONE, WORKLOAD, ADMIN};
    for (size_t i = 0; i < 3; i++) {
        struct peer peer = peer_of(ADMIN_ID, revoked);
        const struct access_caller caller = {.peer = &peer};
        assert_judged(world, &caller, paths[i], RPC_PERMISSION_DENIED, "certificate_revoked");
        peer = peer_of(ADMIN_ID, lapsed);
        assert_judged(world, &caller, paths[i], RPC_PERMISSION_DENIED, "lineage_lapsed");
        peer = peer_of(ADMIN_ID, alive);
        peer.not_after_s = clock_wall_s() - 1;
        assert_judged(world, &caller, paths[i], RPC_PERMISSION_DENIED, "certificate_expired");
        peer = peer_of(ADMIN_ID, alive);
        memcpy(peer.anchor_key_id, foreign_root_id, KEY_ID_BYTES);
        assert_judged(world, &caller, paths[i], RPC_PERMISSION_DENIED, "not_anchored");
    }
}

static void trusted_foreigner_is_no_workload_of_ours(void **state)
{
    struct peer peer = peer_of("spiffe://foreign/ns/a/sa/b", alive);
    const struct access_caller caller = {.peer = &peer};
    memcpy(peer.anchor_key_id, foreign_root_id, KEY_ID_BYTES);
    assert_judged(*state, &caller, WORKLOAD, RPC_PERMISSION_DENIED, "foreign_trust_domain");
    assert_judged(*state, &caller, ADMIN, RPC_PERMISSION_DENIED, "foreign_trust_domain");
}

static void unix_callers(void **state)
{
    struct world *world = *state;
    struct access_caller caller = {.is_unix = true};
    assert_judged(world, &caller, ADMIN, RPC_OK, "");
    assert_judged(world, &caller, ANYONE, RPC_OK, "");
    assert_judged(world, &caller, WORKLOAD, RPC_UNAUTHENTICATED, "no_svid");
    caller.credentials.uid = geteuid();
    assert_judged(world, &caller, ADMIN, RPC_OK, "");
    caller.credentials.uid = 12345;
    caller.credentials.groups[0] = 100;
    caller.credentials.group_count = 1;
    assert_judged(world, &caller, ADMIN, RPC_PERMISSION_DENIED, "not_an_admin");
    caller.credentials.groups[1] = ADMIN_GROUP;
    assert_judged(world, &caller, ADMIN, RPC_PERMISSION_DENIED, "not_an_admin");
    caller.credentials.group_count = 2;
    assert_judged(world, &caller, ADMIN, RPC_OK, "");
    assert_int_equal(access_set_admins(world->access, NULL, 0, GROUP_NONE), RM_OK);
    assert_judged(world, &caller, ADMIN, RPC_PERMISSION_DENIED, "not_an_admin");
}

static void without_trust_no_certificate_counts(void **state)
{
    struct world *world = *state;
    struct peer peer = peer_of(ADMIN_ID, alive);
    const struct access_caller caller = {.peer = &peer};
    trust_unref(world->trust);
    world->trust = NULL;
    assert_judged(world, &caller, ANYONE, RPC_PERMISSION_DENIED, "unknown_trust_domain");
    assert_judged(world, &caller, ADMIN, RPC_PERMISSION_DENIED, "unknown_trust_domain");
    assert_false(access_still_holds(world->access, &peer));
}

static void standing_streams_end_with_their_trust_not_their_dates(void **state)
{
    struct world *world = *state;
    struct peer peer = peer_of("spiffe://td/ns/a/sa/b", alive);
    assert_true(access_still_holds(world->access, &peer));
    peer.not_after_s = clock_wall_s() - 1;
    assert_true(access_still_holds(world->access, &peer));
    peer = peer_of("spiffe://td/ns/a/sa/b", revoked);
    assert_false(access_still_holds(world->access, &peer));
    peer = peer_of("spiffe://td/ns/a/sa/b", lapsed);
    assert_false(access_still_holds(world->access, &peer));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_without_certificate),
        TEST(workload),
        TEST(listed_admin),
        TEST(revoked_expired_and_untrusted_callers),
        TEST(trusted_foreigner_is_no_workload_of_ours),
        TEST(unix_callers),
        TEST(without_trust_no_certificate_counts),
        TEST(standing_streams_end_with_their_trust_not_their_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
