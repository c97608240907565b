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

static void every_allocation(void **state)
{
    (void)state;
    const struct tunnel_connect sent = {.service = "web", .port = 80};
    uint8_t wire[WIRE_BYTES];
    size_t length = 0;
    assert_int_equal(tunnel_encode_connect(&sent, wire, &length), RM_OK);
    enum rm_err result = RM_ERR_NO_MEMORY;
    uint64_t n = 1;
    for (; result != RM_OK; n++) {
        struct tunnel_connect got;
        size_t consumed = 0;
        rm_alloc_fail_at(n);
        result = tunnel_decode_connect(wire, length, &got, &consumed);
        assert_true(result == RM_OK || result == RM_ERR_NO_MEMORY);
    }
    rm_alloc_fail_at(0);
    assert_true(n > 2); // at least one allocation did fail
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
