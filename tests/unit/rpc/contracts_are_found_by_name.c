// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

#include "descriptor_set.h"
#include "rpc/rpc_internal.h"

static struct rpc_descriptors *contracts;

static int open_contracts(void **state)
{
    (void)state;
    return rpc_descriptors_new(remora_descriptor_set, remora_descriptor_set_length, &contracts) ==
                   RM_OK
               ? 0
               : -1;
}

static int close_contracts(void **state)
{
    (void)state;
    rm_free(contracts);
    return 0;
}

static const char *file_of(const char *symbol)
{
    static char name[256];
    size_t index = rpc_descriptors_find_symbol(contracts, symbol);
    if (index == RPC_DESCRIPTOR_NONE) {
        return "none";
    }
    const struct rpc_view *view = &contracts->files[index].name;
    memcpy(name, view->bytes, view->length);
    name[view->length] = '\0';
    return name;
}

static void symbols(void **state)
{
    (void)state;
    assert_string_equal(file_of("remora.tunnel.v1.Connect"), "remora/tunnel/v1/tunnel.proto");
    assert_string_equal(file_of("remora.tunnel.v1.Connect.port"), "remora/tunnel/v1/tunnel.proto");
    assert_string_equal(file_of("remora.tunnel.v1.Status"), "remora/tunnel/v1/tunnel.proto");
    assert_string_equal(file_of("remora.tunnel.v1.STATUS_OK"), "remora/tunnel/v1/tunnel.proto");
    assert_string_equal(file_of("remora.tunnel.v1.Status.STATUS_OK"),
                        "remora/tunnel/v1/tunnel.proto");
    assert_string_equal(file_of("grpc.health.v1.Health"), "grpc/health/v1/health.proto");
    assert_string_equal(file_of("grpc.health.v1.Health.Watch"), "grpc/health/v1/health.proto");
    assert_string_equal(file_of("grpc.health.v1.HealthCheckResponse.SERVING"),
                        "grpc/health/v1/health.proto");
    assert_string_equal(file_of("grpc.reflection.v1.ServerReflectionRequest.message_request"),
                        "grpc/reflection/v1/reflection.proto");
}

static void near_misses(void **state)
{
    (void)state;
    static const char *const missing[] = {"",
                                          ".",
                                          "remora",
                                          "remora.tunnel.v1",
                                          "remora.tunnel.v1.",
                                          "remora.tunnel.v1.Connec",
                                          "remora.tunnel.v1.Connectx",
                                          "remora.tunnel.v1.Connect.",
                                          "remora.tunnel.v1.Connect.servic",
                                          "remora.tunnel.v1.Connect.service.x",
                                          "remora.tunnel.v1xConnect",
                                          ".remora.tunnel.v1.Connect",
                                          "Connect"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        assert_string_equal(file_of(missing[i]), "none");
    }
}

// A set of our own: a.proto imports b.proto twice and itself; b.proto imports a.proto and one that
// is not there; c.proto has no package.
static const uint8_t small_set[] = {
    0x0a, 41,  0x0a, 7,    'a', '.', 'p',  'r',  'o',  't',  'o', 0x12, 1,    'p', 0x1a, 7,    'b',
    '.',  'p', 'r',  'o',  't', 'o', 0x1a, 7,    'b',  '.',  'p', 'r',  'o',  't', 'o',  0x1a, 7,
    'a',  '.', 'p',  'r',  'o', 't', 'o',  0x70, 0x01, 0x0a, 21,  0x0a, 7,    'b', '.',  'p',  'r',
    'o',  't', 'o',  0x1a, 7,   'a', '.',  'p',  'r',  'o',  't', 'o',  0x1a, 1,   'x',  0x0a, 14,
    0x0a, 7,   'c',  '.',  'p', 'r', 'o',  't',  'o',  0x22, 3,   0x0a, 1,    'M'};

static void imports_are_followed_once(void **state)
{
    (void)state;
    struct rpc_descriptors *set = NULL;
    assert_int_equal(rpc_descriptors_new(small_set, sizeof(small_set), &set), RM_OK);
    assert_int_equal(set->count, 3);
    size_t indices[3];
    assert_int_equal(rpc_descriptors_closure(set, 0, indices), 2);
    assert_int_equal(indices[0], 0);
    assert_int_equal(indices[1], 1);
    assert_int_equal(rpc_descriptors_closure(set, 1, indices), 2);
    assert_int_equal(indices[0], 1);
    assert_int_equal(rpc_descriptors_closure(set, 2, indices), 1);
    assert_int_equal(rpc_descriptors_find_symbol(set, "M"), 2);
    assert_int_equal(rpc_descriptors_find_symbol(set, "p.M"), RPC_DESCRIPTOR_NONE);
    rm_free(set);
}

static void cut_sets_are_malformed_or_smaller(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(small_set); length++) {
        uint8_t *exact = malloc(length + 1); // so that the sanitizer sees a step too far
        memcpy(exact, small_set, length);
        uint8_t *copy = realloc(exact, length > 0 ? length : 1);
        struct rpc_descriptors *set = NULL;
        enum rm_err result = rpc_descriptors_new(copy, length, &set);
        bool is_whole = length == 0 || length == 43 || length == 66;
        assert_int_equal(result, is_whole ? RM_OK : RM_ERR_MALFORMED);
        rm_free(set);
        free(copy);
    }
}

static void random_sets_are_read_without_harm(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        memcpy(bytes, small_set, sizeof(bytes));
        for (int i = 0; i < 4; i++) {
            seed = seed * 1664525U + 1013904223U;
            bytes[(seed >> 8) % sizeof(bytes)] = (uint8_t)(seed >> 24);
        }
        struct rpc_descriptors *set = NULL;
        if (rpc_descriptors_new(bytes, sizeof(bytes), &set) == RM_OK) {
            size_t *indices = calloc(set->count + 1, sizeof(*indices));
            (void)rpc_descriptors_find_symbol(set, "p.M.x");
            if (set->count > 0) {
                assert_true(rpc_descriptors_closure(set, 0, indices) <= set->count);
            }
            free(indices);
        }
        rm_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols),
        cmocka_unit_test(near_misses),
        cmocka_unit_test(imports_are_followed_once),
        cmocka_unit_test(cut_sets_are_malformed_or_smaller),
        cmocka_unit_test(random_sets_are_read_without_harm),
    };
    return cmocka_run_group_tests(tests, open_contracts, close_contracts);
}
