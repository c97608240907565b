// SPDX-License-Identifier: GPL-3.0-or-later
//
// What does not fit one message comes in several: the first is full, the others add to it; at the
// end both ends have the same view.
#include "push_fixture.h"

#include <stdio.h>

#include "push/push_internal.h"

#define SERVICES 50 // of 128 KiB each: more than 6 MiB

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, push_fixture_setup, push_fixture_teardown)

// A service whose identities fill 128 KiB.
static void put_large(struct push_fixture *fixture, size_t index)
{
    static char ids[MESH_MAX_IDENTITIES][2040];
    const char *list[MESH_MAX_IDENTITIES + 1] = {0};
    char name[16];
    for (size_t i = 0; i < MESH_MAX_IDENTITIES; i++) {
        int head = snprintf(ids[i], sizeof ids[i], "spiffe://td/%02zu/", i);
        memset(ids[i] + head, 'x', sizeof ids[i] - 1 - (size_t)head);
        list[i] = ids[i];
    }
    snprintf(name, sizeof name, "s%02zu", index);
    set_service(fixture->mesh, name, list, NULL);
}

static struct push_fixture *with_large_view(void **state)
{
    struct push_fixture *fixture = *state;
    for (size_t i = 0; i < SERVICES; i++) {
        put_large(fixture, i);
    }
    set_service(fixture->mesh, "web", LIST(WEB_ID), NULL);
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture->mesh, &endpoint), RM_OK);
    wait_endpoints(fixture->mesh, "web", 1);
    return fixture;
}

static void full_view_comes_in_parts(void **state)
{
    struct push_fixture *fixture = with_large_view(state);
    struct sidecar *sidecar =
        sidecar_start(fixture, 2, CACHE_ID, &(struct hello){.calls = LIST("*")});
    wait_has(sidecar, MESH_ENDPOINT, "web/" FIRST_PROCESS); // endpoints come last
    assert_int_equal(sidecar->full_count, 1);
    assert_int_equal(sidecar->responses, 2);
    assert_int_equal(seen_count(sidecar, MESH_SERVICE), SERVICES + 1);
    wait_in_step(sidecar); // the hashes agreed after each part
    set_service(fixture->mesh, "more", LIST(WEB_ID), NULL);
    wait_has(sidecar, MESH_SERVICE, "more");
    assert_int_equal(sidecar->full_count, 1);
    sidecar_free(sidecar);
}

static void changes_between_two_parts_are_not_lost(void **state)
{
    struct push_fixture *fixture = with_large_view(state);
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_silent = true;
    sidecar_hello(sidecar, &(struct hello){.calls = LIST("*")});
    wait_responses(sidecar, 1);
    assert_int_equal(delete_service(fixture->mesh, "s00"), RM_OK); // sent already
    assert_int_equal(delete_service(fixture->mesh, "s49"), RM_OK); // still to be sent
    set_service(fixture->mesh, "more", LIST(WEB_ID), NULL);
    sidecar->is_silent = false;
    sidecar_ack(sidecar);
    wait_has(sidecar, MESH_SERVICE, "more");
    wait_in_step(sidecar);
    assert_null(seen(sidecar, MESH_SERVICE, "s00"));
    assert_null(seen(sidecar, MESH_SERVICE, "s49"));
    assert_int_equal(seen_count(sidecar, MESH_SERVICE), SERVICES);
    assert_int_equal(sidecar->full_count, 1);
    sidecar_free(sidecar);
}

static void many_changes_come_in_parts_too(void **state)
{
    struct push_fixture *fixture = *state;
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_silent = true;
    sidecar_hello(sidecar, &(struct hello){.calls = LIST("*")});
    wait_responses(sidecar, 1);
    for (size_t i = 0; i < SERVICES; i++) {
        put_large(fixture, i);
    }
    sidecar->is_silent = false;
    sidecar_ack(sidecar);
    wait_in_step(sidecar);
    assert_int_equal(seen_count(sidecar, MESH_SERVICE), SERVICES);
    assert_int_equal(sidecar->full_count, 1);
    assert_true(sidecar->responses >= 3);
    sidecar_free(sidecar);
}

static void stream_may_end_between_two_parts(void **state)
{
    struct push_fixture *fixture = with_large_view(state);
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_silent = true;
    sidecar_hello(sidecar, &(struct hello){.calls = LIST("*")});
    wait_responses(sidecar, 1);
    sidecar_cut(sidecar);
    wait_sessions(fixture, 0);
    // Half a view is resumed: its hash tells, and everything comes anew.
    struct sidecar *next = sidecar_open(fixture, 2, CACHE_ID);
    mesh_view_unref(next->view);
    next->view = mesh_view_ref(sidecar->view);
    sidecar_hello(next, &(struct hello){.calls = LIST("*"), .resume = sidecar->view});
    wait_has(next, MESH_ENDPOINT, "web/" FIRST_PROCESS);
    wait_in_step(next);
    assert_int_equal(seen_count(next, MESH_SERVICE), SERVICES + 1);
    sidecar_free(sidecar);
    sidecar_free(next);
}

struct cache_call {
    struct push_fixture *fixture;
    size_t count;
};

static void do_count_cache(struct fixture *base, void *context)
{
    struct cache_call *call = context;
    (void)base;
    call->count = map_count(call->fixture->push->encoded);
}

static void encodings_of_what_is_gone_are_dropped(void **state)
{
    struct push_fixture *fixture = with_large_view(state);
    struct sidecar *sidecar =
        sidecar_start(fixture, 2, CACHE_ID, &(struct hello){.calls = LIST("*")});
    wait_has(sidecar, MESH_ENDPOINT, "web/" FIRST_PROCESS);
    struct cache_call before = {fixture, 0};
    fixture_run(fixture->mesh->base, do_count_cache, &before);
    for (size_t i = 0; i < SERVICES; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%02zu", i);
        assert_int_equal(delete_service(fixture->mesh, name), RM_OK);
    }
    wait_lacks(sidecar, MESH_SERVICE, "s49");
    struct cache_call after = {fixture, 0};
    fixture_run(fixture->mesh->base, do_count_cache, &after);
    assert_int_equal(after.count, before.count - SERVICES);
    sidecar_free(sidecar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(full_view_comes_in_parts),
        PROMISE(changes_between_two_parts_are_not_lost),
        PROMISE(many_changes_come_in_parts_too),
        PROMISE(stream_may_end_between_two_parts),
        PROMISE(encodings_of_what_is_gone_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
