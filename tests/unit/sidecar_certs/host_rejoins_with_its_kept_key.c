// SPDX-License-Identifier: GPL-3.0-or-later
#include "issued.h"

static void spoil_token(struct scene *scene)
{
    char path[256];
    folder_path(&scene->folder, "token", path);
    assert_int_equal(unlink(path), 0);
}

static void restart(struct scene *scene)
{
    scene_stop(scene);
    scene->changed_count = 0;
    scene->request_count = 0;
    scene_start(scene);
}

static void kept_key_is_proof_enough(void **state)
{
    struct scene *scene = *state;
    scene->registers_rejoin = true;
    scene_configure(scene, true, true);
    scene_start(scene);
    expect_changes(scene, 1);
    assert_true(scene->has_new_rejoin_key);
    spoil_token(scene);
    restart(scene);
    expect_changes(scene, 1);
    assert_true(scene->has_rejoin_proof);
    assert_false(scene->has_new_rejoin_key); // it is registered already
    assert_string_equal(scene->token, "");
}

static void key_that_was_not_registered_is_not_kept(void **state)
{
    struct scene *scene = *state;
    scene_configure(scene, true, true);
    scene_start(scene);
    expect_changes(scene, 1);
    restart(scene);
    expect_changes(scene, 1);
    assert_false(scene->has_rejoin_proof);
    assert_true(scene->token[0] != '\0');
}

// A refused re-join falls back to the token, and the key it kept is replaced by one that counts.
static void refused_rejoin_ends_in_a_new_key(void **state)
{
    struct scene *scene = *state;
    scene->registers_rejoin = true;
    scene_configure(scene, true, true);
    scene_start(scene);
    expect_changes(scene, 1);
    scene->manners = ISSUE_REFUSES;
    scene->status = RPC_UNAUTHENTICATED;
    restart(scene);
    expect_error(scene, "UNAUTHENTICATED");
    assert_true(scene->has_rejoin_proof);
    scene->manners = ISSUE_WELL;
    while (scene->request_count < 2) {
        world_turns(scene->loop, 20);
        scene_jump(scene, 500);
    }
    expect_changes(scene, 1);
    assert_true(scene->token[0] != '\0');
    assert_true(scene->has_new_rejoin_key);
    spoil_token(scene);
    restart(scene);
    expect_changes(scene, 1);
    assert_true(scene->has_rejoin_proof);
}

static void without_token_and_key_the_way_out_is_named(void **state)
{
    struct scene *scene = *state;
    scene_configure(scene, false, true);
    scene_start(scene);
    expect_error(scene, "remora token create");
    assert_int_equal(scene->request_count, 0);
}

static void reload_may_name_another_folder(void **state)
{
    struct scene *scene = *state;
    scene->registers_rejoin = true;
    scene_start(scene); // without a folder
    expect_changes(scene, 1);
    assert_false(scene->has_new_rejoin_key);
    world_turns(scene->loop, 200);
    scene_configure(scene, true, true);
    certs_configure(scene->certs, scene->config);
    scene_jump(scene, 2100000);
    expect_changes(scene, 2); // a renewal registers a key
    assert_true(scene->has_new_rejoin_key);
    spoil_token(scene);
    restart(scene);
    expect_changes(scene, 1);
    assert_true(scene->has_rejoin_proof);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(kept_key_is_proof_enough),
        SCENE_TEST(key_that_was_not_registered_is_not_kept),
        SCENE_TEST(refused_rejoin_ends_in_a_new_key),
        SCENE_TEST(without_token_and_key_the_way_out_is_named),
        SCENE_TEST(reload_may_name_another_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
