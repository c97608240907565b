// SPDX-License-Identifier: GPL-3.0-or-later
//
// The nth allocation fails while a method is asked, for every n up to where it needs no more: that
// call is refused or its connection ends, and the next one is answered. Nothing leaks (the
// sanitizer watches).
#include "local_fixture.h"

#include "base/alloc.h"

#define MOST_ALLOCATIONS 4000 // of one call; some hundred today

static const struct {
    const char *method;  // of the service
    const char *request; // encoded
    size_t length;       // of request
} asked[] = {
    {"GetStatus", "", 0},
    {"GetView", "", 0},
    {"ListConnections", "\x0a\x05third", 7},
    {"ListCertificates", "", 0},
    {"SetLogLevel", "\x0a\x04warn\x10\x3c", 8},
    {"Renew", "\x0a\x02no", 4},
};

struct attempts {
    size_t method;  // of asked
    uint64_t n;     // allocation that fails; 0: none
    bool is_asking; // the answer is on its way
    size_t refused; // calls that failed by it
    size_t again;   // calls that a connection at its end did not take
};

// One call after the other, until none of its allocations fails.
static bool attempt(void *context)
{
    struct local_world *world = context;
    struct attempts *attempts = world->own;
    struct told *told = &world->calls[0];
    if (!attempts->is_asking) {
        if (!step_connect(world)) {
            return false;
        }
        world->call_count = 0;
        told_clear(told);
        rm_alloc_fail_at(attempts->n);
        if (local_call(world, asked[attempts->method].method, asked[attempts->method].request,
                       asked[attempts->method].length) == NULL) {
            told->is_closed = true;
            told->status = RPC_UNAVAILABLE;
        }
        attempts->is_asking = true;
        return false;
    }
    if (!told->is_closed) {
        return false;
    }
    bool is_met = rm_alloc_count() >= attempts->n;
    rm_alloc_fail_at(0);
    attempts->is_asking = false;
    bool is_refused = told->status != RPC_OK && told->status != RPC_NOT_FOUND;
    if (is_refused && !is_met) {
        // A connection that is about to end takes no call, though no allocation failed: again.
        assert_in_range(++attempts->again, 1, MOST_ALLOCATIONS);
        return false;
    }
    attempts->refused += is_refused;
    assert_in_range(++attempts->n, 1, MOST_ALLOCATIONS);
    return !is_met;
}

static void each_method(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        void *fixture = NULL;
        local_setup(&fixture);
        struct local_world *world = fixture;
        struct attempts attempts = {.method = i, .n = 1};
        local_set_view(world, 3);
        local_add_connections(world, 3);
        world->own = &attempts;
        local_run(world, (const scenario_step_fn[]){step_connect, attempt, NULL});
        assert_in_range(attempts.refused, 5, MOST_ALLOCATIONS);
        local_teardown(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_method),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
