// SPDX-License-Identifier: GPL-3.0-or-later
#include "args.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum {
    GLOBAL_SOCKET,
    GLOBAL_SIDECAR_SOCKET,
    GLOBAL_JSON,
    GLOBAL_TIMEOUT,
    GLOBAL_HELP,
    GLOBAL_VERSION
};

const struct option_spec args_global_options[] = {
    [GLOBAL_SOCKET] = {"socket", "PATH", false, false, "the control plane's admin socket"},
    [GLOBAL_SIDECAR_SOCKET] = {"sidecar-socket", "PATH", false, false,
                               "the sidecar's local socket (connections, top, sidecar, diagnose)"},
    [GLOBAL_JSON] = {"json", NULL, false, false, "print JSON, for scripts"},
    [GLOBAL_TIMEOUT] = {"timeout", "TIME", false, false, "longest wait for an answer (10s)"},
    [GLOBAL_HELP] = {"help", NULL, false, false, "explain the command"},
    [GLOBAL_VERSION] = {"version", NULL, false, false, "versions of Remora and its libraries"},
    {0},
};

// What is being read.
struct reader {
    const struct command_table *table; // borrowed
    char **words;                      // argv without the program; borrowed
    size_t count;                      // of words
    size_t at;                         // next word
    bool is_options_ended;             // "--" was there
    struct args *args;                 // being filled
    struct rm_error *error;            // may be NULL
};

static const struct option_spec *find_option(const struct option_spec *options, const char *name,
                                             size_t length)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strlen(options->name) == length && memcmp(options->name, name, length) == 0) {
            return options;
        }
    }
    return NULL;
}

static const struct command *find_command(const struct command_table *table, const char *words)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->commands[i].words, words) == 0) {
            return &table->commands[i];
        }
    }
    return NULL;
}

static bool is_group(const struct command_table *table, const char *words)
{
    size_t length = strlen(words);
    for (size_t i = 0; i < table->count; i++) {
        const char *candidate = table->commands[i].words;
        if (strncmp(candidate, words, length) == 0 && candidate[length] == ' ') {
            return true;
        }
    }
    return false;
}

static enum rm_err set_global(struct reader *reader, const struct option_spec *option,
                              const char *value)
{
    struct args *args = reader->args;
    int64_t timeout_ms = 0;
    switch (option - args_global_options) {
    case GLOBAL_SOCKET:
        args->socket_path = value;
        break;
    case GLOBAL_SIDECAR_SOCKET:
        args->sidecar_socket_path = value;
        break;
    case GLOBAL_JSON:
        args->is_json = true;
        break;
    case GLOBAL_TIMEOUT:
        RM_TRY(duration_parse(value, &timeout_ms, reader->error));
        if (timeout_ms > ARGS_MAX_TIMEOUT_MS) {
            return rm_error_set(reader->error, RM_ERR_CONFIG, "--timeout is at most 10m");
        }
        args->timeout_ms = (uint32_t)timeout_ms;
        break;
    case GLOBAL_HELP:
        args->wants_help = true;
        break;
    default:
        args->wants_version = true;
        break;
    }
    return RM_OK;
}

static enum rm_err add_value(struct reader *reader, const struct option_spec *option,
                             const char *value)
{
    struct args *args = reader->args;
    if (!option->is_repeatable && args_has(args, option->name)) {
        return rm_error_set(reader->error, RM_ERR_CONFIG, "--%s was given twice", option->name);
    }
    args->values[args->value_count++] = (struct arg){option, value};
    return RM_OK;
}

// One word that begins with a dash, and its value.
static enum rm_err read_option(struct reader *reader, const char *word)
{
    struct args *args = reader->args;
    const char *name = strcmp(word, "-h") == 0 ? "help" : word + 2;
    size_t length = strcspn(name, "=");
    const struct option_spec *global = NULL;
    const struct option_spec *option = NULL;
    if (word[1] == '-' || name != word + 2) {
        global = find_option(args_global_options, name, length);
        option = global != NULL || args->command == NULL
                     ? global
                     : find_option(args->command->options, name, length);
    }
    if (option == NULL) {
        return rm_error_set(reader->error, RM_ERR_CONFIG, "unknown option '%s'", word);
    }
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (option->value == NULL && value != NULL) {
        return rm_error_set(reader->error, RM_ERR_CONFIG, "--%s takes no value", option->name);
    }
    if (option->value != NULL && value == NULL) {
        if (reader->at == reader->count) {
            return rm_error_set(reader->error, RM_ERR_CONFIG, "--%s needs a value: %s",
                                option->name, option->value);
        }
        value = reader->words[reader->at++];
    }
    if (value != NULL && value[0] == '\0') {
        return rm_error_set(reader->error, RM_ERR_CONFIG, "the value of --%s is empty",
                            option->name);
    }
    return global != NULL ? set_global(reader, option, value) : add_value(reader, option, value);
}

static enum rm_err read_word(struct reader *reader, const char *word)
{
    struct args *args = reader->args;
    size_t used = strlen(args->group);
    if (args->command != NULL) {
        if (args->command->argument == NULL || args->argument != NULL) {
            return rm_error_set(reader->error, RM_ERR_CONFIG, "unexpected argument '%s'", word);
        }
        args->argument = word;
        return RM_OK;
    }
    if (used == 0 && strcmp(word, "help") == 0) {
        args->wants_help = true;
        return RM_OK;
    }
    char path[ARGS_MAX_WORDS_BYTES];
    int length = snprintf(path, sizeof path, "%s%s%s", args->group, used > 0 ? " " : "", word);
    if (length < 0 || (size_t)length >= sizeof path ||
        (find_command(reader->table, path) == NULL && !is_group(reader->table, path))) {
        return rm_error_set(reader->error, RM_ERR_CONFIG, "unknown command '%s%s%.64s'",
                            args->group, used > 0 ? " " : "", word);
    }
    memcpy(args->group, path, (size_t)length + 1);
    args->command = find_command(reader->table, path);
    return RM_OK;
}

static enum rm_err read_all(struct reader *reader)
{
    while (reader->at < reader->count) {
        const char *word = reader->words[reader->at++];
        if (!reader->is_options_ended && strcmp(word, "--") == 0) {
            reader->is_options_ended = true;
        } else if (!reader->is_options_ended && word[0] == '-' && word[1] != '\0') {
            RM_TRY(read_option(reader, word));
        } else {
            RM_TRY(read_word(reader, word));
        }
    }
    return RM_OK;
}

static enum rm_err check_whole(const struct args *args, struct rm_error *error)
{
    const struct command *command = args->command;
    if (args->wants_help || args->wants_version) {
        return RM_OK;
    }
    if (command == NULL) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            args->group[0] == '\0' ? "a command is missing"
                                                   : "the command is not complete");
    }
    if (command->argument != NULL && command->argument[0] != '[' && args->argument == NULL) {
        return rm_error_set(error, RM_ERR_CONFIG, "%s is missing", command->argument);
    }
    for (const struct option_spec *option = command->options;
         option != NULL && option->name != NULL; option++) {
        if (option->is_required && !args_has(args, option->name)) {
            return rm_error_set(error, RM_ERR_CONFIG, "--%s %s is missing", option->name,
                                option->value);
        }
    }
    return RM_OK;
}

enum rm_err args_parse(const struct command_table *table, int argc, char **argv, struct args *out,
                       struct rm_error *error)
{
    *out = (struct args){.timeout_ms = ARGS_DEFAULT_TIMEOUT_MS};
    size_t count = argc > 1 ? (size_t)argc - 1 : 0;
    out->values = rm_calloc(count + 1, sizeof *out->values);
    if (out->values == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    struct reader reader = {
        .table = table, .words = argv + 1, .count = count, .args = out, .error = error};
    RM_TRY(read_all(&reader));
    return check_whole(out, error);
}

void args_deinit(struct args *args)
{
    rm_free(args->values);
    *args = (struct args){0};
}

const char *args_value(const struct args *args, const char *name)
{
    for (size_t i = 0; i < args->value_count; i++) {
        if (strcmp(args->values[i].option->name, name) == 0) {
            return args->values[i].value;
        }
    }
    return NULL;
}

bool args_has(const struct args *args, const char *name)
{
    for (size_t i = 0; i < args->value_count; i++) {
        if (strcmp(args->values[i].option->name, name) == 0) {
            return true;
        }
    }
    return false;
}

enum rm_err args_values(const struct args *args, const char *name, char ***values, size_t *count)
{
    *count = 0;
    *values = rm_calloc(args->value_count + 1, sizeof **values);
    if (*values == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < args->value_count; i++) {
        if (strcmp(args->values[i].option->name, name) == 0) {
            (*values)[(*count)++] = (char *)(uintptr_t)args->values[i].value;
        }
    }
    return RM_OK;
}
