// SPDX-License-Identifier: GPL-3.0-or-later
//
// A list of several pages has every record once; one that would be larger than an answer may be is
// refused and says so; calls beyond the limit are refused.
#include "admin_fixture.h"

#include <stdio.h>

#include "api/admin_internal.h"
#include "base/alloc.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

#define BATCH 60 // of one transaction

struct fill {
    struct admin_fixture *fixture; // borrowed
    const uint8_t *bytes;          // of each token's record
    size_t length;                 // of bytes
    size_t count;                  // tokens to make
    size_t committed;              // transactions
};

static void on_committed(void *context, enum rm_err result, uint64_t revision)
{
    struct fill *fill = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    fixture_count(admin_base(fill->fixture), &fill->committed);
}

static void commit_tokens(struct fixture *base, void *context)
{
    struct fill *fill = context;
    for (size_t first = 0; first < fill->count; first += BATCH) {
        static char keys[BATCH][RECORD_KEY_BYTES];
        struct store_operation operations[BATCH];
        size_t count = fill->count - first < BATCH ? fill->count - first : BATCH;
        for (size_t i = 0; i < count; i++) {
            char id[24];
            snprintf(id, sizeof id, "%012zx", first + i);
            assert_int_equal(record_key_token(id, keys[i]), RM_OK);
            operations[i] = (struct store_operation){STORE_PUT, keys[i], fill->bytes, fill->length};
        }
        assert_int_equal(store_commit(base->store, NULL, 0, operations, count, on_committed, fill),
                         RM_OK);
    }
}

// Records as attestation would write them, each with an identity of `identity_length` characters.
static void make_tokens(struct admin_fixture *fixture, size_t count, size_t identity_length)
{
    struct token_record record = {.created_at_s = 1, .expires_at_s = 2};
    uint8_t *bytes = NULL;
    struct fill fill = {.fixture = fixture, .count = count};
    record.identity = rm_calloc(1, identity_length + 1);
    assert_non_null(record.identity);
    memset(record.identity, 'i', identity_length);
    assert_int_equal(token_record_encode(&record, &bytes, &fill.length), RM_OK);
    fill.bytes = bytes;
    fixture_run(admin_base(fixture), commit_tokens, &fill);
    fixture_wait(admin_base(fixture), &fill.committed, (count + BATCH - 1) / BATCH);
    rm_free(record.identity);
    rm_free(bytes);
}

static struct reply list_tokens(struct admin_fixture *fixture)
{
    Remora__Admin__V1__ListTokensRequest request = REMORA__ADMIN__V1__LIST_TOKENS_REQUEST__INIT;
    return admin_call(fixture, "ListTokens", &request.base);
}

static void pages_make_one_list(void **state)
{
    static const size_t counts[] = {0, 1, ADMIN_READ_PAGE, ADMIN_READ_PAGE + 1,
                                    2 * ADMIN_READ_PAGE};
    struct admin_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        make_tokens(fixture, counts[i], 20);
        struct reply reply = list_tokens(fixture);
        assert_int_equal(reply.status, RPC_OK);
        assert_int_equal(reply.messages, 1);
        Remora__Admin__V1__ListTokensResponse *answer =
            remora__admin__v1__list_tokens_response__unpack(NULL, reply.length, reply.bytes);
        assert_non_null(answer);
        assert_int_equal(answer->n_tokens, counts[i]);
        for (size_t at = 0; at < counts[i]; at++) {
            char id[24];
            snprintf(id, sizeof id, "%012zx", at);
            assert_string_equal(answer->tokens[at]->id, id);
        }
        remora__admin__v1__list_tokens_response__free_unpacked(answer, NULL);
        reply_free(&reply);
    }
}

static void list_larger_than_an_answer_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    make_tokens(fixture, 2200, 2000);
    struct reply reply = list_tokens(fixture);
    assert_int_equal(reply.status, RPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(reply.text, "larger than 4 MiB"));
    assert_int_equal(reply.messages, 0);
    reply_free(&reply);
    // What is not listed still works.
    reply = create_service(fixture, "web");
    assert_int_equal(reply.status, RPC_OK);
    reply_free(&reply);
}

// --- Too many at once.

struct crowd {
    struct reply replies[ADMIN_API_MAX_CALLS + 1]; // one more than may be
    struct admin_fixture *fixture;                 // borrowed
};

static void start_crowd(struct fixture *base, void *context)
{
    struct crowd *crowd = context;
    Remora__Admin__V1__ListTokensRequest request = REMORA__ADMIN__V1__LIST_TOKENS_REQUEST__INIT;
    (void)base;
    for (size_t i = 0; i <= ADMIN_API_MAX_CALLS; i++) {
        crowd->replies[i].fixture = crowd->fixture;
        assert_true(admin_start(&crowd->replies[i], "ListTokens", &request.base));
    }
}

static void calls_beyond_the_limit_are_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    struct crowd *crowd = rm_calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    crowd->fixture = fixture;
    make_tokens(fixture, 2000, 20); // so that each takes several turns
    fixture_run(admin_base(fixture), start_crowd, crowd);
    size_t refused = 0;
    for (size_t i = 0; i <= ADMIN_API_MAX_CALLS; i++) {
        struct reply *reply = &crowd->replies[i];
        fixture_wait(admin_base(fixture), &reply->done, 1);
        if (reply->status != RPC_OK) {
            assert_int_equal(reply->status, RPC_RESOURCE_EXHAUSTED);
            assert_non_null(strstr(reply->text, "too many administrative calls"));
            refused++;
        }
        reply_free(reply);
    }
    assert_int_equal(refused, 1);
    rm_free(crowd);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, admin_fixture_setup, admin_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pages_make_one_list),
        TEST(list_larger_than_an_answer_is_refused),
        TEST(calls_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
