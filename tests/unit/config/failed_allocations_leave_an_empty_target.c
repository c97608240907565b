// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema.h"

#include "base/alloc.h"

static void each_failure_frees_what_was_read(void **state)
{
    (void)state;
    static const char text[] = "note: text\n"
                               "services:\n"
                               "  - {name: a, port: 1, allow: [\"spiffe://a\", \"spiffe://b\"]}\n"
                               "  - {name: b, port: 2}\n"
                               "  - {name: c, port: 3}\n"
                               "  - {name: d, port: 4}\n"
                               "  - {name: e, port: 5}\n"
                               "tags: [a, b, c, d, e]\n";
    const struct sample nothing = {0};
    enum rm_err result = RM_ERR_NO_MEMORY;
    uint64_t n = 0;
    while (result != RM_OK) {
        struct sample sample;
        struct rm_error error = {0};
        rm_alloc_fail_at(++n);
        result = sample_parse(text, &sample, &error);
        rm_alloc_fail_at(0);
        assert_true(n < 100);
        if (result == RM_OK) {
            assert_int_equal(sample.services.count, 5);
            assert_int_equal(sample.tags.count, 5);
            config_free(sample_fields, &sample);
        } else {
            assert_int_equal(result, RM_ERR_NO_MEMORY);
            assert_int_equal(error.code, RM_ERR_NO_MEMORY);
            assert_memory_equal(&sample, &nothing, sizeof(sample));
        }
    }
    // note, 5 names, 2 allowed, 5 tags, the default of listen, and the growth of three lists.
    assert_int_equal(n - 1, 1 + 5 + 2 + 5 + 1 + 2 + 1 + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_frees_what_was_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
