// SPDX-License-Identifier: GPL-3.0-or-later
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "tls_fixture.h"

#include "base/alloc.h"
#include "worker/gate.h"

#define CROWD 200 // more than GATE_LOOK_MAX

struct stranger {
    struct gate_entry entry; // first
    struct gate *gate;
    bool waits_for_us;
    bool was_put_out;
};

static bool is_waiting_for_peer(const struct gate_entry *entry)
{
    return !((const struct stranger *)(const void *)entry)->waits_for_us;
}

static void put_out(struct gate_entry *entry)
{
    struct stranger *stranger = (struct stranger *)(void *)entry;
    stranger->was_put_out = true;
    gate_leave(stranger->gate, entry);
}

static struct stream_address address_of(const char *text)
{
    struct stream_address address = {0};
    struct sockaddr_in *v4 = (void *)&address.address;
    struct sockaddr_in6 *v6 = (void *)&address.address;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        address.length = sizeof *v4;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
        address.length = sizeof *v6;
    }
    return address;
}

static enum gate_answer come(struct gate *gate, const struct gate_limits *limits,
                             struct stranger *stranger, const char *from)
{
    struct stream_address address = address_of(from);
    enum gate_answer answer = gate_admit(gate, limits, &address);
    *stranger = (struct stranger){
        .entry = {.is_waiting_for_peer = is_waiting_for_peer, .put_out = put_out}, .gate = gate};
    if (answer != GATE_REFUSED) {
        assert_int_equal(gate_enter(gate, &stranger->entry, &address), RM_OK);
    }
    return answer;
}

static void oldest_silent_one_makes_room(void **state)
{
    (void)state;
    const struct gate_limits limits = {.handshakes = 3, .per_source = 3};
    struct stranger strangers[5];
    struct gate gate;
    assert_int_equal(gate_init(&gate), RM_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(come(&gate, &limits, &strangers[i], "10.0.0.1"), GATE_ADMITTED);
    }
    strangers[0].waits_for_us = true;
    assert_int_equal(come(&gate, &limits, &strangers[3], "10.0.0.1"), GATE_ADMITTED_OUT);
    assert_true(strangers[1].was_put_out);
    assert_false(strangers[0].was_put_out);
    // Everybody waits for us: there is nobody to put out.
    strangers[2].waits_for_us = true;
    strangers[3].waits_for_us = true;
    assert_int_equal(come(&gate, &limits, &strangers[4], "10.0.0.2"), GATE_REFUSED);
    assert_int_equal(gate.count, 3);
    gate_leave(&gate, &strangers[0].entry);
    gate_leave(&gate, &strangers[0].entry);
    assert_int_equal(come(&gate, &limits, &strangers[4], "10.0.0.2"), GATE_ADMITTED);
    for (int i = 2; i < 5; i++) {
        gate_leave(&gate, &strangers[i].entry);
    }
    assert_int_equal(gate.count, 0);
    assert_int_equal(map_count(gate.sources), 0);
    gate_deinit(&gate);
}

// Who fills its share makes room for itself only.
static void full_source_costs_no_other(void **state)
{
    (void)state;
    const struct gate_limits limits = {.handshakes = 10, .per_source = 2};
    struct stranger other;
    struct stranger crowd[6];
    struct gate gate;
    assert_int_equal(gate_init(&gate), RM_OK);
    assert_int_equal(come(&gate, &limits, &other, "2001:db8:1::1"), GATE_ADMITTED);
    // One network, six addresses of it.
    static const char *const from[] = {"2001:db8::1", "2001:db8::2",    "2001:db8::1:0:0:3",
                                       "2001:db8::4", "2001:db8::ffff", "2001:db8::6"};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(come(&gate, &limits, &crowd[i], from[i]),
                         i < 2 ? GATE_ADMITTED : GATE_ADMITTED_OUT);
    }
    assert_false(other.was_put_out);
    assert_int_equal(gate.count, 3);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(crowd[i].was_put_out, i < 4);
        gate_leave(&gate, &crowd[i].entry);
    }
    gate_leave(&gate, &other.entry);
    gate_deinit(&gate);
}

static void search_is_bounded(void **state)
{
    (void)state;
    const struct gate_limits limits = {.handshakes = CROWD, .per_source = CROWD};
    static struct stranger crowd[CROWD + 1];
    struct gate gate;
    assert_int_equal(gate_init(&gate), RM_OK);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(come(&gate, &limits, &crowd[i], "10.0.0.1"), GATE_ADMITTED);
        crowd[i].waits_for_us = i < GATE_LOOK_MAX;
    }
    assert_int_equal(come(&gate, &limits, &crowd[CROWD], "10.0.0.1"), GATE_REFUSED);
    crowd[GATE_LOOK_MAX - 1].waits_for_us = false;
    assert_int_equal(come(&gate, &limits, &crowd[CROWD], "10.0.0.1"), GATE_ADMITTED_OUT);
    assert_true(crowd[GATE_LOOK_MAX - 1].was_put_out);
    for (int i = 0; i <= CROWD; i++) {
        gate_leave(&gate, &crowd[i].entry);
    }
    gate_deinit(&gate);
}

static void without_memory_nobody_enters(void **state)
{
    (void)state;
    struct stream_address address = address_of("10.0.0.1");
    struct gate_entry entry = {0};
    struct gate gate;
    assert_int_equal(gate_init(&gate), RM_OK);
    for (uint64_t n = 1; n <= 2; n++) {
        rm_alloc_fail_at(n);
        assert_int_equal(gate_enter(&gate, &entry, &address), RM_ERR_NO_MEMORY);
        rm_alloc_fail_at(0);
        assert_int_equal(gate.count, 0);
        assert_null(entry.source);
    }
    gate_deinit(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_silent_one_makes_room),
        cmocka_unit_test(full_source_costs_no_other),
        cmocka_unit_test(search_is_bounded),
        cmocka_unit_test(without_memory_nobody_enters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
