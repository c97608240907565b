// SPDX-License-Identifier: GPL-3.0-or-later
//
// Whenever a caller goes, and when the whole control plane does, what another room still owes an
// answer to is freed when that answer comes; no file stays behind. The sanitizer watches.
#include "admin_fixture.h"

#include <sys/stat.h>

#include "base/alloc.h"

#define MOST_TURNS 24 // of the loop; by then every call waits for the store

// One call, and its caller's end a number of turns later.
struct leaving {
    struct reply reply;              // filled
    const char *method;              // of the service
    const ProtobufCMessage *request; // borrowed
    struct deferred turn;            // counts down
    size_t turns;                    // left
    uint64_t revision;               // of the store before the call
};

static void on_turn(void *context)
{
    struct leaving *leaving = context;
    struct admin_fixture *fixture = leaving->reply.fixture;
    if (leaving->turns-- > 0) {
        deferred_schedule(admin_base(fixture)->loop, &leaving->turn);
    } else if (fixture->client != NULL) {
        rpc_client_abort(fixture->client, RM_ERR_CANCELLED);
    }
}

static void start_leaving(struct fixture *base, void *context)
{
    struct leaving *leaving = context;
    assert_true(admin_start(&leaving->reply, leaving->method, leaving->request));
    deferred_init(&leaving->turn, on_turn, leaving);
    deferred_schedule(base->loop, &leaving->turn);
}

static void connect_again(struct fixture *base, void *context)
{
    (void)base;
    assert_true(admin_connect(context));
}

static void leave_after(struct admin_fixture *fixture, size_t method, size_t turns)
{
    size_t number = method * 1000 + turns;
    struct leaving leaving = {.reply = {.fixture = fixture}, .turns = turns};
    leaving.method = admin_test_methods[method];
    leaving.request = prepare_request(fixture, method, number);
    size_t ended = fixture->ended;
    fixture_run(admin_base(fixture), start_leaving, &leaving);
    fixture_wait(admin_base(fixture), &fixture->ended, ended + 1);
    reply_free(&leaving.reply);
    fixture_run(admin_base(fixture), connect_again, fixture);
}

static void caller_may_leave_in_each_state(void **state)
{
    struct admin_fixture *fixture = *state;
    for (size_t method = 0; method < ADMIN_TEST_METHODS; method++) {
        for (size_t turns = 0; turns < MOST_TURNS; turns++) {
            leave_after(fixture, method, turns);
        }
        struct reply reply =
            admin_call(fixture, "ListServices", prepare_request(fixture, 0, method));
        assert_int_equal(reply.status, RPC_OK);
        reply_free(&reply);
    }
}

// A backup is refused while one is under way, so this waits for those that were left behind.
static void backup_leaves_no_file(void **state)
{
    struct admin_fixture *fixture = *state;
    struct reply reply = {.status = RPC_ABORTED};
    leave_after(fixture, ADMIN_TEST_METHODS - 1, MOST_TURNS);
    while (reply.status == RPC_ABORTED) {
        reply_free(&reply);
        reply = admin_call(fixture, "Backup", prepare_request(fixture, 0, 0));
    }
    assert_int_equal(reply.status, RPC_OK);
    assert_true(reply.length > 16);
    reply_free(&reply);
    struct stat found;
    assert_int_not_equal(stat(fixture_path(admin_base(fixture), "backup.sending"), &found), 0);
}

// --- A backup whose caller leaves while the store copies itself.

#define BALLAST_BYTES (1U << 20) // of one record; so that the copy takes many turns
#define BALLAST_COUNT 8          // records

struct ballast {
    struct admin_fixture *fixture; // borrowed
    uint8_t *bytes;                // BALLAST_BYTES of anything; owned by the test
    size_t committed;              // records that are durable
};

static void on_ballast(void *context, enum rm_err result, uint64_t revision)
{
    struct ballast *ballast = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    fixture_count(admin_base(ballast->fixture), &ballast->committed);
}

static void put_ballast(struct fixture *base, void *context)
{
    struct ballast *ballast = context;
    static const char *const keys[BALLAST_COUNT] = {"test/0", "test/1", "test/2", "test/3",
                                                    "test/4", "test/5", "test/6", "test/7"};
    for (size_t i = 0; i < BALLAST_COUNT; i++) {
        struct store_operation put = {STORE_PUT, keys[i], ballast->bytes, BALLAST_BYTES};
        assert_int_equal(store_commit(base->store, NULL, 0, &put, 1, on_ballast, ballast), RM_OK);
    }
}

static void fill_store(struct admin_fixture *fixture)
{
    struct ballast ballast = {.fixture = fixture, .bytes = rm_calloc(1, BALLAST_BYTES)};
    assert_non_null(ballast.bytes);
    fixture_run(admin_base(fixture), put_ballast, &ballast);
    fixture_wait(admin_base(fixture), &ballast.committed, BALLAST_COUNT);
    rm_free(ballast.bytes);
}

// The audit record is durable, so the copy has begun.
static void leave_when_copying(void *context)
{
    struct leaving *leaving = context;
    struct fixture *base = admin_base(leaving->reply.fixture);
    if (store_revision(base->store) > leaving->revision) {
        rpc_client_abort(leaving->reply.fixture->client, RM_ERR_CANCELLED);
    } else {
        deferred_schedule(base->loop, &leaving->turn);
    }
}

static void start_backup(struct fixture *base, void *context)
{
    struct leaving *leaving = context;
    leaving->revision = store_revision(base->store);
    assert_true(admin_start(&leaving->reply, leaving->method, leaving->request));
    deferred_init(&leaving->turn, leave_when_copying, leaving);
    deferred_schedule(base->loop, &leaving->turn);
}

static void copy_for_nobody_is_removed(void **state)
{
    struct admin_fixture *fixture = *state;
    struct leaving leaving = {.reply = {.fixture = fixture}, .method = "Backup"};
    struct reply reply = {.status = RPC_ABORTED};
    leaving.request = prepare_request(fixture, 0, 0);
    fill_store(fixture);
    fixture_run(admin_base(fixture), start_backup, &leaving);
    fixture_wait(admin_base(fixture), &fixture->ended, 1);
    reply_free(&leaving.reply);
    while (reply.status == RPC_ABORTED) {
        reply_free(&reply);
        reply = admin_call(fixture, "Backup", prepare_request(fixture, 0, 0));
    }
    assert_int_equal(reply.status, RPC_OK);
    assert_true(reply.length > BALLAST_COUNT * BALLAST_BYTES);
    reply_free(&reply);
}

// --- The end of everything.

static void start_only(struct fixture *base, void *context)
{
    struct leaving *leaving = context;
    (void)base;
    assert_true(admin_start(&leaving->reply, leaving->method, leaving->request));
}

// The teardown frees every room while the store still owes an answer to each of these.
static void control_plane_may_stop_in_between(void **state)
{
    static struct leaving leavings[ADMIN_TEST_METHODS];
    struct admin_fixture *fixture = *state;
    for (size_t method = 0; method < ADMIN_TEST_METHODS; method++) {
        struct leaving *leaving = &leavings[method];
        *leaving = (struct leaving){.reply = {.fixture = fixture}};
        leaving->method = admin_test_methods[method];
        leaving->request = prepare_request(fixture, method, 90000 + method);
        fixture_run(admin_base(fixture), start_only, leaving);
    }
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, admin_fixture_setup, admin_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(caller_may_leave_in_each_state),
        TEST(backup_leaves_no_file),
        TEST(copy_for_nobody_is_removed),
        TEST(control_plane_may_stop_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
