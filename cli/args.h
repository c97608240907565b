// SPDX-License-Identifier: GPL-3.0-or-later
//
// The command line: a table of commands, and what was asked for. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ARGS_DEFAULT_TIMEOUT_MS 10000
#define ARGS_MAX_TIMEOUT_MS 600000
#define ARGS_MAX_WORDS_BYTES 64 // of a command's words

struct args;

// Exit status of the command; part of its contract.
enum cli_exit {
    CLI_OK = 0,          // done
    CLI_REFUSED = 1,     // refused by who was asked, or the result could not be kept
    CLI_USAGE = 2,       // the command line is wrong
    CLI_UNREACHABLE = 3, // no answer from the control plane or the sidecar
};

struct option_spec {
    const char *name;   // without its dashes; NULL ends a list
    const char *value;  // what stands for its value in the help; NULL: it has none
    bool is_required;   // the command does nothing without it
    bool is_repeatable; // may come more than once
    const char *help;   // one line
};

struct command {
    const char *words;                 // "service create"
    const char *argument;              // "NAME", "[NAME]" when it may be left out; NULL: none
    const struct option_spec *options; // its own; NULL: none
    const char *summary;               // one line
    const char *examples;              // whole lines
    enum cli_exit (*run)(const struct args *args); // does it
};

struct command_table {
    const struct command *commands; // in the order of the help
    size_t count;                   // of commands
};

struct arg {
    const struct option_spec *option; // static
    const char *value;                // borrowed from argv; NULL: a flag
};

struct args {
    const struct command *command;    // NULL: help or version of everything or of a group
    char group[ARGS_MAX_WORDS_BYTES]; // help: the words that were given
    const char *argument;             // borrowed from argv; NULL: none
    struct arg *values;               // owned
    size_t value_count;               // of values
    const char *socket_path;          // of the control plane; NULL: not given
    const char *sidecar_socket_path;  // NULL: not given
    uint32_t timeout_ms;              // longest wait for an answer
    bool is_json;                     // --json
    bool wants_help;                  // --help, -h, or the word help
    bool wants_version;               // --version
};

extern const struct option_spec args_global_options[];

// Errors: RM_ERR_CONFIG with a sentence, RM_ERR_NO_MEMORY. args_deinit() in any case; `command` and
// `group` say as far as they were found, for a hint.
RM_NODISCARD enum rm_err args_parse(const struct command_table *table, int argc, char **argv,
                                    struct args *out, struct rm_error *error);
void args_deinit(struct args *args);

// The value of an option given once; NULL when it was not.
const char *args_value(const struct args *args, const char *name);
bool args_has(const struct args *args, const char *name);
// The values of an option in their order: *values is the caller's (rm_free), the texts are
// borrowed. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err args_values(const struct args *args, const char *name, char ***values,
                                     size_t *count);

// "500ms", "90s", "15m", "12h", "7d", "1h30m"; at least 1 ms. Errors: RM_ERR_CONFIG.
RM_NODISCARD enum rm_err duration_parse(const char *text, int64_t *out_ms, struct rm_error *error);
// Decimal, `minimum` to `maximum`. Errors: RM_ERR_CONFIG.
RM_NODISCARD enum rm_err number_parse(const char *text, int64_t minimum, int64_t maximum,
                                      int64_t *out, struct rm_error *error);
