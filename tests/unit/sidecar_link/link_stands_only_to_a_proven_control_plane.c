// SPDX-License-Identifier: GPL-3.0-or-later
#include "linked.h"

static void proven_control_plane_is_given(void **state)
{
    struct scene *scene = *state;
    scene_open(scene);
    world_until(scene->loop, scene_is_ready, scene);
    assert_non_null(scene->client);
    assert_int_equal(scene->end_count, 0);
    link_drain(scene->link);
    scene_expect_end(scene, RM_ERR_CANCELLED, "closed by us");
    assert_int_equal(scene->ready_count, 1);
}

static void another_identity_of_the_mesh_is_not_enough(void **state)
{
    static const char *const others[] = {"spiffe://td.test/ns/a/sa/web",
                                         "spiffe://td.test/remora/control2"};
    struct scene *scene = *state;
    for (size_t i = 0; i < 2; i++) {
        control_plane_stop(&scene->control);
        control_plane_start(&scene->control, scene->loop, &scene->authority, others[i],
                            scene->trust);
        scene->end_count = 0;
        scene_open(scene);
        scene_expect_end(scene, RM_ERR_UNTRUSTED, CONTROL_ID);
        assert_non_null(strstr(scene->sentence, "was not accepted"));
        assert_int_equal(scene->ready_count, 0);
    }
}

static void another_root_is_not_enough(void **state)
{
    struct scene *scene = *state;
    struct pki_authority impostor;
    pki_authority_init(&impostor, "td.test");
    control_plane_stop(&scene->control);
    control_plane_start(&scene->control, scene->loop, &impostor, CONTROL_ID, scene->trust);
    scene_open(scene);
    scene_expect_end(scene, RM_ERR_UNTRUSTED, "was not accepted");
    assert_int_equal(scene->ready_count, 0);
    pki_authority_deinit(&impostor);
}

static void closed_port_is_named(void **state)
{
    struct scene *scene = *state;
    char address[32];
    (void)snprintf(address, sizeof(address), "%s", scene->control.address);
    control_plane_stop(&scene->control);
    assert_int_equal(scene_try_open(scene, address, scene->trust), RM_OK);
    scene_expect_end(scene, RM_ERR_REFUSED, "is it running, and is the address right");
    assert_non_null(strstr(scene->sentence, address));
    control_plane_start(&scene->control, scene->loop, &scene->authority, CONTROL_ID, scene->trust);
}

static void name_that_does_not_resolve_is_named(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(scene_try_open(scene, "no-such-host.invalid:15010", scene->trust), RM_OK);
    world_until(scene->loop, scene_has_ended, scene);
    assert_int_not_equal(scene->reason, RM_OK);
    assert_non_null(strstr(scene->sentence, "'no-such-host.invalid' does not resolve"));
}

static void names_and_bracketed_addresses_are_understood(void **state)
{
    struct scene *scene = *state;
    char address[64];
    (void)snprintf(address, sizeof(address), "localhost%s", strrchr(scene->control.address, ':'));
    assert_int_equal(scene_try_open(scene, address, scene->trust), RM_OK);
    // [::1] refuses, 127.0.0.1 answers: each address of the name is tried.
    world_until(scene->loop, scene_is_ready, scene);
    link_close(scene->link);
    scene_expect_end(scene, RM_ERR_CANCELLED, "closed by us");
    scene->end_count = 0;
    (void)snprintf(address, sizeof(address), "[::1]%s", strrchr(scene->control.address, ':'));
    assert_int_equal(scene_try_open(scene, address, scene->trust), RM_OK);
    scene_expect_end(scene, RM_ERR_REFUSED, "[::1]:");
}

static void malformed_address_is_refused_at_once(void **state)
{
    static const char *const addresses[] = {
        "", "host", ":15010", "host:", "host:0", "h:65536", "host:15010x", "host:port"};
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_int_equal(scene_try_open(scene, addresses[i], scene->trust), RM_ERR_MALFORMED);
    }
    world_turns(scene->loop, 20);
    assert_int_equal(scene->end_count, 0);
}

static bool server_has_it(void *context)
{
    return rpc_server_connection_count(((struct scene *)context)->control.rpc) > 0;
}

static bool any_peer(void *context, const struct peer *peer)
{
    (void)context;
    return peer == NULL;
}

static void end_by_the_other_side_is_told(void **state)
{
    struct scene *scene = *state;
    scene_open(scene);
    world_until(scene->loop, scene_is_ready, scene);
    world_until(scene->loop, server_has_it, scene);
    rpc_server_close_peers(scene->control.rpc, any_peer, NULL);
    world_until(scene->loop, scene_has_ended, scene);
    assert_int_not_equal(scene->reason, RM_ERR_CANCELLED);
    assert_non_null(strstr(scene->sentence, "ended"));
    assert_non_null(strstr(scene->sentence, scene->control.address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(proven_control_plane_is_given, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(another_identity_of_the_mesh_is_not_enough, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(another_root_is_not_enough, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(closed_port_is_named, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(name_that_does_not_resolve_is_named, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(names_and_bracketed_addresses_are_understood, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(malformed_address_is_refused_at_once, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(end_by_the_other_side_is_told, scene_setup, scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
