// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema.h"

#include "base/alloc.h"

static void assert_message(const char *text, const char *expected)
{
    struct sample sample;
    struct rm_error error = {0};
    assert_int_equal(sample_parse(text, &sample, &error), RM_ERR_CONFIG);
    assert_string_equal(error.message, expected);
    assert_int_equal(error.code, RM_ERR_CONFIG);
    // Nothing of what was read before the mistake remains.
    const struct sample nothing = {0};
    assert_memory_equal(&sample, &nothing, sizeof(sample));
}

static void keys(void **state)
{
    (void)state;
    assert_message("workers: 1\nservices:\n  - name: web\n    prot: 80\n",
                   "x.yaml:4:5: unknown key 'prot'; did you mean 'port'?");
    assert_message("timeouts: {zzz: 1}\n",
                   "x.yaml:1:12: unknown key 'zzz'; known here: drain, lifetime");
    assert_message("ilstne: x\n", "x.yaml:1:1: unknown key 'ilstne'; did you mean 'listen'?");
    assert_message("Listen: x\n", "x.yaml:1:1: unknown key 'Listen'; did you mean 'listen'?");
    assert_message("\"\\e[2J\": 1\n", "x.yaml:1:1: unknown key '?[2J'; known here: listen, note, "
                                      "expose, workers, offset, level, timeouts, services, tags, "
                                      "inner");
    assert_message("workers: 1\nnote: a\nworkers: 2\n",
                   "x.yaml:3:1: 'workers' is given twice; the first is on line 1");
    assert_message("services:\n  - name: web\n",
                   "x.yaml:2:5: 'port' is missing in 'services'; it is required");
    assert_message("inner: {}\n", "x.yaml:1:8: 'first' is missing in 'inner'; it is required");
    assert_message("? [a, b]\n: c\n", "x.yaml:1:3: a key must be plain text");
    assert_message("<<: {a: b}\n",
                   "x.yaml:1:1: unknown key '<<'; known here: listen, note, expose, workers, "
                   "offset, level, timeouts, services, tags, inner");
}

static void scalars(void **state)
{
    (void)state;
    assert_message("expose: yes\n",
                   "x.yaml:1:9: 'expose' must be true or false, without quotes, not 'yes'");
    assert_message("expose: \"true\"\n",
                   "x.yaml:1:9: 'expose' must be true or false, without quotes, not 'true'");
    assert_message("workers: four\n", "x.yaml:1:10: 'workers' must be a whole decimal number, "
                                      "without quotes, not 'four'");
    assert_message("workers: 4.5\n", "x.yaml:1:10: 'workers' must be a whole decimal number, "
                                     "without quotes, not '4.5'");
    assert_message("workers: '4'\n", "x.yaml:1:10: 'workers' must be a whole decimal number, "
                                     "without quotes, not '4'");
    assert_message("workers: 010\n", "x.yaml:1:10: 'workers' must be a whole decimal number, "
                                     "without quotes, not '010'");
    assert_message("offset: 9223372036854775808\n",
                   "x.yaml:1:9: 'offset' must be a whole decimal number, without quotes, not "
                   "'9223372036854775808'");
    assert_message("workers: 65\n", "x.yaml:1:10: 'workers' is 65, but must be from 0 to 64");
    assert_message("workers: -1\n", "x.yaml:1:10: 'workers' is -1, but must be from 0 to 64");
    assert_message("level: wran\n", "x.yaml:1:8: 'level' cannot be 'wran'; did you mean 'warn'?");
    assert_message("level: loud\n",
                   "x.yaml:1:8: 'level' cannot be 'loud'; use debug, info, warn or error");
    assert_message("note:\n", "x.yaml:1:6: 'note' has no value; write one or remove the key");
    assert_message("note: ~\n", "x.yaml:1:7: 'note' has no value; write one or remove the key");
    assert_message("note: null\n", "x.yaml:1:7: 'note' has no value; write one or remove the key");
    assert_message("note: \"a\\0b\"\n", "x.yaml:1:7: a value cannot hold a NUL character");
}

static void durations(void **state)
{
    (void)state;
    assert_message("timeouts:\n  drain: 20\n",
                   "x.yaml:2:10: 'drain' must be a whole number and a unit (500ms, 20s, 5m, 1h, "
                   "30d), not '20'");
    assert_message("timeouts:\n  drain: 20 s\n",
                   "x.yaml:2:10: 'drain' must be a whole number and a unit (500ms, 20s, 5m, 1h, "
                   "30d), not '20 s'");
    assert_message("timeouts:\n  drain: 1.5h\n",
                   "x.yaml:2:10: 'drain' must be a whole number and a unit (500ms, 20s, 5m, 1h, "
                   "30d), not '1.5h'");
    assert_message("timeouts:\n  lifetime: 9223372036854775807d\n",
                   "x.yaml:2:13: 'lifetime' must be a whole number and a unit (500ms, 20s, 5m, "
                   "1h, 30d), not '9223372036854775807d'");
    assert_message("timeouts:\n  drain: 90m\n",
                   "x.yaml:2:10: 'drain' is 90m, but must be from 1s to 1h");
    assert_message("timeouts:\n  drain: 0s\n",
                   "x.yaml:2:10: 'drain' is 0s, but must be from 1s to 1h");
}

static void shapes(void **state)
{
    (void)state;
    assert_message("just text\n", "x.yaml:1:1: the file must be a mapping: 'key: value' lines");
    assert_message("- a\n- b\n", "x.yaml:1:1: the file must be a mapping: 'key: value' lines");
    assert_message("note: [a]\n", "x.yaml:1:7: 'note' takes one value, not a list");
    assert_message("note: {a: b}\n", "x.yaml:1:7: 'note' takes one value, not a mapping");
    assert_message("timeouts: 20s\n",
                   "x.yaml:1:11: 'timeouts' must be a mapping: keys indented below it");
    assert_message("timeouts:\n", "x.yaml:1:10: 'timeouts' has no value; write one or remove the "
                                  "key");
    assert_message("services: web\n",
                   "x.yaml:1:11: 'services' must be a list: one '- ...' line per item");
    assert_message("services:\n  name: web\n",
                   "x.yaml:2:3: 'services' must be a list: one '- ...' line per item");
    assert_message("services:\n  - web\n",
                   "x.yaml:2:5: each item of 'services' must be a mapping (- name: ...)");
    assert_message("tags: a\n", "x.yaml:1:7: 'tags' must be a list: one '- ...' line per item");
    assert_message("tags:\n  - a\n  -\n", "x.yaml:3:4: each item of 'tags' must be text");
    assert_message("tags: [[a]]\n", "x.yaml:1:8: each item of 'tags' must be text");
    assert_message("services:\n  - name: web\n    port: 80\n    allow: [\"spiffe://a\", b]\n",
                   "x.yaml:4:27: allow: not a SPIFFE ID");
}

static void what_yaml_can_do_beyond_that(void **state)
{
    (void)state;
    assert_message("note: &a text\n",
                   "x.yaml:1:7: anchors (&name) are not supported; write the value out");
    assert_message("services: &a []\n",
                   "x.yaml:1:11: anchors (&name) are not supported; write the value out");
    assert_message("note: *a\n",
                   "x.yaml:1:7: aliases (*name) are not supported; write the value out");
    assert_message("note: !!str 5\n", "x.yaml:1:7: tags (!name) are not supported; remove it");
    assert_message("timeouts: !x {}\n", "x.yaml:1:11: tags (!name) are not supported; remove it");
    assert_message("note: a\n---\nnote: b\n",
                   "x.yaml:2:1: a second document begins here; write one document per file");
}

static void what_is_no_yaml(void **state)
{
    (void)state;
    assert_message("timeouts:\n\tdrain: 20s\n", "x.yaml:2:1: indented with a tab; use spaces");
    assert_message("services:\n  - name: web\n  \tport: 80\n",
                   "x.yaml:3:3: indented with a tab; use spaces");
    assert_message("note: a: b\n", "x.yaml:1:8: a ':' is not expected here; check the "
                                   "indentation, or put the value in quotes");
    assert_message("note: @a\n", "x.yaml:1:7: a value cannot begin with this character; put it in "
                                 "quotes");
    assert_message("note: \"a\n", "x.yaml:2:1: a quote is opened and never closed");
    assert_message("tags: [a\n", "x.yaml:2:1: a '[' is opened and never closed");
    assert_message("timeouts: {drain: 20s\n", "x.yaml:2:1: a '{' is opened and never closed");
    assert_message("note: a\nworkers\n",
                   "x.yaml:3:1: a key must be followed by ':' on the same line");
    assert_message("timeouts:\n  drain: 20s\n lifetime: 1h\n",
                   "x.yaml:3:2: this line does not fit the ones above; check the indentation");
    assert_message("tags:\n  - a\n  b\n",
                   "x.yaml:4:1: a key must be followed by ':' on the same line");
    assert_message("note: a\nlevel: \x01\n",
                   "x.yaml:2:8: the file must be UTF-8 text without control characters");
    assert_message("note: \xff\n",
                   "x.yaml:1:7: the file must be UTF-8 text without control characters");
}

static void sizes(void **state)
{
    (void)state;
    struct sample sample;
    struct rm_error error = {0};
    enum { LINE = 4, HEAD = 6 };
    char *text = rm_malloc(HEAD + (CONFIG_MAX_ITEMS + 1) * LINE + 1);
    memcpy(text, "tags:\n", HEAD);
    for (size_t i = 0; i <= CONFIG_MAX_ITEMS; i++) {
        memcpy(text + HEAD + i * LINE, "- x\n", LINE);
    }
    size_t length = HEAD + CONFIG_MAX_ITEMS * LINE;
    assert_int_equal(
        config_parse("x.yaml", text, length, sample_fields, &sample, sizeof(sample), &error),
        RM_OK);
    assert_int_equal(sample.tags.count, CONFIG_MAX_ITEMS);
    config_free(sample_fields, &sample);
    assert_int_equal(
        config_parse("x.yaml", text, length + LINE, sample_fields, &sample, sizeof(sample), &error),
        RM_ERR_CONFIG);
    assert_string_equal(error.message, "x.yaml:10002:3: 'tags' has more than 10000 items");
    rm_free(text);
    assert_int_equal(config_parse("x.yaml", "", CONFIG_MAX_FILE_BYTES + 1, sample_fields, &sample,
                                  sizeof(sample), &error),
                     RM_ERR_CONFIG);
    assert_string_equal(error.message, "x.yaml: larger than 1048576 bytes");
}

static void later_checks_point_at_the_same_places(void **state)
{
    (void)state;
    struct rm_error error = {0};
    struct config_place place = {.line = 12, .column = 5};
    assert_int_equal(config_fail(&error, "x.yaml", place, "port %d is taken", 80), RM_ERR_CONFIG);
    assert_string_equal(error.message, "x.yaml:12:5: port 80 is taken");
    assert_int_equal(config_fail(&error, "x.yaml", (struct config_place){0}, "empty"),
                     RM_ERR_CONFIG);
    assert_string_equal(error.message, "x.yaml: empty");
    assert_int_equal(config_fail(NULL, "x.yaml", place, "empty"), RM_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(scalars),
        cmocka_unit_test(durations),
        cmocka_unit_test(shapes),
        cmocka_unit_test(what_yaml_can_do_beyond_that),
        cmocka_unit_test(what_is_no_yaml),
        cmocka_unit_test(sizes),
        cmocka_unit_test(later_checks_point_at_the_same_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
