// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "cases.h"
#include "worker/endpoints.h"

#define A "10.0.0.1:15008"
#define B "10.0.0.2:15008"
#define C "10.0.0.3:15008"

struct scene {
    struct mesh_view *view; // service web at A and B in zone east, C in zone west
    struct map *states;
};

static struct mesh_view *three_endpoints(void)
{
    return full_view(PUTS(
        make_service("web", 80, LIST(WEB_ID), LIST()), make_endpoint("web/1", A, WEB_ID, "east"),
        make_endpoint("web/2", B, WEB_ID, "east"), make_endpoint("web/3", C, WEB_ID, "west")));
}

static int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    scene->view = three_endpoints();
    scene->states = map_new();
    *state = scene;
    return 0;
}

static int scene_teardown(void **state)
{
    struct scene *scene = *state;
    endpoints_free(scene->states);
    mesh_view_unref(scene->view);
    free(scene);
    return 0;
}

static struct endpoint_question question_of(const struct scene *scene, uint32_t random)
{
    return (struct endpoint_question){
        .view = scene->view, .service = "web", .now_ms = 1000, .random = random};
}

static const char *address_of(const struct endpoint_question *question, const struct map *states)
{
    const struct mesh_resource *chosen = endpoint_choose(question, states);
    return chosen != NULL ? chosen->of.endpoint.address : NULL;
}

// How often each address is chosen over many draws: bit 0 A, bit 1 B, bit 2 C.
static unsigned drawn(const struct scene *scene, struct endpoint_question question)
{
    unsigned seen = 0;
    for (uint32_t i = 0; i < 4096; i++) {
        question.random = i * UINT32_C(2654435761);
        const char *address = address_of(&question, scene->states);
        seen |= address == NULL ? 0 : 1U << (address[7] - '1');
    }
    return seen;
}

static void all_get_their_turn(void **state)
{
    assert_int_equal(drawn(*state, question_of(*state, 0)), 7);
}

// Two are drawn and the one with fewer connections wins, so the busiest of all never does.
static void busiest_is_never_chosen(void **state)
{
    struct scene *scene = *state;
    endpoint_state_get(scene->states, A)->open_count = 2;
    endpoint_state_get(scene->states, B)->open_count = 1;
    assert_int_equal(drawn(scene, question_of(scene, 0)), 6);
}

static void own_zone_comes_first(void **state)
{
    struct scene *scene = *state;
    struct endpoint_question question = question_of(scene, 0);
    question.zone = "west";
    assert_int_equal(drawn(scene, question), 4);
    question.zone = "east";
    assert_int_equal(drawn(scene, question), 3);
    // A zone without endpoints, and no zone, narrow nothing.
    question.zone = "north";
    assert_int_equal(drawn(scene, question), 7);
    question.zone = "";
    assert_int_equal(drawn(scene, question), 7);
}

static struct endpoint_use begun(const struct scene *scene, const char *address)
{
    struct endpoint_use use = {0};
    endpoint_begin(&use, endpoint_state_get(scene->states, address));
    return use;
}

static void fail_at(const struct scene *scene, const char *address, uint64_t now_ms)
{
    struct endpoint_use use = begun(scene, address);
    endpoint_note_failure(&use, now_ms);
    endpoint_end(&use);
    assert_int_equal(endpoint_state_get(scene->states, address)->open_count, 0);
}

static void failed_endpoint_is_set_aside_for_a_while(void **state)
{
    struct scene *scene = *state;
    fail_at(scene, C, 1000);
    struct endpoint_question question = question_of(scene, 0);
    question.zone = "west";
    assert_int_equal(drawn(scene, question), 3); // rather another zone
    question.now_ms = 1000 + ENDPOINT_EJECT_MIN_MS;
    assert_int_equal(drawn(scene, question), 4); // time is up
    fail_at(scene, C, question.now_ms);
    question.now_ms += 2 * ENDPOINT_EJECT_MIN_MS - 1;
    assert_int_equal(drawn(scene, question), 3); // the second time takes twice as long
    question.now_ms += 1;
    assert_int_equal(drawn(scene, question), 4);
}

// One connection finds out; the others come when it has.
static void endpoint_that_was_set_aside_is_probed_by_one(void **state)
{
    struct scene *scene = *state;
    struct endpoint_question question = question_of(scene, 0);
    question.zone = "west";
    fail_at(scene, C, 1000);
    question.now_ms = 1000 + ENDPOINT_EJECT_MIN_MS;
    assert_int_equal(drawn(scene, question), 4);
    struct endpoint_use probe = begun(scene, C);
    assert_true(probe.is_probe);
    assert_int_equal(drawn(scene, question), 3);
    question.now_ms += 60000; // however long it takes
    assert_int_equal(drawn(scene, question), 3);
    struct endpoint_use other = begun(scene, C); // had no choice
    assert_false(other.is_probe);
    endpoint_end(&other);
    assert_int_equal(drawn(scene, question), 3);
    endpoint_note_success(&probe);
    assert_int_equal(drawn(scene, question), 4);
    endpoint_end(&probe);
    assert_int_equal(drawn(scene, question), 4);
}

// A probe whose application went away says nothing: the next connection probes.
static void probe_without_an_outcome_is_repeated(void **state)
{
    struct scene *scene = *state;
    struct endpoint_question question = question_of(scene, 0);
    question.zone = "west";
    fail_at(scene, C, 1000);
    question.now_ms = 1000 + ENDPOINT_EJECT_MIN_MS;
    struct endpoint_use probe = begun(scene, C);
    endpoint_end(&probe);
    assert_int_equal(drawn(scene, question), 4);
    probe = begun(scene, C);
    assert_true(probe.is_probe);
    endpoint_note_failure(&probe, question.now_ms);
    assert_int_equal(drawn(scene, question), 3);
    endpoint_end(&probe);
}

// A hundred that were under way when it failed are one failure, not a hundred in a row.
static void crowd_of_failures_counts_once(void **state)
{
    struct scene *scene = *state;
    struct endpoint_use crowd[100];
    for (int i = 0; i < 100; i++) {
        crowd[i] = begun(scene, C);
    }
    for (int i = 0; i < 100; i++) {
        endpoint_note_failure(&crowd[i], 1000);
        endpoint_end(&crowd[i]);
    }
    assert_int_equal(endpoint_state_get(scene->states, C)->ejected_until_ms,
                     1000 + ENDPOINT_EJECT_MIN_MS);
}

// It is back, but its failures count as connections for some time.
static void recent_failures_weigh(void **state)
{
    struct scene *scene = *state;
    struct endpoint_question question = question_of(scene, 0);
    fail_at(scene, A, 1000);
    // Due for a probe it loses no draw for them, or it would never be found again.
    question.now_ms = 1000 + ENDPOINT_EJECT_MIN_MS;
    assert_int_equal(drawn(scene, question), 7);
    question.now_ms = 1000;
    struct endpoint_use probe = begun(scene, A);
    endpoint_note_success(&probe);
    endpoint_end(&probe);
    endpoint_state_get(scene->states, B)->open_count = ENDPOINT_FAILURE_COST - 1;
    endpoint_state_get(scene->states, C)->open_count = ENDPOINT_FAILURE_COST - 1;
    assert_int_equal(drawn(scene, question), 6);
    question.now_ms = 1000 + ENDPOINT_FAILURE_HALF_MS;
    assert_int_equal(drawn(scene, question), 7);
    question.now_ms = UINT64_MAX;
    assert_int_equal(drawn(scene, question), 7);
    for (int i = 0; i < 100; i++) {
        fail_at(scene, A, 1000);
    }
    assert_int_equal(endpoint_state_get(scene->states, A)->failure_cost, ENDPOINT_FAILURE_COST_MAX);
}

static void setting_aside_has_an_upper_bound(void **state)
{
    struct scene *scene = *state;
    struct endpoint_state *failing = endpoint_state_get(scene->states, A);
    uint64_t now_ms = 500;
    for (int i = 0; i < 100; i++) {
        fail_at(scene, A, now_ms);
        assert_in_range(failing->ejected_until_ms, now_ms + ENDPOINT_EJECT_MIN_MS,
                        now_ms + ENDPOINT_EJECT_MAX_MS);
        now_ms = failing->ejected_until_ms;
    }
    fail_at(scene, A, now_ms);
    assert_int_equal(failing->ejected_until_ms, now_ms + ENDPOINT_EJECT_MAX_MS);
}

static void when_all_are_set_aside_one_is_probed(void **state)
{
    struct scene *scene = *state;
    endpoint_state_get(scene->states, A)->ejected_until_ms = 9000;
    endpoint_state_get(scene->states, B)->ejected_until_ms = 5000;
    endpoint_state_get(scene->states, C)->ejected_until_ms = 7000;
    // Of two, the one that returns first: the last of all is never probed.
    assert_int_equal(drawn(scene, question_of(scene, 0)), 6);
    // Rather than meet where a probe is under way.
    endpoint_state_get(scene->states, B)->is_probed = true;
    assert_int_equal(drawn(scene, question_of(scene, 0)), 5);
    // All are being probed: the lighter ones.
    endpoint_state_get(scene->states, A)->is_probed = true;
    endpoint_state_get(scene->states, C)->is_probed = true;
    endpoint_state_get(scene->states, A)->open_count = 2;
    endpoint_state_get(scene->states, C)->open_count = 1;
    assert_int_equal(drawn(scene, question_of(scene, 0)), 6);
}

static void tried_ones_are_not_tried_again(void **state)
{
    struct scene *scene = *state;
    struct endpoint_question question = question_of(scene, 0);
    const char *tried[] = {A, C, B};
    question.tried = tried;
    question.tried_count = 2;
    assert_int_equal(drawn(scene, question), 2);
    question.tried_count = 3;
    assert_int_equal(drawn(scene, question), 0);
}

static void what_is_not_ready_gets_nothing_new(void **state)
{
    struct scene *scene = *state;
    struct mesh_resource *leaving = make_endpoint("web/2", B, WEB_ID, "east");
    leaving->of.endpoint.is_ready = false;
    scene->view = apply_all(scene->view, false, version_of(1, 2), PUTS(leaving), NULL, 0);
    assert_int_equal(drawn(scene, question_of(scene, 0)), 5);
}

static void other_services_do_not_count(void **state)
{
    struct scene *scene = *state;
    struct endpoint_question question = question_of(scene, 0);
    question.service = "we";
    assert_null(endpoint_choose(&question, scene->states));
    question.service = "web1";
    assert_null(endpoint_choose(&question, scene->states));
}

static void addresses_that_left_are_forgotten(void **state)
{
    struct scene *scene = *state;
    char address[32];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(address, sizeof(address), "10.1.%d.%d:15008", i / 256, i % 256);
        assert_non_null(endpoint_state_get(scene->states, address));
    }
    struct endpoint_state *in_use = endpoint_state_get(scene->states, "10.1.0.7:15008");
    in_use->open_count = 1;
    struct endpoint_state *known = endpoint_state_get(scene->states, A);
    endpoints_prune(scene->states, scene->view);
    assert_int_equal(map_count(scene->states), 2);
    // A live connection still counts on its own.
    assert_ptr_equal(endpoint_state_get(scene->states, "10.1.0.7:15008"), in_use);
    assert_ptr_equal(endpoint_state_get(scene->states, A), known);
}

static void failed_allocation_forgets_nothing_in_use(void **state)
{
    struct scene *scene = *state;
    char address[32];
    for (int i = 0; i < 16; i++) {
        (void)snprintf(address, sizeof(address), "10.1.0.%d:15008", i);
        assert_non_null(endpoint_state_get(scene->states, address));
    }
    endpoint_state_get(scene->states, "10.1.0.7:15008")->open_count = 1;
    for (uint64_t n = 1; map_count(scene->states) > 1; n++) {
        assert_true(n < 100);
        rm_alloc_fail_at(n);
        endpoints_prune(scene->states, scene->view);
        if (map_count(scene->states) <= 3) {
            break; // no more than the view has: nothing to do
        }
    }
    rm_alloc_fail_at(0);
    assert_int_equal(endpoint_state_get(scene->states, "10.1.0.7:15008")->open_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_get_their_turn, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(busiest_is_never_chosen, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(own_zone_comes_first, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(failed_endpoint_is_set_aside_for_a_while, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(endpoint_that_was_set_aside_is_probed_by_one, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(probe_without_an_outcome_is_repeated, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(crowd_of_failures_counts_once, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(recent_failures_weigh, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(setting_aside_has_an_upper_bound, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(when_all_are_set_aside_one_is_probed, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(tried_ones_are_not_tried_again, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_ready_gets_nothing_new, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(other_services_do_not_count, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(addresses_that_left_are_forgotten, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(failed_allocation_forgets_nothing_in_use, scene_setup,
                                        scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
