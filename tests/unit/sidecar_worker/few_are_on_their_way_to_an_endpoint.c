// SPDX-License-Identifier: GPL-3.0-or-later
#include "tls_fixture.h"

#include "worker/lane.h"

struct traveller {
    struct lane_entry entry;
    unsigned turns;  // that came
    unsigned number; // of the last one among all turns
};

static unsigned turn_count;

static void on_turn(void *context)
{
    struct traveller *traveller = context;
    traveller->turns++;
    traveller->number = ++turn_count;
}

static struct traveller travellers[LANE_WIDTH + 4];
static struct lane lane;

static struct loop *crowd_begin(void)
{
    turn_count = 0;
    lane_init(&lane);
    for (int i = 0; i < LANE_WIDTH + 4; i++) {
        travellers[i] = (struct traveller){0};
        lane_entry_init(&travellers[i].entry, on_turn, &travellers[i]);
        assert_int_equal(lane_enter(&lane, &travellers[i].entry), i < LANE_WIDTH);
    }
    return loop_new("lane");
}

static void crowd_end(struct loop *loop)
{
    for (int i = 0; i < LANE_WIDTH + 4; i++) {
        lane_leave(loop, &travellers[i].entry);
        lane_leave(loop, &travellers[i].entry); // once is enough
    }
    world_end(loop);
    assert_int_equal(lane.under_way, 0);
}

static void places_go_to_those_who_waited_longest(void **state)
{
    (void)state;
    struct loop *loop = crowd_begin();
    world_turns(loop, 2);
    assert_int_equal(turn_count, 0);
    lane_leave(loop, &travellers[5].entry);
    lane_leave(loop, &travellers[0].entry);
    assert_int_equal(turn_count, 0); // from the loop, not from within
    world_turns(loop, 2);
    assert_int_equal(travellers[LANE_WIDTH].number, 1);
    assert_int_equal(travellers[LANE_WIDTH + 1].number, 2);
    assert_int_equal(turn_count, 2);
    assert_int_equal(lane.under_way, LANE_WIDTH);
    crowd_end(loop);
}

// Who gives up in line, or with its turn granted but not yet told, costs nobody a place.
static void who_gives_up_is_skipped(void **state)
{
    (void)state;
    struct loop *loop = crowd_begin();
    lane_leave(loop, &travellers[LANE_WIDTH].entry);
    lane_leave(loop, &travellers[0].entry);              // for LANE_WIDTH + 1 ...
    lane_leave(loop, &travellers[LANE_WIDTH + 1].entry); // ... which passes it on
    world_turns(loop, 2);
    assert_int_equal(turn_count, 1);
    assert_int_equal(travellers[LANE_WIDTH + 2].turns, 1);
    assert_int_equal(lane.under_way, LANE_WIDTH);
    crowd_end(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_go_to_those_who_waited_longest),
        cmocka_unit_test(who_gives_up_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
