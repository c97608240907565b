// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora completion: shell functions made from the table of commands. Both shells get one function
// that finds the command words before the cursor and offers what may follow.
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "exchange.h"

// Options that take a value, as a shell pattern: "--socket|--timeout|--port".
static void print_valued(const struct command_table *table)
{
    const char *bar = "";
    for (const struct option_spec *option = args_global_options; option->name != NULL; option++) {
        if (option->value != NULL) {
            printf("%s--%s", bar, option->name);
            bar = "|";
        }
    }
    for (size_t i = 0; i < table->count; i++) {
        for (const struct option_spec *option = table->commands[i].options;
             option != NULL && option->name != NULL; option++) {
            if (option->value != NULL) {
                printf("|--%s", option->name);
            }
        }
    }
}

static void print_options(const struct option_spec *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        printf(" --%s", options->name);
    }
}

// The first words of all commands, or the second ones of a group, each once.
static void print_words(const struct command_table *table, const char *group)
{
    size_t length = strlen(group);
    const char *last = "";
    size_t last_length = 0;
    for (size_t i = 0; i < table->count; i++) {
        const char *words = table->commands[i].words;
        if (strncmp(words, group, length) != 0 || (length > 0 && words[length] != ' ')) {
            continue;
        }
        const char *word = words + length + (length > 0 ? 1 : 0);
        size_t word_length = strcspn(word, " ");
        // Commands of a group stand side by side in the table.
        if (word_length != last_length || memcmp(word, last, word_length) != 0) {
            printf(" %.*s", (int)word_length, word);
        }
        last = word;
        last_length = word_length;
    }
}

static void print_groups(const struct command_table *table)
{
    char last[ARGS_MAX_WORDS_BYTES] = "";
    for (size_t i = 0; i < table->count; i++) {
        const char *words = table->commands[i].words;
        size_t length = strcspn(words, " ");
        if (words[length] == '\0' || length >= sizeof last ||
            (strlen(last) == length && memcmp(last, words, length) == 0)) {
            continue;
        }
        memcpy(last, words, length);
        last[length] = '\0';
        printf("    '%s') offer='", last);
        print_words(table, last);
        puts(" --help' ;;");
    }
}

// `offer` for the command words in `found`.
static void print_cases(const struct command_table *table)
{
    printf("    case \"$found\" in\n    '') offer='");
    print_words(table, "");
    printf(" help");
    print_options(args_global_options);
    puts("' ;;");
    print_groups(table);
    for (size_t i = 0; i < table->count; i++) {
        const struct command *command = &table->commands[i];
        printf("    '%s') offer='", command->words);
        if (command->argument != NULL && strcmp(command->argument, "bash|zsh") == 0) {
            printf(" bash zsh");
        }
        print_options(command->options);
        print_options(args_global_options);
        puts("' ;;");
    }
    puts("    esac");
}

// Every command and group as a shell pattern: what is none of them is an argument.
static void print_known(const struct command_table *table)
{
    const char *bar = "";
    for (size_t i = 0; i < table->count; i++) {
        const char *words = table->commands[i].words;
        printf("%s'%s'", bar, words);
        bar = "|";
        if (strchr(words, ' ') != NULL) {
            printf("|'%.*s'", (int)strcspn(words, " "), words);
        }
    }
}

// `found` from the words before the cursor; both shells walk them alike.
static void print_walk(const struct command_table *table, const char *words)
{
    printf("    local found='' offer='' skip='' word\n"
           "    for word in %s; do\n"
           "        if [ -n \"$skip\" ]; then skip=''; continue; fi\n"
           "        case \"$word\" in\n        ",
           words);
    print_valued(table);
    puts(") skip=1 ;;\n"
         "        -*|help) ;;\n"
         "        *)\n"
         "            case \"${found:+$found }$word\" in");
    printf("            ");
    print_known(table);
    puts(") found=\"${found:+$found }$word\" ;;\n"
         "            esac ;;\n"
         "        esac\n"
         "    done");
}

static void print_bash(const struct command_table *table)
{
    puts("# bash completion for remora: source <(remora completion bash)\n_remora()\n{");
    print_walk(table, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"");
    print_cases(table);
    puts("    if [ -n \"$skip\" ]; then\n"
         "        COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "    else\n"
         "        COMPREPLY=($(compgen -W \"$offer\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "    fi\n}\ncomplete -F _remora remora");
}

static void print_zsh(const struct command_table *table)
{
    puts("#compdef remora\n_remora()\n{");
    print_walk(table, "\"${(@)words[2,CURRENT-1]}\"");
    print_cases(table);
    puts("    if [ -n \"$skip\" ]; then _files; else compadd -- ${=offer}; fi\n}\n"
         "if [ \"$funcstack[1]\" = _remora ]; then _remora; else compdef _remora remora; fi");
}

enum cli_exit completion_print(const struct args *args)
{
    if (strcmp(args->argument, "bash") == 0) {
        print_bash(&cli_commands);
        return CLI_OK;
    }
    if (strcmp(args->argument, "zsh") == 0) {
        print_zsh(&cli_commands);
        return CLI_OK;
    }
    fprintf(stderr, "remora: completion is for bash or zsh, not '%s'\n", args->argument);
    return CLI_USAGE;
}
