// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream_contract.h"

static void tcp_keeps_the_contract(void **state)
{
    (void)state;
    contract_holds(streams_tcp);
    contract_abort_is_a_reset(streams_tcp);
}

// A Unix socket cannot send a reset: that is the one promise it does not keep.
static void unix_sockets_keep_the_contract(void **state)
{
    (void)state;
    contract_holds(streams_unix);
}

static void memory_keeps_the_contract(void **state)
{
    (void)state;
    contract_holds(streams_memory);
    contract_abort_is_a_reset(streams_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_keeps_the_contract),
        cmocka_unit_test(unix_sockets_keep_the_contract),
        cmocka_unit_test(memory_keeps_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
