// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a certificate is called follows from its own end, from its lineage, and from being the
// newest.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/admin_internal.h"

#define NOW_S 1000

static void every_case_has_its_name(void **state)
{
    static const struct {
        bool has_lineage;         // its record is there
        enum lineage_state state; // of the lineage
        bool is_newest;           // of the lineage
        int64_t not_after_s;      // of the certificate
        const char *name;         // expected
    } rows[] = {
        {true, LINEAGE_LIVE, true, NOW_S + 1, "live"},
        {true, LINEAGE_LIVE, false, NOW_S + 1, "renewed"},
        {true, LINEAGE_LIVE, true, NOW_S, "expired"},
        {true, LINEAGE_LIVE, false, NOW_S, "expired"},
        {true, LINEAGE_REVOKED, true, NOW_S + 1, "revoked"},
        {true, LINEAGE_REVOKED, false, NOW_S + 1, "revoked"},
        {true, LINEAGE_REVOKED, true, NOW_S, "revoked"},
        {true, LINEAGE_LAPSED, true, NOW_S, "lapsed"},
        {true, LINEAGE_LAPSED, false, NOW_S, "expired"},
        {true, LINEAGE_LAPSED, true, NOW_S + 1, "lapsed"},
        {true, LINEAGE_LAPSED, false, NOW_S + 1, "lapsed"},
        {false, LINEAGE_LIVE, false, NOW_S, "expired"},
        // Nobody renews it any more, so it must not pass for live.
        {false, LINEAGE_LIVE, false, NOW_S + 1, "lapsed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t serial[ISSUE_SERIAL_BYTES] = {0x10, 1};
        struct lineage_record lineage = {.state = rows[i].state};
        struct certificate_record certificate = {.not_after_s = rows[i].not_after_s};
        memcpy(lineage.serial, serial, sizeof serial);
        lineage.serial[15] ^= rows[i].is_newest ? 0 : 1;
        const char *name = admin_certificate_state(&certificate, serial,
                                                   rows[i].has_lineage ? &lineage : NULL, NOW_S);
        assert_string_equal(name, rows[i].name);
    }
}

static void only_live_lineages_count_as_live(void **state)
{
    struct lineage_record lineage = {.state = LINEAGE_LIVE, .not_after_s = NOW_S + 1};
    (void)state;
    assert_true(admin_lineage_is_live(&lineage, NOW_S));
    lineage.not_after_s = NOW_S;
    assert_false(admin_lineage_is_live(&lineage, NOW_S));
    lineage.not_after_s = NOW_S + 1;
    lineage.state = LINEAGE_REVOKED;
    assert_false(admin_lineage_is_live(&lineage, NOW_S));
    lineage.state = LINEAGE_LAPSED;
    assert_false(admin_lineage_is_live(&lineage, NOW_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_has_its_name),
        cmocka_unit_test(only_live_lineages_count_as_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
