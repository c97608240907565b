// SPDX-License-Identifier: GPL-3.0-or-later
#include "issued.h"

#include "base/alloc.h"

static void token_brings_a_certificate(void **state)
{
    struct scene *scene = *state;
    scene_start(scene);
    expect_changes(scene, 1);
    const struct certs_status *status = certs_status(scene->certs);
    assert_string_equal(scene->identity, HOST_ID);
    assert_true(strncmp(scene->token, "rmt1.0123456789ab.c2VjcmV0.", 27) == 0);
    assert_false(scene->is_by_svid);
    assert_false(scene->has_new_rejoin_key);
    assert_string_equal(status->last_error, "");
    assert_true(status->next_renewal_s > 0 && status->next_renewal_s < status->not_after_s);
    world_turns(scene->loop, 100);
    assert_int_equal(scene->request_count, 1);
}

static void wrong_pin_keeps_the_token(void **state)
{
    struct scene *scene = *state;
    scene_write_token(scene, &scene->other);
    scene_start(scene);
    expect_error(scene, "was not accepted");
    assert_int_equal(scene->request_count, 0);
}

static void renewal_is_by_certificate_with_a_fresh_key(void **state)
{
    struct scene *scene = *state;
    scene_start(scene);
    expect_changes(scene, 1);
    world_turns(scene->loop, 200); // the connection ends
    scene_jump(scene, 1000000);    // well before half life
    world_turns(scene->loop, 200);
    assert_int_equal(scene->request_count, 1);
    scene_jump(scene, 1000000); // past it
    expect_changes(scene, 2);
    assert_true(scene->is_by_svid);
    assert_string_equal(scene->token, "");
    assert_memory_not_equal(scene->spki_ids[0], scene->spki_ids[1], 32);
}

// A refusal, a lost answer and a wrong one: each is told, and after a while the same key asks
// again.
static void expect_recovery(struct scene *scene, enum issue_manners manners, const char *what)
{
    scene->manners = manners;
    scene_start(scene);
    expect_error(scene, what);
    assert_int_equal(scene->changed_count, 0);
    scene->manners = ISSUE_WELL;
    int asked = scene->request_count;
    for (int i = 0; scene->request_count == asked; i++) {
        assert_true(i < 1000);
        world_turns(scene->loop, 20);
        scene_jump(scene, 500);
    }
    expect_changes(scene, 1);
    assert_string_equal(certs_status(scene->certs)->last_error, "");
    assert_memory_equal(scene->spki_ids[asked - 1], scene->spki_ids[asked], 32);
}

static void refusal_for_now(void **state)
{
    ((struct scene *)*state)->status = RPC_UNAVAILABLE;
    expect_recovery(*state, ISSUE_REFUSES, "no, since the test says so");
}

static void refusal_for_good(void **state)
{
    ((struct scene *)*state)->status = RPC_PERMISSION_DENIED;
    expect_recovery(*state, ISSUE_REFUSES, "(PERMISSION_DENIED)");
}

static void lost_answer(void **state)
{
    expect_recovery(*state, ISSUE_LOSES_ANSWER, "the control plane");
}

static void no_answer(void **state)
{
    expect_recovery(*state, ISSUE_SAYS_NOTHING, "without a certificate");
}

static void garbage(void **state)
{
    expect_recovery(*state, ISSUE_SAYS_GARBAGE, "times make no sense");
}

static void certificate_for_another_key(void **state)
{
    expect_recovery(*state, ISSUE_FOR_OTHER_KEY, "key");
}

static void certificate_for_another_identity(void **state)
{
    expect_recovery(*state, ISSUE_FOR_OTHER_ID, "the answer says '" HOST_ID "2'");
}

static void certificate_of_another_authority(void **state)
{
    expect_recovery(*state, ISSUE_UNDER_OTHER_CA, "does not reach the bundle");
}

static void silent_service(void **state)
{
    struct scene *scene = *state;
    scene->manners = ISSUE_IS_SILENT;
    scene_start(scene);
    expect_requests(scene, 1);
    scene_jump(scene, 11000);
    expect_error(scene, "DEADLINE_EXCEEDED");
    scene->manners = ISSUE_WELL;
    scene_jump(scene, 60000);
    world_turns(scene->loop, 100);
    scene_jump(scene, 60000);
    expect_changes(scene, 1);
}

static void renewal_that_is_refused_joins_anew(void **state)
{
    struct scene *scene = *state;
    scene_start(scene);
    expect_changes(scene, 1);
    world_turns(scene->loop, 200);
    scene->manners = ISSUE_REFUSES;
    scene->status = RPC_PERMISSION_DENIED;
    scene_jump(scene, 2100000);
    expect_requests(scene, 2);
    assert_true(scene->is_by_svid);
    expect_error(scene, "PERMISSION_DENIED");
    scene->manners = ISSUE_WELL;
    while (scene->request_count < 3) {
        world_turns(scene->loop, 20);
        scene_jump(scene, 500);
    }
    expect_changes(scene, 2);
    assert_false(scene->is_by_svid);
    assert_true(scene->token[0] != '\0');
}

// The next renewal is due while the connection of the last is still ending: it still comes.
static void renewal_that_is_due_at_once_is_not_forgotten(void **state)
{
    struct scene *scene = *state;
    scene->life_s = 2;
    scene_start(scene);
    for (int i = 0; scene->changed_count < 6; i++) {
        assert_true(i < 2000);
        world_turns(scene->loop, 3);
        scene_jump(scene, 300);
    }
}

static void stop_works_at_every_turn(void **state)
{
    for (unsigned turns = 0; turns < 80; turns++) {
        struct scene *scene = *state;
        scene_start(scene);
        world_turns(scene->loop, turns);
        scene_stop(scene);
    }
}

// The n-th allocation fails, ours or the service's: it is told or not, but in the end it works.
static void failed_allocation_delays_at_most(void **state)
{
    struct scene *scene = *state;
    for (uint64_t n = 1; n < 400; n += 7) {
        scene->changed_count = 0;
        scene->manners = ISSUE_IS_SILENT; // the service's own assertions must not meet it
        scene->request_count = 0;
        scene_start(scene);
        rm_alloc_fail_at(n);
        world_turns(scene->loop, 12);
        rm_alloc_fail_at(0);
        scene->manners = ISSUE_WELL;
        for (int i = 0; scene->changed_count == 0; i++) {
            assert_true(i < 1000);
            world_turns(scene->loop, 20);
            scene_jump(scene, 1500);
        }
        scene_stop(scene);
    }
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(token_brings_a_certificate),
        SCENE_TEST(wrong_pin_keeps_the_token),
        SCENE_TEST(renewal_is_by_certificate_with_a_fresh_key),
        SCENE_TEST(refusal_for_now),
        SCENE_TEST(refusal_for_good),
        SCENE_TEST(lost_answer),
        SCENE_TEST(no_answer),
        SCENE_TEST(garbage),
        SCENE_TEST(certificate_for_another_key),
        SCENE_TEST(certificate_for_another_identity),
        SCENE_TEST(certificate_of_another_authority),
        SCENE_TEST(silent_service),
        SCENE_TEST(renewal_that_is_refused_joins_anew),
        SCENE_TEST(renewal_that_is_due_at_once_is_not_forgotten),
        SCENE_TEST(stop_works_at_every_turn),
        SCENE_TEST(failed_allocation_delays_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
