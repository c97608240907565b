// SPDX-License-Identifier: GPL-3.0-or-later
//
// on_end comes exactly once, later, and nothing is left open; and however memory fails, too.
#include "linked.h"

#include "base/alloc.h"

typedef void (*close_fn)(struct link *link);

static void close_both_ways(struct scene *scene, void (*reach)(struct scene *scene))
{
    static const close_fn ways[] = {link_close, link_drain};
    for (size_t i = 0; i < 2; i++) {
        scene->end_count = 0;
        scene->ready_count = 0;
        scene_open(scene);
        reach(scene);
        struct link *link = scene->link;
        ways[i](link);
        assert_int_equal(scene->end_count, 0); // never from inside
        ways[i](link);                         // again
        link_close(link);                      // and harder
        scene_expect_end(scene, RM_ERR_CANCELLED, "closed by us");
    }
}

static void reach_resolve(struct scene *scene)
{
    assert_int_equal(scene->ready_count, 0);
}

static bool is_accepted(void *context)
{
    return ((struct scene *)context)->control.accepted_count > 0;
}

static void reach_handshake(struct scene *scene)
{
    scene->control.accepted_count = 0;
    scene->control.never_shakes_hands = true;
    world_until(scene->loop, is_accepted, scene);
    assert_int_equal(scene->ready_count, 0);
}

static void reach_ready(struct scene *scene)
{
    world_until(scene->loop, scene_is_ready, scene);
}

static void before_anything_happened(void **state)
{
    close_both_ways(*state, reach_resolve);
}

static void while_the_other_side_is_silent(void **state)
{
    close_both_ways(*state, reach_handshake);
}

static void when_it_stands(void **state)
{
    close_both_ways(*state, reach_ready);
}

static void inside_on_ready(void **state)
{
    struct scene *scene = *state;
    scene->closes_when_ready = true;
    scene_open(scene);
    scene_expect_end(scene, RM_ERR_CANCELLED, "closed by us");
    assert_int_equal(scene->ready_count, 1);
}

static void after_it_ended_by_itself(void **state)
{
    struct scene *scene = *state;
    struct pki_authority impostor;
    pki_authority_init(&impostor, "td.test");
    struct trust_snapshot *other = pki_trust("td.test", &impostor, NULL);
    assert_int_equal(scene_try_open(scene, scene->control.address, other), RM_OK);
    scene_expect_end(scene, RM_ERR_UNTRUSTED, "was not accepted");
    trust_unref(other);
    pki_authority_deinit(&impostor);
}

static bool is_ready_or_ended(void *context)
{
    return scene_is_ready(context) || scene_has_ended(context);
}

// The n-th allocation after link_open() fails, ours or the server's: it ends once, or stands.
static void failed_allocation_ends_it_once(void **state)
{
    struct scene *scene = *state;
    int stood = 0;
    for (uint64_t n = 1; n < 120; n++) {
        scene->end_count = 0;
        scene->ready_count = 0;
        rm_alloc_fail_at(n);
        enum rm_err result = RM_ERR_NO_MEMORY;
        struct link_options options = {.loop = scene->loop,
                                       .resolver = scene->resolver,
                                       .address = scene->control.address,
                                       .trust_domain = "td.test",
                                       .tls = scene->control.tls};
        result = link_open(&options, scene_on_ready, scene_on_end, scene, &scene->link);
        if (result != RM_OK) {
            rm_alloc_fail_at(0);
            assert_int_equal(result, RM_ERR_NO_MEMORY);
            assert_true(n < 20);
            continue;
        }
        world_until(scene->loop, is_ready_or_ended, scene);
        rm_alloc_fail_at(0);
        if (scene->end_count == 0) {
            stood++;
            link_close(scene->link);
        }
        world_until(scene->loop, scene_has_ended, scene);
        assert_int_equal(scene->end_count, 1);
    }
    assert_in_range(stood, 1, 119);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(before_anything_happened, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(while_the_other_side_is_silent, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(when_it_stands, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(inside_on_ready, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(after_it_ended_by_itself, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(failed_allocation_ends_it_once, scene_setup,
                                        scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
