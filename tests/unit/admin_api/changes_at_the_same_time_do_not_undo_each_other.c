// SPDX-License-Identifier: GPL-3.0-or-later
//
// Requests of one turn read the same record; each write holds only if the record is still that one.
// The loser tries once more on what is there now, then gives up with ABORTED.
#include "admin_fixture.h"

#include <stdio.h>

#include "base/alloc.h"

#define MAX_CALLS 4

struct burst {
    struct admin_fixture *fixture;               // borrowed
    const char *method;                          // of the service
    const ProtobufCMessage *requests[MAX_CALLS]; // borrowed
    struct reply replies[MAX_CALLS];             // filled
    size_t count;                                // of both
};

static void start_all(struct fixture *base, void *context)
{
    struct burst *burst = context;
    (void)base;
    for (size_t i = 0; i < burst->count; i++) {
        assert_true(admin_start(&burst->replies[i], burst->method, burst->requests[i]));
    }
}

// How many ended with `status`.
static size_t run_burst(struct burst *burst, enum rpc_status status)
{
    size_t matches = 0;
    for (size_t i = 0; i < burst->count; i++) {
        burst->replies[i].fixture = burst->fixture;
    }
    fixture_run(admin_base(burst->fixture), start_all, burst);
    for (size_t i = 0; i < burst->count; i++) {
        fixture_wait(admin_base(burst->fixture), &burst->replies[i].done, 1);
        matches += burst->replies[i].status == status ? 1 : 0;
    }
    return matches;
}

static void free_burst(struct burst *burst)
{
    for (size_t i = 0; i < burst->count; i++) {
        reply_free(&burst->replies[i]);
    }
}

// `count` updates of "web" at once, each with a pattern of its own.
static size_t update_at_once(struct admin_fixture *fixture, size_t count, enum rpc_status status)
{
    static char patterns[MAX_CALLS][64];
    char *lists[MAX_CALLS];
    Remora__Admin__V1__UpdateServiceRequest requests[MAX_CALLS];
    struct burst burst = {.fixture = fixture, .method = "UpdateService", .count = count};
    for (size_t i = 0; i < count; i++) {
        remora__admin__v1__update_service_request__init(&requests[i]);
        snprintf(patterns[i], sizeof patterns[i], "ns/demo/sa/caller%zu", i);
        lists[i] = patterns[i];
        requests[i].name = (char *)"web";
        requests[i].n_add_allow = 1;
        requests[i].add_allow = &lists[i];
        burst.requests[i] = &requests[i].base;
    }
    size_t matches = run_burst(&burst, status);
    free_burst(&burst);
    return matches;
}

static void make_web(struct admin_fixture *fixture)
{
    struct reply reply = create_service(fixture, "web");
    assert_int_equal(reply.status, RPC_OK);
    reply_free(&reply);
}

static void two_updates_are_both_kept(void **state)
{
    struct admin_fixture *fixture = *state;
    make_web(fixture);
    assert_int_equal(update_at_once(fixture, 2, RPC_OK), 2);
    assert_int_equal(allow_count(fixture, "web"), 2);
}

static void third_update_gives_up_and_changes_nothing(void **state)
{
    struct admin_fixture *fixture = *state;
    make_web(fixture);
    assert_int_equal(update_at_once(fixture, 3, RPC_ABORTED), 1);
    assert_int_equal(allow_count(fixture, "web"), 2);
}

static void one_of_two_creations_wins(void **state)
{
    struct admin_fixture *fixture = *state;
    char *identities[] = {(char *)"ns/demo/sa/web"};
    Remora__Admin__V1__Service service = REMORA__ADMIN__V1__SERVICE__INIT;
    Remora__Admin__V1__CreateServiceRequest request =
        REMORA__ADMIN__V1__CREATE_SERVICE_REQUEST__INIT;
    struct burst burst = {
        .fixture = fixture,
        .method = "CreateService",
        .requests = {&request.base, &request.base},
        .count = 2,
    };
    service.name = (char *)"web";
    service.port = 80;
    service.n_identities = 1;
    service.identities = identities;
    request.service = &service;
    assert_int_equal(run_burst(&burst, RPC_ALREADY_EXISTS), 1);
    assert_true(burst.replies[0].status == RPC_OK || burst.replies[1].status == RPC_OK);
    free_burst(&burst);
}

// Both tokens name the service, so both identities become its owners.
static void two_tokens_make_two_owners(void **state)
{
    struct admin_fixture *fixture = *state;
    char *services[] = {(char *)"web"};
    Remora__Admin__V1__CreateTokenRequest requests[2];
    struct burst burst = {.fixture = fixture, .method = "CreateToken", .count = 2};
    make_web(fixture);
    for (size_t i = 0; i < 2; i++) {
        remora__admin__v1__create_token_request__init(&requests[i]);
        requests[i].identity = (char *)(uintptr_t)(i == 0 ? "ns/demo/sa/a" : "ns/demo/sa/b");
        requests[i].n_services = 1;
        requests[i].services = services;
        burst.requests[i] = &requests[i].base;
    }
    assert_int_equal(run_burst(&burst, RPC_OK), 2);
    free_burst(&burst);
    Remora__Admin__V1__ListServicesRequest list = REMORA__ADMIN__V1__LIST_SERVICES_REQUEST__INIT;
    struct reply reply = admin_call(fixture, "ListServices", &list.base);
    Remora__Admin__V1__ListServicesResponse *answer =
        remora__admin__v1__list_services_response__unpack(NULL, reply.length, reply.bytes);
    assert_int_equal(answer->services[0]->n_identities, 3);
    remora__admin__v1__list_services_response__free_unpacked(answer, NULL);
    reply_free(&reply);
}

static void one_of_two_deletions_finds_nothing(void **state)
{
    struct admin_fixture *fixture = *state;
    Remora__Admin__V1__DeleteServiceRequest request =
        REMORA__ADMIN__V1__DELETE_SERVICE_REQUEST__INIT;
    struct burst burst = {
        .fixture = fixture,
        .method = "DeleteService",
        .requests = {&request.base, &request.base},
        .count = 2,
    };
    make_web(fixture);
    request.name = (char *)"web";
    assert_int_equal(run_burst(&burst, RPC_NOT_FOUND), 1);
    assert_true(burst.replies[0].status == RPC_OK || burst.replies[1].status == RPC_OK);
    free_burst(&burst);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, admin_fixture_setup, admin_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_updates_are_both_kept),          TEST(third_update_gives_up_and_changes_nothing),
        TEST(one_of_two_creations_wins),          TEST(two_tokens_make_two_owners),
        TEST(one_of_two_deletions_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
