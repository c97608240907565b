// SPDX-License-Identifier: GPL-3.0-or-later
//
// The nth allocation of the loop's thread fails, for every n up to where a call needs no more:
// that call is refused, or its connection ends, and the next one works. The sanitizer watches for
// leaks.
#include "admin_fixture.h"

#include "base/alloc.h"

struct attempt {
    struct reply reply;              // filled
    const char *method;              // of the service
    const ProtobufCMessage *request; // borrowed
    uint64_t fail_at;                // allocation that fails
    bool is_started;                 // an answer comes
    bool was_met;                    // the failure happened
};

// A connection that is about to end takes no call, though no allocation failed: then again.
static void start(struct fixture *base, void *context)
{
    struct attempt *attempt = context;
    struct admin_fixture *fixture = attempt->reply.fixture;
    (void)base;
    if (fixture->client == NULL) {
        assert_true(admin_connect(fixture));
    }
    rm_alloc_fail_at(attempt->fail_at);
    attempt->is_started = admin_start(&attempt->reply, attempt->method, attempt->request);
    if (!attempt->is_started) {
        attempt->was_met = rm_alloc_count() >= attempt->fail_at;
        rm_alloc_fail_at(0);
    }
}

enum outcome { WITHOUT_FAILURE, WITH_FAILURE, FIXTURE_SPENT };

static enum outcome try_with_failure(struct admin_fixture *fixture, size_t method, uint64_t fail_at,
                                     size_t *refused)
{
    struct attempt attempt = {
        .reply = {.fixture = fixture}, .method = admin_test_methods[method], .fail_at = fail_at};
    attempt.request = prepare_request(fixture, method, method * 10000 + fail_at);
    if (attempt.request == NULL) {
        return FIXTURE_SPENT;
    }
    do {
        fixture_run(admin_base(fixture), start, &attempt);
    } while (!attempt.is_started && !attempt.was_met);
    if (attempt.is_started) {
        fixture_wait(admin_base(fixture), &attempt.reply.done, 1);
        assert_int_not_equal(attempt.reply.status, RPC_DEADLINE_EXCEEDED);
        attempt.was_met = attempt.reply.allocations >= fail_at;
    }
    bool is_refused = !attempt.is_started || attempt.reply.status != RPC_OK;
    assert_true(attempt.was_met || !is_refused);
    *refused += is_refused ? 1 : 0;
    reply_free(&attempt.reply);
    return attempt.was_met ? WITH_FAILURE : WITHOUT_FAILURE;
}

// Attempts leave records behind, and what is made of all of them (lists, the view) takes more
// allocations each time: a new fixture every now and then.
#define ATTEMPTS_PER_FIXTURE 25

static void every_allocation_of_every_method_may_fail(void **state)
{
    (void)state;
    for (size_t method = 0; method < ADMIN_TEST_METHODS; method++) {
        size_t refused = 0;
        uint64_t fail_at = 1;
        enum outcome outcome = WITH_FAILURE;
        while (outcome != WITHOUT_FAILURE) {
            void *fixture = NULL;
            admin_fixture_setup(&fixture);
            outcome = WITH_FAILURE;
            for (size_t i = 0; outcome == WITH_FAILURE && i < ATTEMPTS_PER_FIXTURE; i++) {
                outcome = try_with_failure(fixture, method, fail_at, &refused);
                fail_at += outcome == WITH_FAILURE ? 1 : 0;
            }
            admin_fixture_teardown(&fixture);
        }
        assert_true(refused > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_every_method_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
