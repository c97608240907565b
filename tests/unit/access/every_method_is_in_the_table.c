// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/access.h"
#include "descriptor_set.h"
#include "descriptors.h"

struct tally {
    size_t methods; // of the contracts
    size_t missing; // that the table does not know
};

static void look_up(void *context, const char *path)
{
    struct tally *tally = context;
    tally->methods++;
    if (access_class_of(path) == ACCESS_NOBODY) {
        print_error("%s is not in the table\n", path);
        tally->missing++;
    }
}

static void contracts_and_table_agree(void **state)
{
    (void)state;
    struct tally tally = {0};
    size_t rules = 0;
    (void)access_rules(&rules);
    descriptor_methods(remora_descriptor_set, remora_descriptor_set_length, look_up, &tally);
    assert_int_equal(tally.missing, 0);
    // And the table holds nothing that is no method: with as many rules as methods, all found.
    assert_int_equal(tally.methods, rules);
}

static void what_is_not_in_the_table_is_for_nobody(void **state)
{
    (void)state;
    assert_int_equal(access_class_of("/remora.admin.v1.Admin/Format"), ACCESS_NOBODY);
    assert_int_equal(access_class_of(""), ACCESS_NOBODY);
    assert_int_equal(access_class_of("/remora.identity.v1.Identity/issue"), ACCESS_NOBODY);
}

static void rules_are_those_of_the_design(void **state)
{
    (void)state;
    size_t count = 0;
    const struct access_rule *rules = access_rules(&count);
    for (size_t i = 0; i < count; i++) {
        enum access_class wanted = strncmp(rules[i].path, "/remora.admin.", 14) == 0 ? ACCESS_ADMIN
                                   : strncmp(rules[i].path, "/remora.mesh.", 13) == 0
                                       ? ACCESS_WORKLOAD
                                       : ACCESS_ANYONE;
        assert_int_equal(rules[i].caller, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contracts_and_table_agree),
        cmocka_unit_test(what_is_not_in_the_table_is_for_nobody),
        cmocka_unit_test(rules_are_those_of_the_design),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
