// SPDX-License-Identifier: GPL-3.0-or-later
//
// Each order puts first what one looks for, equal ones stay in place, and a rate is what a
// connection carried since the picture before.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connections.h"

#define MOST 4

// A list in the test's memory: ids "a", "b", ... by position.
struct made {
    struct connection_entry entries[MOST];
    struct connection_list list;
};

static void make(struct made *made, const struct wire_connection *connections, size_t count)
{
    static const uint8_t ids[] = "abcdefgh";
    memset(made, 0, sizeof *made);
    for (size_t i = 0; i < count; i++) {
        struct wire_connection *of = &made->entries[i].of;
        *of = connections[i];
        of->id = of->id.length == 0 ? (struct wire_binary){&ids[i], 1} : of->id;
        of->direction = "outbound";
        of->state = of->state != NULL ? of->state : "";
        of->service = of->service != NULL ? of->service : "";
        of->peer_identity = of->peer_identity != NULL ? of->peer_identity : "";
    }
    made->list = (struct connection_list){.entries = made->entries, .count = count};
}

static void assert_order(struct made *made, const char *name, bool is_reversed,
                         const char *expected)
{
    const struct connection_order *order = connection_order_find(name);
    assert_non_null(order);
    connections_sort(&made->list, order, is_reversed);
    for (size_t i = 0; i < made->list.count; i++) {
        if (made->entries[i].of.id.bytes[0] != (uint8_t)expected[i]) {
            fail_msg("by %s: %c at %zu, not %c", name, made->entries[i].of.id.bytes[0], i,
                     expected[i]);
        }
    }
}

static void each_order(void **state)
{
    (void)state;
    const struct wire_connection connections[] = {
        {.sent_bytes = 5,
         .age_ms = 10,
         .service = "y",
         .peer_identity = "p",
         .state = "relay",
         .peer_not_after_s = 0},
        {.received_bytes = 9,
         .age_ms = 30,
         .service = "x",
         .peer_identity = "r",
         .state = "reply",
         .peer_not_after_s = 7},
        {.sent_bytes = 1,
         .received_bytes = 2,
         .age_ms = 20,
         .service = "z",
         .peer_identity = "q",
         .state = "handshake",
         .peer_not_after_s = 3},
    };
    struct made made;
    make(&made, connections, 3);
    assert_order(&made, "bytes", false, "bac");
    assert_order(&made, "bytes", true, "cab");
    assert_order(&made, "age", false, "bca");
    assert_order(&made, "service", false, "bac");
    assert_order(&made, "peer", false, "acb");
    assert_order(&made, "state", false, "cab");
    // What has no certificate yet comes last.
    assert_order(&made, "left", false, "cba");
    assert_null(connection_order_find("colour"));
}

static void equal_ones_are_ordered_by_age_and_id(void **state)
{
    (void)state;
    const struct wire_connection connections[] = {{.age_ms = 1}, {.age_ms = 1}, {.age_ms = 2}};
    struct made made;
    make(&made, connections, 3);
    assert_order(&made, "bytes", false, "cab");
    assert_order(&made, "service", false, "cab");
}

static void rates(void **state)
{
    (void)state;
    static const uint8_t b[] = "b";
    static const uint8_t z[] = "z";
    const struct wire_connection earlier[] = {{.sent_bytes = 1000}, {.received_bytes = 10}};
    const struct wire_connection later[] = {
        {.sent_bytes = 500, .received_bytes = 4010, .id = {b, 1}},
        {.sent_bytes = 900},              // as "b" again would be: see its id below
        {.sent_bytes = 77, .id = {z, 1}}, // new
    };
    struct made before;
    struct made now;
    make(&before, earlier, 2);
    make(&now, later, 3);
    now.entries[1].of.id = (struct wire_binary){(const uint8_t *)"a", 1};
    connections_rate(&now.list, &before.list, 2000);
    assert_int_equal(now.entries[0].sent_rate, 250);
    assert_int_equal(now.entries[0].received_rate, 2000);
    assert_int_equal(now.entries[1].sent_rate, 0); // less than before: another one of its id
    assert_int_equal(now.entries[2].sent_rate, 0);
    assert_order(&now, "rate", false, "baz");
}

static void amounts(void **state)
{
    (void)state;
    static const struct {
        uint64_t amount;  // given
        const char *text; // expected
    } cases[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1.0k"},
        {9949, "9.9k"},
        {9960, "10k"},
        {999499, "999k"},
        {999500, "1.0M"},
        {1234567, "1.2M"},
        {56000000000, "56G"},
        {UINT64_MAX, "18E"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[AMOUNT_BYTES];
        amount_text(cases[i].amount, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_order),
        cmocka_unit_test(equal_ones_are_ordered_by_age_and_id),
        cmocka_unit_test(rates),
        cmocka_unit_test(amounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
