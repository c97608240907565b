// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "exchange.h"

static void print_options(const char *title, const struct option_spec *options)
{
    printf("\n%s:\n", title);
    for (; options != NULL && options->name != NULL; options++) {
        char head[64];
        snprintf(head, sizeof head, "--%s%s%s%s", options->name, options->value != NULL ? " " : "",
                 options->value != NULL ? options->value : "", options->is_repeatable ? "..." : "");
        printf("  %-28s %s%s\n", head, options->help, options->is_required ? " (required)" : "");
    }
}

static void print_command(const struct command *command)
{
    printf("remora %s: %s\n\nUsage:\n  remora %s%s%s", command->words, command->summary,
           command->words, command->argument != NULL ? " " : "",
           command->argument != NULL ? command->argument : "");
    for (const struct option_spec *option = command->options;
         option != NULL && option->name != NULL; option++) {
        if (option->is_required) {
            printf(" --%s %s%s", option->name, option->value, option->is_repeatable ? "..." : "");
        }
    }
    printf("%s\n", command->options != NULL ? " [options]" : "");
    if (command->options != NULL) {
        print_options("Options", command->options);
    }
    print_options("Options of every command", args_global_options);
    printf("\nExamples:\n%s", command->examples);
}

static void print_commands(const struct command_table *table, const char *group, bool has_examples)
{
    size_t length = strlen(group);
    for (size_t i = 0; i < table->count; i++) {
        const struct command *command = &table->commands[i];
        if (strncmp(command->words, group, length) != 0 ||
            (length > 0 && command->words[length] != ' ')) {
            continue;
        }
        if (has_examples) {
            fputs(command->examples, stdout);
            continue;
        }
        char head[ARGS_MAX_WORDS_BYTES];
        snprintf(head, sizeof head, "%s%s%s", command->words, command->argument != NULL ? " " : "",
                 command->argument != NULL ? command->argument : "");
        printf("  %-28s %s\n", head, command->summary);
    }
}

static void print_all(const struct command_table *table)
{
    puts("remora: the operator's command for a Remora control plane and its sidecars\n\n"
         "Usage:\n  remora [options] COMMAND [options]\n\nCommands:");
    print_commands(table, "", false);
    print_options("Options", args_global_options);
    printf("\nThe control plane's socket is that of --socket, else of $%s, else\n%s.\n"
           "The sidecar's is that of --sidecar-socket, else of $%s, else\n%s.\n"
           "Times are UTC; with --json also Unix seconds.\n"
           "\nExit status: %d done, %d refused by who was asked (standard error says why),\n"
           "%d wrong usage, %d control plane or sidecar not reachable.\n"
           "\nExamples:\n"
           "  remora status\n"
           "  remora service create web --port 80 --identity ns/shop/sa/web\n"
           "  remora token create --identity ns/shop/sa/web --service web --out web.token\n"
           "  remora certificates\n"
           "  remora connections --service web --sort bytes\n"
           "\n'remora COMMAND --help' explains one command.\n",
           EXCHANGE_SOCKET_VARIABLE, EXCHANGE_DEFAULT_SOCKET, EXCHANGE_SIDECAR_SOCKET_VARIABLE,
           EXCHANGE_DEFAULT_SIDECAR_SOCKET, CLI_OK, CLI_REFUSED, CLI_USAGE, CLI_UNREACHABLE);
}

void help_print(const struct command_table *table, const struct args *args)
{
    if (args->command != NULL) {
        print_command(args->command);
    } else if (args->group[0] == '\0') {
        print_all(table);
    } else {
        printf("Usage:\n  remora %s COMMAND [options]\n\nCommands:\n", args->group);
        print_commands(table, args->group, false);
        puts("\nExamples:");
        print_commands(table, args->group, true);
        printf("\n'remora %s COMMAND --help' explains one command.\n", args->group);
    }
}
