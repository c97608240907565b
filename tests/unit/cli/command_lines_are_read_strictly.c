// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a command line says reaches its place, and whatever cannot be understood is refused by name.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "args.h"
#include "base/alloc.h"

static enum cli_exit nothing(const struct args *args)
{
    (void)args;
    return CLI_OK;
}

static const struct option_spec options[] = {
    {"port", "PORT", true, false, "a number"},
    {"allow", "PATTERN", false, true, "patterns"},
    {"force", NULL, false, false, "a flag"},
    {0},
};
static const struct command commands[] = {
    {"status", NULL, NULL, "", "", nothing},
    {"service create", "NAME", options, "", "", nothing},
    {"service list", NULL, NULL, "", "", nothing},
    {"look", "[PLACE]", NULL, "", "", nothing},
};
static const struct command_table table = {commands, 4};

#define MAX_WORDS 16
struct line {
    char *words[MAX_WORDS]; // as argv
    int count;              // as argc
};

// Splits at spaces, in place; "_" stands for an empty word.
static struct line split(char *text)
{
    struct line line = {.words = {(char *)"remora"}, .count = 1};
    for (char *at = text; *at != '\0';) {
        size_t length = strcspn(at, " ");
        line.words[line.count++] = strncmp(at, "_", length) == 0 && length == 1 ? (char *)"" : at;
        char end = at[length];
        at[length] = '\0';
        at += length + (end != '\0' ? 1 : 0);
    }
    return line;
}

static enum rm_err read_line(const char *text, struct args *args, struct rm_error *error)
{
    static char copy[512];
    memset(copy, 0, sizeof copy);
    memcpy(copy, text, strlen(text));
    struct line line = split(copy);
    rm_error_clear(error);
    return args_parse(&table, line.count, line.words, args, error);
}

static void argument_in_brackets_may_be_left_out(void **state)
{
    struct args args;
    struct rm_error error;
    (void)state;
    assert_int_equal(read_line("look", &args, &error), RM_OK);
    assert_null(args.argument);
    args_deinit(&args);
    assert_int_equal(read_line("look there", &args, &error), RM_OK);
    assert_string_equal(args.argument, "there");
    args_deinit(&args);
}

static void options_reach_their_places(void **state)
{
    struct args args;
    struct rm_error error;
    char **values = NULL;
    size_t count = 0;
    (void)state;
    assert_int_equal(
        read_line("service create web --allow a --port=80 --allow=b=c --force", &args, &error),
        RM_OK);
    assert_ptr_equal(args.command, &commands[1]);
    assert_string_equal(args.argument, "web");
    assert_string_equal(args_value(&args, "port"), "80");
    assert_true(args_has(&args, "force"));
    assert_false(args_has(&args, "json"));
    assert_null(args_value(&args, "nothing"));
    assert_int_equal(args_values(&args, "allow", &values, &count), RM_OK);
    assert_int_equal(count, 2);
    assert_string_equal(values[0], "a");
    assert_string_equal(values[1], "b=c");
    rm_free(values);
    assert_int_equal(args_values(&args, "nothing", &values, &count), RM_OK);
    assert_int_equal(count, 0);
    rm_free(values);
    args_deinit(&args);
}

static void global_options_stand_anywhere(void **state)
{
    static const char *const lines[] = {
        "--socket /s --json --timeout 5s service list",
        "service --socket=/s list --timeout=5s --json",
        "service list --json --socket /s --timeout 5s",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct args args;
        struct rm_error error;
        assert_int_equal(read_line(lines[i], &args, &error), RM_OK);
        assert_ptr_equal(args.command, &commands[2]);
        assert_string_equal(args.socket_path, "/s");
        assert_int_equal(args.timeout_ms, 5000);
        assert_true(args.is_json);
        args_deinit(&args);
    }
}

static void words_after_two_dashes_are_no_options(void **state)
{
    struct args args;
    struct rm_error error;
    (void)state;
    assert_int_equal(read_line("service create --port 80 -- --force", &args, &error), RM_OK);
    assert_string_equal(args.argument, "--force");
    assert_false(args_has(&args, "force"));
    args_deinit(&args);
}

static void help_asks_for_nothing_else(void **state)
{
    static const struct {
        const char *line;              // as typed
        const char *group;             // its words
        const struct command *command; // found, or NULL
    } rows[] = {
        {"--help", "", NULL},
        {"help", "", NULL},
        {"help service", "service", NULL},
        {"service -h", "service", NULL},
        {"service create --help", "service create", &commands[1]},
        {"help service create", "service create", &commands[1]},
        {"-h service create web", "service create", &commands[1]},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct args args;
        struct rm_error error;
        assert_int_equal(read_line(rows[i].line, &args, &error), RM_OK);
        assert_true(args.wants_help);
        assert_string_equal(args.group, rows[i].group);
        assert_ptr_equal(args.command, rows[i].command);
        args_deinit(&args);
    }
}

static void faults_are_named(void **state)
{
    static const struct {
        const char *line;  // as typed
        const char *fault; // in the sentence
    } rows[] = {
        {"", "a command is missing"},
        {"service", "not complete"},
        {"service help", "unknown command 'service help'"},
        {"service create", "NAME is missing"},
        {"service create web", "--port PORT is missing"},
        {"service create web --port", "--port needs a value"},
        {"service create web --port=", "--port is empty"},
        {"service create web --port _", "--port is empty"},
        {"service create web --port 1 --port 2", "--port was given twice"},
        {"service create web --force=yes --port 1", "--force takes no value"},
        {"service create web other --port 1", "unexpected argument 'other'"},
        {"service list --force", "unknown option '--force'"},
        {"--force service create web --port 1", "unknown option '--force'"},
        {"service list --", "RM_OK"},
        {"service list -", "unexpected argument '-'"},
        {"service list -json", "unknown option '-json'"},
        {"service list --por", "unknown option '--por'"},
        {"status --timeout 0s", "no duration"},
        {"status --timeout 11m", "at most 10m"},
        {"statu", "unknown command 'statu'"},
        {"status now", "unexpected argument 'now'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct args args;
        struct rm_error error;
        enum rm_err result = read_line(rows[i].line, &args, &error);
        if (strcmp(rows[i].fault, "RM_OK") == 0) {
            assert_int_equal(result, RM_OK);
        } else {
            assert_int_equal(result, RM_ERR_CONFIG);
            assert_non_null(strstr(rm_error_message(&error), rows[i].fault));
        }
        args_deinit(&args);
    }
}

static void long_words_are_refused(void **state)
{
    struct args args;
    struct rm_error error;
    char line[400];
    (void)state;
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    assert_int_equal(read_line(line, &args, &error), RM_ERR_CONFIG);
    args_deinit(&args);
    memcpy(line, "service ", 8);
    assert_int_equal(read_line(line, &args, &error), RM_ERR_CONFIG);
    args_deinit(&args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(argument_in_brackets_may_be_left_out),
        cmocka_unit_test(options_reach_their_places),
        cmocka_unit_test(global_options_stand_anywhere),
        cmocka_unit_test(words_after_two_dashes_are_no_options),
        cmocka_unit_test(help_asks_for_nothing_else),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(long_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
