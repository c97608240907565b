// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relayed.h"

#define RELAY_COUNT 200

struct crowd {
    struct relayed all[RELAY_COUNT]; // under test, in one loop
    struct loop *loop;               // theirs
};

// Different amounts and reading speeds each way, over TCP, all at once; every byte is checked.
static void two_hundred_relays_in_one_loop(void **state)
{
    (void)state;
    static struct crowd crowd;
    uint64_t sum = 0;
    crowd.loop = loop_new("crowd");
    for (unsigned i = 0; i < RELAY_COUNT; i++) {
        struct relayed *one = &crowd.all[i];
        one->loop = crowd.loop;
        streams_tcp(crowd.loop, &one->left_stream, &one->a);
        streams_tcp(crowd.loop, &one->b, &one->right_stream);
        one->left.send_bytes = i * 499U;
        one->right.send_bytes = (RELAY_COUNT - i) * 503U;
        one->left.read_bytes = i % 7 * 1000;
        one->right.read_bytes = i % 5 * 3000;
        relayed_relay(one, &relayed_no_limits);
        party_start(&one->left, one->left_stream);
        party_start(&one->right, one->right_stream);
    }
    loop_finish(crowd.loop);
    for (unsigned i = 0; i < RELAY_COUNT; i++) {
        struct relayed *one = &crowd.all[i];
        assert_int_equal(one->done, 1);
        assert_int_equal(one->result.error, RM_OK);
        assert_int_equal(one->right.received_bytes, i * 499U);
        assert_int_equal(one->left.received_bytes, (RELAY_COUNT - i) * 503U);
        sum += one->result.a_to_b_bytes + one->result.b_to_a_bytes;
    }
    assert_true(sum > 15000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_relays_in_one_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
