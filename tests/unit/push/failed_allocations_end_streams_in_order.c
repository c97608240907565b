// SPDX-License-Identifier: GPL-3.0-or-later
//
// The nth allocation of the loop's thread fails while a stream registers, gets its view and a
// change. Whatever becomes of that stream, the next one works, and the sanitizer finds nothing left
// behind. Both ends live on this thread: the sidecar gives up where memory fails it.
#include "push_fixture.h"

#include "records/record_keys.h"

struct attempt {
    struct push_fixture *fixture;
    struct sidecar *sidecar;
    uint64_t fail_at;
    bool was_met;
};

static void do_arm(struct fixture *base, void *context)
{
    (void)base;
    rm_alloc_fail_at(((const struct attempt *)context)->fail_at);
}

static void do_disarm(struct fixture *base, void *context)
{
    struct attempt *attempt = context;
    (void)base;
    attempt->was_met = rm_alloc_count() >= attempt->fail_at;
    rm_alloc_fail_at(0);
}

static bool is_over(struct registry_fixture *mesh, const void *context)
{
    const struct attempt *attempt = context;
    (void)mesh;
    return attempt->sidecar->is_ended || attempt->sidecar->client == NULL ||
           attempt->sidecar->responses > 0;
}

static void try_once(struct attempt *attempt)
{
    struct push_fixture *fixture = attempt->fixture;
    const struct hello hello = {.calls = LIST("*"), .exposes = LIST("web")};
    attempt->sidecar = sidecar_open(fixture, 1, WEB_ID);
    wait_sessions(fixture, 1);
    fixture_run(fixture->mesh->base, do_arm, attempt);
    sidecar_hello(attempt->sidecar, &hello);
    wait_until(fixture->mesh, is_over, attempt);
    fixture_run(fixture->mesh->base, do_disarm, attempt);
    sidecar_free(attempt->sidecar);
    wait_sessions(fixture, 0);
    // It leaves. A registry that fell behind meets the endpoint later and gives it a grace, too.
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS + 1);
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS + 1);
    wait_endpoints(fixture->mesh, "web", 0);
    wait_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX, 0);
}

static void every_allocation_may_fail(void **state)
{
    struct push_fixture *fixture = *state;
    struct attempt attempt = {.fixture = fixture, .was_met = true};
    set_service(fixture->mesh, "web", LIST(WEB_ID), LIST(CACHE_ID));
    put_lineage(fixture->mesh, lineage(1), WEB_ID, NULL, LIST(ANY_RANGE));
    for (uint64_t n = 1; attempt.was_met && n < 2000; n++) {
        attempt.fail_at = n;
        try_once(&attempt);
    }
    assert_false(attempt.was_met);
    assert_true(attempt.fail_at > 50);
    struct sidecar *last = sidecar_start(
        fixture, 1, WEB_ID, &(struct hello){.calls = LIST("*"), .exposes = LIST("web")});
    wait_in_step(last);
    sidecar_free(last);
}

static void every_allocation_of_a_change_may_fail(void **state)
{
    struct push_fixture *fixture = *state;
    struct attempt attempt = {.fixture = fixture, .was_met = true};
    for (uint64_t n = 1; attempt.was_met && n < 2000; n++) {
        attempt.fail_at = n;
        attempt.sidecar = sidecar_start(fixture, 1, WEB_ID, &(struct hello){.calls = LIST("web")});
        wait_in_step(attempt.sidecar);
        attempt.sidecar->responses = 0;
        set_service(fixture->mesh, "web", n % 2 == 0 ? LIST(WEB_ID) : LIST(CACHE_ID), NULL);
        fixture_run(fixture->mesh->base, do_arm, &attempt);
        jump_only(fixture->mesh, PUSH_PACE_MS + 1); // the delta is made now
        wait_until(fixture->mesh, is_over, &attempt);
        fixture_run(fixture->mesh->base, do_disarm, &attempt);
        sidecar_free(attempt.sidecar);
        wait_sessions(fixture, 0);
    }
    assert_false(attempt.was_met);
    assert_true(attempt.fail_at > 10);
}

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, push_fixture_setup, push_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(every_allocation_may_fail),
        PROMISE(every_allocation_of_a_change_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
