// SPDX-License-Identifier: GPL-3.0-or-later
//
// Between a judgement and its transaction another call may change what was judged. The pool is kept
// busy here, and the disk is held, so that it surely does.
#include "attest_fixture.h"

#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

#include "audit/alarms.h"
#include "disk_fault.h"
#include "records/record_keys.h"
#include "store/store_internal.h"

#define POOL_THREADS 2
#define TURNS 50 // of the loop, so that what the pool finished was taken

struct pool {
    struct fixture *base; // borrowed
    sem_t may_end;        // posted once for each thread
    sem_t has_begun;      // posted by each thread
    size_t ended;         // threads
};

static void block(void *context)
{
    struct pool *pool = context;
    sem_post(&pool->has_begun);
    sem_wait(&pool->may_end);
}

static void on_unblocked(void *context)
{
    struct pool *pool = context;
    fixture_count(pool->base, &pool->ended);
}

static void start_blocking(struct fixture *base, void *context)
{
    for (int i = 0; i < POOL_THREADS; i++) {
        assert_int_equal(loop_work(base->loop, block, on_unblocked, context), RM_OK);
    }
}

static void nothing(struct fixture *base, void *context)
{
    (void)base;
    (void)context;
}

struct call {
    struct attest_fixture *fixture;         // borrowed
    const struct attest_evidence *evidence; // borrowed
    struct grant *grant;                    // filled
    size_t *done;                           // 1 once answered
    struct pool *pool;                      // to be blocked behind its verification
};

static void on_result(void *context, const struct attest_result *result)
{
    struct call *call = context;
    call->grant->refusal = result->refusal;
    fixture_count(call->fixture->ca->base, call->done);
}

// The call's first piece of work and the blocks behind it are queued in one turn: its second piece
// surely waits.
static void start_and_block(struct fixture *base, void *context)
{
    struct call *call = context;
    assert_int_equal(attest_issue(call->fixture->attest, call->evidence, on_result, call), RM_OK);
    start_blocking(base, call->pool);
}

// The call was judged, and waits for its signature.
static void start_up_to_signing(struct call *call)
{
    struct fixture *base = call->fixture->ca->base;
    *call->pool = (struct pool){.base = base};
    sem_init(&call->pool->may_end, 0, 0);
    sem_init(&call->pool->has_begun, 0, 0);
    fixture_run(base, start_and_block, call);
    for (int i = 0; i < POOL_THREADS; i++) {
        sem_wait(&call->pool->has_begun);
    }
    for (int i = 0; i < TURNS; i++) {
        fixture_run(base, nothing, NULL);
    }
}

static void pool_release(struct pool *pool)
{
    for (int i = 0; i < POOL_THREADS; i++) {
        sem_post(&pool->may_end);
    }
    fixture_wait(pool->base, &pool->ended, POOL_THREADS);
    sem_destroy(&pool->may_end);
    sem_destroy(&pool->has_begun);
}

// The first call's transaction is at the disk; the second was judged and waits for its signature;
// the first is answered; then the second goes on.
static void overtake(struct attest_fixture *fixture, const struct attest_evidence evidence[2],
                     struct grant grants[2])
{
    struct fixture *base = fixture->ca->base;
    struct pool pool;
    size_t first = 0;
    size_t second = 0;
    memset(grants, 0, 2 * sizeof *grants);
    disk_fault_hold_sync();
    issue_start(fixture, &evidence[0], &grants[0], &first);
    disk_fault_wait_held();
    struct call call = {fixture, &evidence[1], &grants[1], &second, &pool};
    start_up_to_signing(&call);
    disk_fault_release();
    fixture_wait(base, &first, 1);
    pool_release(&pool);
    fixture_wait(base, &second, 1);
}

static void token_is_burnt_once(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload a = workload_new();
    struct workload b = workload_new();
    struct attest_evidence evidence[2] = {evidence_of(&a), evidence_of(&b)};
    struct grant grants[2];
    make_test_token(fixture, token);
    evidence[0].join_token = token;
    evidence[1].join_token = token;
    overtake(fixture, evidence, grants);
    assert_int_equal(grants[0].refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(grants[1].refusal, ATTEST_REFUSAL_TOKEN_USED);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 1);
    grant_free(&grants[0]);
    workload_free(&a);
    workload_free(&b);
}

static void second_key_of_one_predecessor_is_a_fork(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload first = workload_new();
    struct workload a = workload_new();
    struct workload b = workload_new();
    struct attest_evidence evidence[2] = {evidence_of(&a), evidence_of(&b)};
    struct grant grants[2];
    make_test_token(fixture, token);
    struct grant joined = issue_by_token(fixture, &first, token);
    evidence[0].peer = joined.peer;
    evidence[1].peer = joined.peer;
    overtake(fixture, evidence, grants);
    assert_int_equal(grants[0].refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(grants[1].refusal, ATTEST_REFUSAL_LINEAGE_FORKED);
    alarms_clear(ALARM_LINEAGE_FORKED);
    grant_free(&joined);
    grant_free(&grants[0]);
    workload_free(&first);
    workload_free(&a);
    workload_free(&b);
}

struct rejoin {
    struct private_key *key;      // of the host
    struct workload workloads[2]; // two starts of it
    uint8_t signatures[2][SIGNATURE_P256_MAX_BYTES];
};

// Two starts of one host at once: each gets a lineage, and the key stays with the later.
static void rejoin_key_moves_on_once(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload first = workload_new();
    struct rejoin rejoin = {.workloads = {workload_new(), workload_new()}};
    struct attest_evidence evidence[2];
    struct grant grants[2];
    assert_int_equal(key_generate(&rejoin.key), RM_OK);
    make_test_token(fixture, token);
    struct attest_evidence begin = evidence_of(&first);
    begin.join_token = token;
    key_spki(rejoin.key, &begin.new_rejoin_key, &begin.new_rejoin_key_length);
    struct grant joined = issue(fixture, &begin);
    for (size_t i = 0; i < 2; i++) {
        evidence[i] = rejoin_evidence(&rejoin.workloads[i], rejoin.key, TEST_IDENTITY,
                                      joined.issued_at_s, rejoin.signatures[i]);
    }
    overtake(fixture, evidence, grants);
    assert_int_equal(grants[0].refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(grants[1].refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 3);
    assert_int_equal(count_records(fixture, RECORD_REJOIN_PREFIX), 1);
    for (size_t i = 0; i < 2; i++) {
        grant_free(&grants[i]);
        workload_free(&rejoin.workloads[i]);
    }
    grant_free(&joined);
    workload_free(&first);
    key_unref(rejoin.key);
}

// --- A revocation that a renewal overtakes starts again.

struct revocation {
    struct attest_fixture *fixture; // borrowed
    const uint8_t *serial;          // of the lineage
    enum rm_err result;             // answered
    size_t done;                    // 1 once answered
};

static void on_revoked(void *context, enum rm_err result, const uint8_t lineage[LINEAGE_BYTES],
                       const char *identity, uint32_t certificate_count)
{
    struct revocation *revocation = context;
    (void)lineage;
    (void)identity;
    (void)certificate_count;
    revocation->result = result;
    fixture_count(revocation->fixture->ca->base, &revocation->done);
}

static void start_revocation(struct fixture *base, void *context)
{
    struct revocation *revocation = context;
    (void)base;
    assert_int_equal(attest_revoke(revocation->fixture->attest, revocation->serial,
                                   ISSUE_SERIAL_BYTES, "test", "test", on_revoked, revocation),
                     RM_OK);
}

static void read_pending(struct fixture *base, void *context)
{
    *(size_t *)context = base->store->pending_count;
}

static void wait_pending(struct fixture *base, size_t wanted)
{
    size_t pending = 0;
    while (pending < wanted) {
        fixture_run(base, read_pending, &pending);
        sched_yield();
    }
}

static void start_put(struct fixture *base, void *context)
{
    struct store_operation put = {STORE_PUT, "other", "x", 1};
    assert_int_equal(store_commit(base->store, NULL, 0, &put, 1, NULL, context), RM_OK);
}

static void revocation_wins_over_a_renewal_that_overtook_it(void **state)
{
    struct attest_fixture *fixture = *state;
    struct fixture *base = fixture->ca->base;
    char token[TOKEN_BYTES];
    struct workload first = workload_new();
    struct workload next = workload_new();
    make_test_token(fixture, token);
    struct grant joined = issue_by_token(fixture, &first, token);
    struct revocation revocation = {.fixture = fixture, .serial = joined.serial};
    struct attest_evidence evidence = evidence_of(&next);
    struct grant renewed = {0};
    size_t done = 0;
    evidence.peer = joined.peer;
    // While a put is at the disk, the revocation's read and then the renewal queue up behind it:
    // they are served in one batch, the read before the renewal is told.
    disk_fault_hold_sync();
    fixture_run(base, start_put, NULL);
    disk_fault_wait_held();
    fixture_run(base, start_revocation, &revocation);
    wait_pending(base, 2);
    issue_start(fixture, &evidence, &renewed, &done);
    wait_pending(base, 3);
    disk_fault_release();
    fixture_wait(base, &done, 1);
    fixture_wait(base, &revocation.done, 1);
    assert_int_equal(revocation.result, RM_OK);
    assert_int_equal(renewed.refusal, ATTEST_REFUSAL_NONE);
    struct lineage_record record = read_lineage(fixture, joined.serial);
    assert_int_equal(record.state, LINEAGE_REVOKED);
    assert_memory_equal(record.serial, renewed.serial, ISSUE_SERIAL_BYTES);
    lineage_record_deinit(&record);
    grant_free(&joined);
    grant_free(&renewed);
    workload_free(&first);
    workload_free(&next);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    setenv("UV_THREADPOOL_SIZE", "2", 1); // POOL_THREADS
    const struct CMUnitTest tests[] = {
        TEST(token_is_burnt_once),
        TEST(second_key_of_one_predecessor_is_a_fork),
        TEST(rejoin_key_moves_on_once),
        TEST(revocation_wins_over_a_renewal_that_overtook_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
