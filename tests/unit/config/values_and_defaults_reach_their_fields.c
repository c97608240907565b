// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "schema.h"

#include "base/alloc.h"

static void every_type_is_read(void **state)
{
    (void)state;
    static const char text[] = "# a comment\n"
                               "listen: \"[::]:15008\"\n"
                               "note: 'it''s: fine'\n"
                               "expose: true\n"
                               "workers: 64\n"
                               "offset: -9223372036854775808\n"
                               "level: error\n"
                               "timeouts:\n"
                               "  drain: 1m\n"
                               "  lifetime: 500ms\n"
                               "services:\n"
                               "  - name: web\n"
                               "    port: 80\n"
                               "    allow:\n"
                               "      - spiffe://a/b\n"
                               "      - spiffe://a/c\n"
                               "  - {name: cache, port: 6379}\n"
                               "tags: [yes, 12, \"null\"]\n"
                               "inner: {first: 7}\n";
    struct sample sample;
    struct rm_error error = {0};
    assert_int_equal(sample_parse(text, &sample, &error), RM_OK);
    assert_string_equal(sample.listen, "[::]:15008");
    assert_string_equal(sample.note, "it's: fine");
    assert_true(sample.is_exposed);
    assert_int_equal(sample.workers, 64);
    assert_true(sample.offset == INT64_MIN);
    assert_int_equal(sample.level, 3);
    assert_int_equal(sample.drain_ms, 60000);
    assert_int_equal(sample.lifetime_ms, 500);
    assert_int_equal(sample.services.count, 2);
    const struct sample_service *services = sample.services.items;
    assert_string_equal(services[0].name, "web");
    assert_int_equal(services[0].port, 80);
    assert_int_equal(services[0].allow.count, 2);
    assert_string_equal(services[0].allow.items[1], "spiffe://a/c");
    assert_string_equal(services[1].name, "cache");
    assert_int_equal(services[1].allow.count, 0);
    assert_int_equal(sample.tags.count, 3);
    assert_string_equal(sample.tags.items[0], "yes");
    assert_string_equal(sample.tags.items[2], "null");
    assert_int_equal(sample.inner.first, 7);
    assert_int_equal(sample.inner.second, 2);
    // Where values stood.
    assert_int_equal(services[0].place.line, 13);
    assert_int_equal(services[0].place.column, 11);
    assert_int_equal(services[1].place.line, 17);
    assert_int_equal(services[1].place.column, 25);
    assert_int_equal(sample.place.line, 9);
    assert_int_equal(sample.place.column, 3);
    config_free(sample_fields, &sample);
    assert_null(sample.listen);
    assert_null(sample.services.items);
}

static void assert_defaults(const char *text)
{
    struct sample sample;
    struct rm_error error = {0};
    assert_int_equal(sample_parse(text, &sample, &error), RM_OK);
    assert_string_equal(sample.listen, "0.0.0.0:15008");
    assert_null(sample.note);
    assert_false(sample.is_exposed);
    assert_int_equal(sample.workers, 2);
    assert_int_equal(sample.offset, 0);
    assert_int_equal(sample.level, 1);
    assert_int_equal(sample.drain_ms, 25000);
    assert_int_equal(sample.lifetime_ms, 0);
    assert_int_equal(sample.inner.first, 0);
    assert_int_equal(sample.inner.second, 2);
    assert_int_equal(sample.services.count, 0);
    assert_int_equal(sample.place.line, 0);
    config_free(sample_fields, &sample);
}

static void absent_keys_and_sections_get_their_defaults(void **state)
{
    (void)state;
    assert_defaults("");
    assert_defaults("# nothing but a comment\n");
    assert_defaults("---\n");
    assert_defaults("---\n...\n");
    assert_defaults("{}\n");
    assert_defaults("tags: []\n");
    assert_defaults("services: []\n");
}

static void every_unit_of_time_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"timeouts: {lifetime: 7ms}", 7},          {"timeouts: {lifetime: 20s}", 20000},
        {"timeouts: {lifetime: 5m}", 300000},      {"timeouts: {lifetime: 1h}", 3600000},
        {"timeouts: {lifetime: 30d}", 2592000000}, {"timeouts: {lifetime: '0s'}", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample sample;
        assert_int_equal(sample_parse(cases[i].text, &sample, NULL), RM_OK);
        assert_true(sample.lifetime_ms == cases[i].ms);
        config_free(sample_fields, &sample);
    }
}

static void a_file_is_read_by_its_name(void **state)
{
    (void)state;
    char path[] = "/tmp/remora-unit-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, "wrokers: 3\n", 11), 11);
    struct sample sample;
    struct rm_error error = {0};
    char expected[128];
    snprintf(expected, sizeof(expected), "%s:1:1: unknown key 'wrokers'; did you mean 'workers'?",
             path);
    assert_int_equal(config_read(path, sample_fields, &sample, sizeof(sample), &error),
                     RM_ERR_CONFIG);
    assert_string_equal(error.message, expected);
    assert_int_equal(pwrite(descriptor, "workers: 3\n\n", 11, 0), 11);
    assert_int_equal(config_read(path, sample_fields, &sample, sizeof(sample), &error), RM_OK);
    assert_int_equal(sample.workers, 3);
    config_free(sample_fields, &sample);
    close(descriptor);
    unlink(path);
    assert_int_equal(config_read(path, sample_fields, &sample, sizeof(sample), &error),
                     RM_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(absent_keys_and_sections_get_their_defaults),
        cmocka_unit_test(every_unit_of_time_is_known),
        cmocka_unit_test(a_file_is_read_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
