// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

static const char *garbage;
static size_t garbage_length;

static bool send_garbage(void *context)
{
    raw_write(context, garbage, garbage_length);
    return true;
}

static void run(bool with_server, const char *bytes, size_t length)
{
    garbage = bytes;
    garbage_length = length;
    struct world *world = world_new_raw(with_server, 1 << 20);
    world_run(world, (const scenario_step_fn[]){
                         send_garbage, with_server ? step_server_ended : step_client_ended, NULL});
    struct side *side = with_server ? &world->server : &world->client;
    assert_int_equal(rm_err_category(side->reason), RM_CAT_PEER_FAULT);
    assert_int_equal(side->tap_count, 0);
    world_free(world);
}

static void another_protocol(void **state)
{
    (void)state;
    static const char http1[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    run(true, http1, sizeof(http1) - 1);
}

static void answers_of_another_protocol(void **state)
{
    (void)state;
    static const char http1[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    run(false, http1, sizeof(http1) - 1);
}

static void random_bytes_after_the_magic(void **state)
{
    (void)state;
    char bytes[4096];
    memcpy(bytes, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    uint32_t seed = 1;
    for (size_t i = 24; i < sizeof(bytes); i++) {
        seed = seed * 1664525U + 1013904223U;
        bytes[i] = (char)(seed >> 24);
    }
    run(true, bytes, sizeof(bytes));
}

// Every run of random frames ends without a crash, whatever it is taken for.
static void random_frames(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 200; round++) {
        struct world *world = world_new_raw(true, 1 << 20);
        world->server.habits.echoes = true;
        raw_preface(world);
        raw_request(world, 1, false);
        for (int i = 0; i < 30; i++) {
            uint8_t payload[64];
            for (size_t j = 0; j < sizeof(payload); j++) {
                seed = seed * 1664525U + 1013904223U;
                payload[j] = (uint8_t)(seed >> 24);
            }
            raw_frame(world, payload[0] % 11, payload[1], payload[2] % 5, payload + 8,
                      payload[3] % 40);
        }
        garbage_length = 0;
        world_run(world, (const scenario_step_fn[]){send_garbage, NULL});
        world_free(world);
    }
}

static void even_stream_ids(void **state)
{
    (void)state;
    static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                "\0\0\0\x04\0\0\0\0\0"
                                "\0\0\x03\x01\x05\0\0\0\x02\x83\x86\x84";
    run(true, bytes, sizeof(bytes) - 1);
}

static void pushed_streams(void **state)
{
    (void)state;
    static const char bytes[] = "\0\0\0\x04\0\0\0\0\0"
                                "\0\0\x07\x05\x04\0\0\0\x01\0\0\0\x02\x82\x86\x84";
    run(false, bytes, sizeof(bytes) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_protocol),
        cmocka_unit_test(answers_of_another_protocol),
        cmocka_unit_test(random_bytes_after_the_magic),
        cmocka_unit_test(random_frames),
        cmocka_unit_test(even_stream_ids),
        cmocka_unit_test(pushed_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
