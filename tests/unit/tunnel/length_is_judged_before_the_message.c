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

static void prefix_alone_decides(void **state)
{
    (void)state;
    const uint8_t over[] = {0x04, 0x01}; // 1025
    const uint8_t http[] = {'G', 'E'};
    const uint8_t empty[] = {0, 0};
    const uint8_t largest[] = {0x04, 0x00};
    struct tunnel_connect connect;
    struct tunnel_reply reply;
    size_t consumed = 0;
    assert_int_equal(tunnel_decode_connect(over, 2, &connect, &consumed), RM_ERR_TOO_LARGE);
    assert_int_equal(tunnel_decode_reply(over, 2, &reply, &consumed), RM_ERR_TOO_LARGE);
    assert_int_equal(tunnel_decode_connect(http, 2, &connect, &consumed), RM_ERR_TOO_LARGE);
    assert_int_equal(tunnel_decode_connect(empty, 2, &connect, &consumed), RM_ERR_MALFORMED);
    assert_int_equal(tunnel_decode_reply(empty, 2, &reply, &consumed), RM_ERR_MALFORMED);
    assert_int_equal(tunnel_decode_connect(largest, 2, &connect, &consumed), RM_ERR_WOULD_BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix_alone_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
