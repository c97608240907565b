// SPDX-License-Identifier: GPL-3.0-or-later
#include "http1_fixture.h"

#include <stdio.h>

struct row {
    const char *request; // what is sent
    int status;          // what comes back
};

#define GOOD "Host: x\r\n\r\n"

static const struct row rows[] = {
    {"POST / HTTP/1.1\r\n" GOOD, 405},
    {"get / HTTP/1.1\r\n" GOOD, 405},
    {"CONNECT a:1 HTTP/1.1\r\n" GOOD, 405},
    {"OPTIONS * HTTP/1.1\r\n" GOOD, 405},
    {"G(T / HTTP/1.1\r\n" GOOD, 400},
    {" GET / HTTP/1.1\r\n" GOOD, 400},
    {"GET  / HTTP/1.1\r\n" GOOD, 400},
    {"GET /\r\n" GOOD, 400},
    {"GET\r\n\r\n", 400},
    {"GET / HTTP/1.1 \r\n" GOOD, 505},
    {"GET / HTTP/2.0\r\n" GOOD, 505},
    {"GET / http/1.1\r\n" GOOD, 400},
    {"GET /a b HTTP/1.1\r\n" GOOD, 400},
    {"GET /\x80 HTTP/1.1\r\n" GOOD, 400},
    {"GET /#f HTTP/1.1\r\n" GOOD, 400},
    {"GET * HTTP/1.1\r\n" GOOD, 400},
    {"GET path HTTP/1.1\r\n" GOOD, 400},
    {"GET http:///x HTTP/1.1\r\n" GOOD, 400},
    {"GET https://h/x HTTP/1.1\r\n" GOOD, 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},                        // no Host
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},  // two
    {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},            // space before the colon
    {"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400},  // obs-fold
    {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400}, //
    {"GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", 400},  //
    {"GET / HTTP/1.1\nHost: x\n\n", 400},                   // bare LF
    {"GET / HTTP/1.1\rHost: x\r\n\r\n", 400},               // bare CR
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", 400}, // control
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413},
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello", 413},
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 413},
    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", 417},
    {"\r\n\r\n\r\n\r\n\r\n", 400},
    {"\x16\x03\x01\x02\x01\x01", 400}, // TLS
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
};

static const struct row *current;

static bool ask(void *context)
{
    client_say(context, current->request);
    // A hidden second request must not be answered.
    client_say(context, "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n");
    return true;
}

static void each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        current = &rows[i];
        struct world *world = world_new(65536);
        world_run(world, (const scenario_step_fn[]){ask, step_ended, NULL});
        char status[32];
        snprintf(status, sizeof(status), "HTTP/1.1 %d ", rows[i].status);
        if (count_of(world, status) != 1 || world->handled_count != 0) {
            fail_msg("row %zu: wanted %s, got %s (handled: %s)", i, status, world->in,
                     world->handled);
        }
        assert_int_equal(count_of(world, "HTTP/1.1 "), 1);
        world_free(world);
    }
}

static bool ask_with_nul(void *context)
{
    static const char request[] = "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n";
    client_write(context, request, sizeof(request) - 1);
    return true;
}

static void nul_byte(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){ask_with_nul, step_ended, NULL});
    assert_int_equal(world->handled_count, 0);
    assert_int_equal(count_of(world, "HTTP/1.1 400 "), 1);
    world_free(world);
}

static void count_tls(void *context, const struct stream_address *remote)
{
    struct world *world = context;
    (void)remote;
    world->count++;
}

static bool say_client_hello(void *context)
{
    static const char hello[] = "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";
    client_write(context, hello, sizeof(hello) - 1);
    return true;
}

static void tls_is_told_of_and_refused(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    http1_server_on_tls(world->server, count_tls);
    world_run(world, (const scenario_step_fn[]){say_client_hello, step_ended, NULL});
    assert_int_equal(world->count, 1);
    assert_int_equal(count_of(world, "HTTP/1.1 400 "), 1);
    world_free(world);
    world = world_new(65536);
    http1_server_on_tls(world->server, count_tls);
    world_run(world, (const scenario_step_fn[]){ask_with_nul, step_ended, NULL});
    assert_int_equal(world->count, 0);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(nul_byte),
        cmocka_unit_test(tls_is_told_of_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
