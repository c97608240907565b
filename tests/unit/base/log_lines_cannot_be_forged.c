// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json/json.h"

#define LINE_BYTES 8192

// What somebody who chooses a name might try.
static const char *const attacks[] = {
    "x\n2026-01-01T00:00:00Z error main forged",
    "x\r\n{\"event\":\"forged\"}",
    "x\" forged=\"yes",
    "x\",\"event\":\"forged\",\"y\":\"",
    "x\\\",\"event\":\"forged",
    "x\\",
    "\\",
    "\"",
    "",
    " ",
    "a=b",
    "a b=c",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b"
    "2J",
    "\xc2\x9b"
    "2J",
    "\x7f\b\b\b",
    "\t\v\f",
    "\xff\xfe\x80",
    "\xc0\x8a",
    "\xed\xa0\x80",
    "\xe2\x80\xa8line separator",
    "\xe2\x80\xae"
    "drawkcab",
    "\xef\xbb\xbf",
    "\xf0\x9f\x98",
    "h\xc3\xa9llo \xf0\x9f\x98\x80",
};
#define ATTACK_COUNT (sizeof(attacks) / sizeof(attacks[0]))

static void keep_line(void *context, const char *line)
{
    assert_true(strlen(line) < LINE_BYTES);
    strcpy(context, line);
}

static void write_line(enum log_format format, const char *value, char line[LINE_BYTES])
{
    log_redirect(keep_line, line);
    log_configure(LOG_LEVEL_INFO, format);
    log_warn(LOG_TLS, "peer_named_itself", LOG_STR("name", value), LOG_U64("conn", UINT64_MAX),
             LOG_I64("offset", -5), LOG_BOOL("is_known", false));
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_redirect(NULL, NULL);
}

// No byte that ends a line or drives a terminal, and valid UTF-8 throughout.
static void assert_harmless(const char *line)
{
    for (const unsigned char *byte = (const unsigned char *)line; *byte != '\0'; byte++) {
        assert_true(*byte >= 0x20 && *byte != 0x7f);
        assert_false(byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] <= 0x9f);
    }
    assert_null(strstr(line, "\xe2\x80\xa8"));
    assert_null(strstr(line, "\xe2\x80\xae"));
}

static void json_lines_hold_one_object_with_our_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ATTACK_COUNT; i++) {
        char line[LINE_BYTES];
        write_line(LOG_FORMAT_JSON, attacks[i], line);
        assert_harmless(line);
        struct json *json = NULL;
        struct rm_error error = {0};
        // Numbers above 2^63 are no business of this test.
        char *number = strstr(line, "18446744073709551615");
        assert_non_null(number);
        memcpy(number, "                   7", 20);
        assert_int_equal(json_parse(line, strlen(line), &json, &error), RM_OK);
        assert_string_equal(json_get_string(json, "level"), "warn");
        assert_string_equal(json_get_string(json, "category"), "tls");
        assert_string_equal(json_get_string(json, "event"), "peer_named_itself");
        assert_non_null(json_get_string(json, "name"));
        assert_int_equal(json_get_integer(json, "conn", 0), 7);
        assert_int_equal(json_get_integer(json, "offset", 0), -5);
        assert_false(json_get_bool(json, "is_known", true));
        assert_null(json_get(json, "forged"));
        assert_null(json_get(json, "y"));
        json_free(json);
    }
}

static void json_values_read_back_where_they_are_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"x\" forged=\"yes", "a\nb\tc\\d", "h\xc3\xa9llo", "",
                                        "\xe2\x80\xae drawkcab"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char line[LINE_BYTES];
        write_line(LOG_FORMAT_JSON, texts[i], line);
        char *number = strstr(line, "18446744073709551615");
        memcpy(number, "                   7", 20);
        struct json *json = NULL;
        assert_int_equal(json_parse(line, strlen(line), &json, NULL), RM_OK);
        assert_string_equal(json_get_string(json, "name"), texts[i]);
        json_free(json);
    }
}

// The part of a text line after the attacked value.
#define TEXT_TAIL " conn=18446744073709551615 offset=-5 is_known=false"

static void text_lines_keep_values_inside_their_quotes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ATTACK_COUNT; i++) {
        char line[LINE_BYTES];
        write_line(LOG_FORMAT_TEXT, attacks[i], line);
        assert_harmless(line);
        const char *value = strstr(line, " warn tls peer_named_itself name=\"");
        assert_non_null(value);
        value = strchr(value, '"') + 1;
        while (*value != '"') {
            value += *value == '\\' ? 2 : 1;
        }
        assert_string_equal(value + 1, TEXT_TAIL);
    }
}

static void plain_values_need_no_quotes(void **state)
{
    (void)state;
    char line[LINE_BYTES];
    write_line(LOG_FORMAT_TEXT, "spiffe://mesh.test/ns/a/sa/web", line);
    assert_non_null(strstr(line, " name=spiffe://mesh.test/ns/a/sa/web" TEXT_TAIL));
    write_line(LOG_FORMAT_TEXT, NULL, line);
    assert_non_null(strstr(line, " name=\"\"" TEXT_TAIL));
}

static void long_values_are_cut_and_the_line_stays_whole(void **state)
{
    (void)state;
    char value[20000];
    memset(value, '"', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    char line[LINE_BYTES];
    log_redirect(keep_line, line);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info(LOG_TLS, "long", LOG_STR("a", value), LOG_STR("b", value), LOG_STR("c", value),
             LOG_STR("d", value), LOG_STR("e", value), LOG_U64("small", 1));
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_redirect(NULL, NULL);
    assert_true(strlen(line) < 4096);
    struct json *json = NULL;
    assert_int_equal(json_parse(line, strlen(line), &json, NULL), RM_OK);
    assert_non_null(strstr(json_get_string(json, "a"), "\"\"..."));
    assert_non_null(json_get(json, "b"));
    assert_null(json_get(json, "e"));
    assert_null(json_get(json, "small"));
    assert_true(json_get_bool(json, "cut", false));
    json_free(json);
}

// Reads everything that a child writes to `descriptor` while it logs.
static void capture(int descriptor, enum log_format format, char line[LINE_BYTES])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], descriptor);
        log_configure(LOG_LEVEL_INFO, format);
        if (descriptor == STDERR_FILENO) {
            log_info(LOG_MAIN, "started");
        } else {
            log_access((const struct log_pair[]){LOG_STR("result", "ok"), {0}});
        }
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got = 0;
    while ((got = read(ends[0], line + length, LINE_BYTES - 1 - length)) > 0) {
        length += (size_t)got;
    }
    line[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void lines_go_to_their_own_descriptor(void **state)
{
    (void)state;
    char line[LINE_BYTES];
    capture(STDERR_FILENO, LOG_FORMAT_AUTO, line);
    assert_int_equal(line[0], '{');
    assert_non_null(strstr(line, "\"event\":\"started\"}\n"));
    capture(STDERR_FILENO, LOG_FORMAT_TEXT, line);
    assert_non_null(strstr(line, " info main started\n"));
    capture(STDOUT_FILENO, LOG_FORMAT_JSON, line);
    assert_non_null(strstr(line, ",\"category\":\"access\",\"result\":\"ok\"}\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_hold_one_object_with_our_keys),
        cmocka_unit_test(json_values_read_back_where_they_are_text),
        cmocka_unit_test(text_lines_keep_values_inside_their_quotes),
        cmocka_unit_test(plain_values_need_no_quotes),
        cmocka_unit_test(long_values_are_cut_and_the_line_stays_whole),
        cmocka_unit_test(lines_go_to_their_own_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
