// SPDX-License-Identifier: GPL-3.0-or-later
#include "authority_fixture.h"

#include <errno.h>

#include "audit/alarms.h"
#include "disk_fault.h"

#define DAY INT64_C(86400)

static void note_intermediate(struct authority_fixture *fixture, uint8_t id[KEY_ID_BYTES])
{
    const struct der *der = authority_intermediate(fixture->authority);
    assert_int_equal(certificate_key_id(der->bytes, der->length, id), RM_OK);
}

static void reload_at(struct authority_fixture *fixture, int64_t offset_s)
{
    authority_fixture_close(fixture);
    clock_move(offset_s);
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
}

static void young_one_stays(void **state)
{
    uint8_t before[KEY_ID_BYTES];
    uint8_t after[KEY_ID_BYTES];
    note_intermediate(*state, before);
    reload_at(*state, 14 * DAY);
    note_intermediate(*state, after);
    assert_memory_equal(before, after, KEY_ID_BYTES);
}

static void old_one_gets_a_successor_that_is_kept(void **state)
{
    uint8_t before[KEY_ID_BYTES];
    uint8_t after[KEY_ID_BYTES];
    uint8_t again[KEY_ID_BYTES];
    note_intermediate(*state, before);
    reload_at(*state, 16 * DAY);
    note_intermediate(*state, after);
    assert_memory_not_equal(before, after, KEY_ID_BYTES);
    reload_at(*state, 16 * DAY);
    note_intermediate(*state, again);
    assert_memory_equal(after, again, KEY_ID_BYTES);
    struct authority_leaf leaf = {0};
    assert_int_equal(authority_fixture_sign(*state, 3600, &leaf), RM_OK);
    assert_memory_equal(leaf.issuer_key_id, after, KEY_ID_BYTES);
    chain_deinit(&leaf.chain);
}

static void old_one_goes_on_when_the_store_fails(void **state)
{
    uint8_t before[KEY_ID_BYTES];
    uint8_t after[KEY_ID_BYTES];
    note_intermediate(*state, before);
    disk_fault_fail(DISK_SYNC, 1, 0, EIO);
    reload_at(*state, 16 * DAY);
    disk_fault_clear();
    note_intermediate(*state, after);
    assert_memory_equal(before, after, KEY_ID_BYTES);
}

static void expired_one_without_successor_is_no_authority(void **state)
{
    struct authority_fixture *fixture = *state;
    authority_fixture_close(fixture);
    clock_move(31 * DAY);
    disk_fault_fail(DISK_SYNC, 1, 0, EIO);
    assert_int_not_equal(authority_fixture_load(fixture), RM_OK);
    disk_fault_clear();
    assert_null(fixture->authority);
    assert_non_null(strstr(fixture->error.message, "expired"));
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
}

static size_t count_alarms(enum alarm_kind kind)
{
    size_t found = 0;
    for (size_t i = 0; i < alarms_count(); i++) {
        found += alarms_at(i)->kind == kind ? 1 : 0;
    }
    return found;
}

static void root_near_its_end_raises_an_alarm(void **state)
{
    reload_at(*state, (3650 - 91) * DAY);
    assert_int_equal(count_alarms(ALARM_ROOT_EXPIRES), 0);
    reload_at(*state, (3650 - 89) * DAY);
    assert_int_equal(count_alarms(ALARM_ROOT_EXPIRES), 1);
    reload_at(*state, (3650 - 88) * DAY);
    assert_int_equal(count_alarms(ALARM_ROOT_EXPIRES), 1);
    authority_fixture_close(*state);
    clock_move(3651 * DAY);
    assert_int_equal(authority_fixture_load(*state), RM_ERR_EXPIRED);
    clock_move(0);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, authority_fixture_setup, authority_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(young_one_stays),
        TEST(old_one_gets_a_successor_that_is_kept),
        TEST(old_one_goes_on_when_the_store_fails),
        TEST(expired_one_without_successor_is_no_authority),
        TEST(root_near_its_end_raises_an_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
