// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tunnel/tunnel.h"

#define WIRE_BYTES (TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES)

static void every_cut(void **state)
{
    (void)state;
    const struct tunnel_connect sent = {.service = "web", .port = 80};
    const struct tunnel_reply answer = {.status = TUNNEL_DENIED, .reason = "default_deny"};
    uint8_t wire[WIRE_BYTES];
    size_t length = 0;
    size_t consumed = 0;
    struct tunnel_connect connect;
    assert_int_equal(tunnel_encode_connect(&sent, wire, &length), RM_OK);
    for (size_t cut = 0; cut < length; cut++) {
        assert_int_equal(tunnel_decode_connect(wire, cut, &connect, &consumed), RM_ERR_WOULD_BLOCK);
    }
    struct tunnel_reply reply;
    assert_int_equal(tunnel_encode_reply(&answer, wire, &length), RM_OK);
    for (size_t cut = 0; cut < length; cut++) {
        assert_int_equal(tunnel_decode_reply(wire, cut, &reply, &consumed), RM_ERR_WOULD_BLOCK);
    }
    assert_int_equal(consumed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
