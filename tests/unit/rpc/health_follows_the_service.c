// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

// HealthCheckRequest { service = `name` }.
static void ask(struct record *record, const char *name)
{
    uint8_t bytes[300];
    size_t length = strlen(name);
    size_t n = 0;
    if (length > 0) { // an empty name is left out, as proto3 does
        bytes[n++] = 0x0a;
    }
    if (length > 127) {
        bytes[n++] = (uint8_t)(0x80 | (length & 0x7f));
        bytes[n++] = (uint8_t)(length >> 7);
    } else if (length > 0) {
        bytes[n++] = (uint8_t)length;
    }
    memcpy(bytes + n, name, length);
    assert_int_equal(rpc_call_send(record->call, bytes, n + length), RM_OK);
    call_finish(record);
}

static const char *name_to_check;

static bool check(void *context)
{
    ask(call_open(context, "/grpc.health.v1.Health/Check", 0), name_to_check);
    return true;
}

static struct record *run_check(struct world *world, const char *name)
{
    name_to_check = name;
    world_run(world, (const scenario_step_fn[]){check, step_all_closed, NULL});
    return &world->client_calls[0];
}

static struct world *start(void)
{
    struct world *world = world_new(NULL);
    assert_int_equal(rpc_server_add_health(world->server), RM_OK);
    return world;
}

// `status` is the one byte of HealthCheckResponse.status.
static void check_says(struct world *world, const char *name, uint8_t status)
{
    struct record *record = run_check(world, name);
    assert_int_equal(record->status, RPC_OK);
    assert_int_equal(record->byte_count, 2);
    assert_int_equal(record->bytes[0], 0x08);
    assert_int_equal(record->bytes[1], status);
    world_free(world);
}

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

static void the_whole_server_serves_at_first(void **state)
{
    (void)state;
    check_says(start(), "", SERVING);
}

static void services_follow_the_whole(void **state)
{
    (void)state;
    check_says(start(), "test.T", SERVING);
    struct world *world = start();
    rpc_server_set_health(world->server, "", false);
    check_says(world, "test.T", NOT_SERVING);
}

static void a_service_may_have_its_own(void **state)
{
    (void)state;
    struct world *world = start();
    rpc_server_set_health(world->server, "test.T", false);
    check_says(world, "test.T", NOT_SERVING);
    world = start();
    rpc_server_set_health(world->server, "test.T", false);
    check_says(world, "", SERVING);
    world = start();
    rpc_server_set_health(world->server, "elsewhere", true);
    check_says(world, "elsewhere", SERVING);
}

static void unknown_services(void **state)
{
    (void)state;
    struct world *world = start();
    assert_int_equal(run_check(world, "test.Tx")->status, RPC_NOT_FOUND);
    world_free(world);
    world = start();
    char longest[257];
    memset(longest, 'a', sizeof(longest));
    longest[256] = '\0';
    assert_int_equal(run_check(world, longest)->status, RPC_INVALID_ARGUMENT);
    world_free(world);
}

static bool check_garbage(void *context)
{
    struct record *record = call_open(context, "/grpc.health.v1.Health/Check", 0);
    assert_int_equal(rpc_call_send(record->call, (const uint8_t *)"\x0a\x7fz", 3), RM_OK);
    call_finish(record);
    return true;
}

static void malformed_requests(void **state)
{
    (void)state;
    struct world *world = start();
    world_run(world, (const scenario_step_fn[]){check_garbage, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_INVALID_ARGUMENT);
    world_free(world);
}

static bool watch(void *context)
{
    struct world *world = context;
    ask(call_open(world, "/grpc.health.v1.Health/Watch", 0), "later");
    return true;
}

static bool heard(void *context, int count)
{
    return ((struct world *)context)->client_calls[0].message_count == count;
}

static bool heard_unknown(void *context)
{
    return heard(context, 1);
}

static bool set_up(void *context)
{
    struct world *world = context;
    rpc_server_set_health(world->server, "later", true);
    rpc_server_set_health(world->server, "later", true); // no change, no message
    rpc_server_set_health(world->server, "other", false);
    return true;
}

static bool heard_up(void *context)
{
    return heard(context, 2);
}

static bool set_down(void *context)
{
    rpc_server_set_health(((struct world *)context)->server, "later", false);
    return true;
}

static bool heard_down(void *context)
{
    return heard(context, 3);
}

static bool leave(void *context)
{
    rpc_call_cancel(((struct world *)context)->client_calls[0].call);
    return true;
}

static void watchers_are_told_of_changes_only(void **state)
{
    (void)state;
    struct world *world = start();
    world_run(world, (const scenario_step_fn[]){watch, heard_unknown, set_up, heard_up, set_down,
                                                heard_down, leave, step_turns, set_up, NULL});
    struct record *record = &world->client_calls[0];
    assert_int_equal(record->byte_count, 6);
    assert_int_equal(record->bytes[1], SERVICE_UNKNOWN);
    assert_int_equal(record->bytes[3], SERVING);
    assert_int_equal(record->bytes[5], NOT_SERVING);
    world_free(world);
}

static void on_drained(void *context)
{
    ((struct world *)context)->is_drained = true;
}

static bool drain(void *context)
{
    struct world *world = context;
    rpc_server_drain(world->server, 5000, on_drained, world);
    return true;
}

static bool drained(void *context)
{
    return ((struct world *)context)->is_drained;
}

// A watcher would hold the drain up for ever.
static void watchers_are_ended_by_the_drain(void **state)
{
    (void)state;
    struct world *world = start();
    rpc_server_set_health(world->server, "later", true);
    world_run(world, (const scenario_step_fn[]){watch, heard_unknown, drain, drained, NULL});
    struct record *record = &world->client_calls[0];
    assert_int_equal(record->status, RPC_UNAVAILABLE);
    assert_int_equal(record->byte_count, 4);
    assert_int_equal(record->bytes[3], NOT_SERVING);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_server_serves_at_first),
        cmocka_unit_test(services_follow_the_whole),
        cmocka_unit_test(a_service_may_have_its_own),
        cmocka_unit_test(unknown_services),
        cmocka_unit_test(malformed_requests),
        cmocka_unit_test(watchers_are_told_of_changes_only),
        cmocka_unit_test(watchers_are_ended_by_the_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
