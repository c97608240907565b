// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

#include "descriptor_set.h"

// ServerReflectionRequest { list_services = "" } and { file_containing_symbol = "..." }.
static const uint8_t list_services[] = {0x3a, 0x00};
static const char by_symbol[] = "\x22\x18remora.tunnel.v1.Connect";

static bool ask(void *context)
{
    struct world *world = context;
    struct record *unary = call_open(world, "/test.T/Unary", 5000);
    if (unary != NULL) {
        (void)!rpc_call_send(unary->call, list_services, 2);
        (void)!rpc_call_half_close(unary->call);
    }
    struct record *check = call_open(world, "/grpc.health.v1.Health/Watch", 0);
    if (check != NULL) {
        (void)!rpc_call_send(check->call, NULL, 0);
        (void)!rpc_call_half_close(check->call);
    }
    struct record *reflection =
        call_open(world, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 0);
    if (reflection != NULL) {
        (void)!rpc_call_send(reflection->call, list_services, 2);
        (void)!rpc_call_send(reflection->call, (const uint8_t *)by_symbol, sizeof(by_symbol) - 1);
        (void)!rpc_call_half_close(reflection->call);
    }
    rpc_client_drain(world->client);
    return true;
}

static void on_drained(void *context)
{
    ((struct world *)context)->is_drained = true;
}

static bool drain(void *context)
{
    struct world *world = context;
    rpc_server_drain(world->server, 100000, on_drained, world);
    return true;
}

// Every call still ends once on both sides (world_free asserts it), nothing leaks (the sanitizer
// does).
static void every_allocation(void **state)
{
    (void)state;
    bool is_complete = false;
    uint64_t n = 1;
    for (; !is_complete; n++) {
        struct world *world = world_new(NULL);
        assert_int_equal(rpc_server_add_health(world->server), RM_OK);
        assert_int_equal(rpc_server_add_reflection(world->server, remora_descriptor_set,
                                                   remora_descriptor_set_length),
                         RM_OK);
        rm_alloc_fail_at(n);
        world_run(world, (const scenario_step_fn[]){ask, step_turns, drain, step_turns, NULL});
        is_complete = rm_alloc_count() < n;
        rm_alloc_fail_at(0);
        if (is_complete) {
            assert_int_equal(world->client_calls[0].status, RPC_OK);
            assert_int_equal(world->client_calls[1].status, RPC_UNAVAILABLE);
            assert_int_equal(world->client_calls[2].status, RPC_OK);
            assert_int_equal(world->client_calls[2].message_count, 2);
        }
        world_free(world);
        assert_true(n < 5000);
    }
    assert_true(n > 50);
}

static void making_a_server(void **state)
{
    (void)state;
    static const struct rpc_method methods[] = {{.path = "/a.A/B"}, {.path = "/a.A/C"}};
    struct loop *loop = loop_new("test");
    bool is_complete = false;
    for (uint64_t n = 1; !is_complete; n++) {
        rm_alloc_fail_at(n);
        struct rpc_server *server = rpc_server_new(loop);
        if (server != NULL) {
            is_complete = rpc_server_add(server, methods, 2, NULL) == RM_OK &&
                          rpc_server_add_health(server) == RM_OK &&
                          rpc_server_add_reflection(server, remora_descriptor_set,
                                                    remora_descriptor_set_length) == RM_OK;
            rpc_server_set_health(server, "other", true);
            rpc_server_free(server);
        }
        is_complete = is_complete && rm_alloc_count() < n;
        rm_alloc_fail_at(0);
        assert_true(n < 200);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(making_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
