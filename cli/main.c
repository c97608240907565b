// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "base/harden.h"
#include "commands.h"
#include "crypto/crypto.h"
#include "exchange.h"
#include "h2/h2.h"
#include "loop/loop.h"
#include "pb/describe.h"
#include "program/version.h"
#include "json/json.h"

static enum cli_exit print_version(void)
{
    const char *libraries[] = {crypto_describe(), loop_describe(), h2_describe(),
                               pb_describe(),     json_describe(), NULL};
    version_print("remora", libraries);
    return CLI_OK;
}

static enum cli_exit refuse(const struct args *args, const struct rm_error *error)
{
    const char *space = args->group[0] != '\0' ? " " : "";
    fprintf(stderr, "remora%s%s: %s\ntry 'remora%s%s --help'\n", space, args->group,
            rm_error_message(error), space, args->group);
    return CLI_USAGE;
}

static enum cli_exit run(const struct args *args)
{
    if (args->wants_version) {
        return print_version();
    }
    if (args->wants_help) {
        help_print(&cli_commands, args);
        return CLI_OK;
    }
    return args->command->run(args);
}

int main(int argc, char **argv)
{
    struct args args;
    struct rm_error error = {0};
    if (process_harden(&error) != RM_OK) {
        fprintf(stderr, "remora: %s\n", rm_error_message(&error));
        return CLI_REFUSED;
    }
    enum rm_err result = args_parse(&cli_commands, argc, argv, &args, &error);
    enum cli_exit status = result == RM_OK ? run(&args) : refuse(&args, &error);
    args_deinit(&args);
    // What was printed counts only if it arrived.
    if (fflush(stdout) != 0 && status == CLI_OK) {
        perror("remora: standard output");
        status = CLI_REFUSED;
    }
    return (int)status;
}
