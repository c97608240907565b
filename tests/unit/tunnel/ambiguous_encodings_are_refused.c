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

static enum rm_err decode_reply(const uint8_t *wire, size_t length)
{
    struct tunnel_reply got;
    size_t consumed = 0;
    return tunnel_decode_reply(wire, length, &got, &consumed);
}

static void nul_inside_a_name(void **state)
{
    (void)state;
    uint8_t wire[] = {0, 27, 0x0a, 5, 'w', 'e', 'b', '.', 'x', 0x10, 80, 0x1a, 16, 1, 2,
                      3, 4,  5,    6, 7,   8,   9,   10,  11,  12,   13, 14,   15, 16};
    struct tunnel_connect got;
    size_t consumed = 0;
    assert_int_equal(tunnel_decode_connect(wire, sizeof(wire), &got, &consumed), RM_OK);
    wire[7] = '\0'; // "web\0x" must not pass for "web"
    assert_int_equal(tunnel_decode_connect(wire, sizeof(wire), &got, &consumed), RM_ERR_MALFORMED);
}

static void repeated_scalar(void **state)
{
    (void)state;
    const uint8_t twice[] = {0, 4, 0x08, 2, 0x08, 1}; // denied, then ok
    assert_int_equal(decode_reply(twice, sizeof(twice)), RM_ERR_MALFORMED);
}

static void overlong_number(void **state)
{
    (void)state;
    const uint8_t overlong[] = {0, 3, 0x08, 0x81, 0x00};
    assert_int_equal(decode_reply(overlong, sizeof(overlong)), RM_ERR_MALFORMED);
}

static void a_later_versions_field_is_kept_out_of_the_way(void **state)
{
    (void)state;
    const uint8_t later[] = {0, 5, 0x08, 1, 0x7a, 1, 'x'}; // field 15
    assert_int_equal(decode_reply(later, sizeof(later)), RM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nul_inside_a_name),
        cmocka_unit_test(repeated_scalar),
        cmocka_unit_test(overlong_number),
        cmocka_unit_test(a_later_versions_field_is_kept_out_of_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
