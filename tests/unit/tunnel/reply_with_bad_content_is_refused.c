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

static enum rm_err decode(const uint8_t *wire, size_t length)
{
    struct tunnel_reply got;
    size_t consumed = 0;
    return tunnel_decode_reply(wire, length, &got, &consumed);
}

static void statuses(void **state)
{
    (void)state;
    const uint8_t ok[] = {0, 2, 0x08, 1};
    assert_int_equal(decode(ok, sizeof(ok)), RM_OK);
    const uint8_t unspecified[] = {0, 2, 0x08, 0};
    assert_int_equal(decode(unspecified, sizeof(unspecified)), RM_ERR_MALFORMED);
    const uint8_t absent[] = {0, 3, 0x12, 1, 'r'};
    assert_int_equal(decode(absent, sizeof(absent)), RM_ERR_MALFORMED);
    const uint8_t unknown[] = {0, 2, 0x08, 5};
    assert_int_equal(decode(unknown, sizeof(unknown)), RM_ERR_MALFORMED);
}

static void reasons(void **state)
{
    (void)state;
    const uint8_t newline[] = {0, 5, 0x08, 2, 0x12, 1, '\n'};
    assert_int_equal(decode(newline, sizeof(newline)), RM_ERR_MALFORMED);
    const uint8_t high[] = {0, 5, 0x08, 2, 0x12, 1, 0xc3};
    assert_int_equal(decode(high, sizeof(high)), RM_ERR_MALFORMED);
    uint8_t large[TUNNEL_PREFIX_BYTES + 5 + TUNNEL_MAX_REASON_BYTES + 1];
    memset(large, 'r', sizeof(large));
    const uint8_t head[] = {0x02, 0x06, 0x08, 2, 0x12, 0x81, 0x04}; // a reason of 513 bytes
    memcpy(large, head, sizeof(head));
    assert_int_equal(decode(large, sizeof(large)), RM_ERR_MALFORMED);
}

static void we_do_not_send_it_either(void **state)
{
    (void)state;
    uint8_t wire[WIRE_BYTES];
    size_t length = 0;
    struct tunnel_reply reply = {.status = TUNNEL_STATUS_INVALID};
    assert_int_equal(tunnel_encode_reply(&reply, wire, &length), RM_ERR_MALFORMED);
    reply = (struct tunnel_reply){.status = TUNNEL_DENIED, .reason = "two\nlines"};
    assert_int_equal(tunnel_encode_reply(&reply, wire, &length), RM_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(reasons),
        cmocka_unit_test(we_do_not_send_it_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
