// SPDX-License-Identifier: GPL-3.0-or-later
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "app.h"
#include "base/harden.h"
#include "command/command.h"
#include "config/config.h"
#include "config/control_config.h"
#include "crypto/crypto.h"
#include "h2/h2.h"
#include "loop/loop.h"
#include "pb/describe.h"
#include "program/version.h"
#include "store/store.h"

static const char usage[] =
    "remora-control: the control plane: issues the mesh's certificates and tells sidecars whom\n"
    "they may reach\n"
    "\n"
    "Usage:\n"
    "  remora-control init --config FILE                 make data folder and certificate "
    "authority\n"
    "  remora-control serve --config FILE                run\n"
    "  remora-control check --config FILE                only check the configuration\n"
    "  remora-control import-chain --config FILE CHAIN   mode offline-root: take the signed chain\n"
    "  remora-control backup --config FILE BACKUP        copy the store to a file, also while it "
    "runs\n"
    "  remora-control restore --config FILE BACKUP       make the data folder's store from a "
    "backup\n"
    "  remora-control --version                          versions of Remora and its libraries\n"
    "  remora-control --help                             this text\n"
    "\n"
    "Signals: SIGTERM and SIGINT drain and end (twice: at once); SIGHUP reloads the "
    "configuration.\n"
    "Exit status: 0 on success, 1 on failure, 2 for wrong usage.\n";

static void print_version(void)
{
    const char *libraries[] = {crypto_describe(), loop_describe(),   h2_describe(), pb_describe(),
                               store_describe(),  config_describe(), NULL};
    version_print("remora-control", libraries);
}

static int complain(const char *text)
{
    fprintf(stderr, "remora-control: %s\ntry 'remora-control --help'\n", text);
    return 2;
}

static int check(const struct control_config *config)
{
    printf("%s is valid\n", config->path);
    return 0;
}

static int init(const struct control_config *config, const char *file)
{
    (void)file;
    return command_init(config);
}

static int check_only(const struct control_config *config, const char *file)
{
    (void)file;
    return check(config);
}

struct command {
    const char *name;                                                  // first argument
    bool wants_file;                                                   // a second one
    int (*run)(const struct control_config *config, const char *file); // NULL: serve
};

static const struct command commands[] = {
    {"init", false, init},
    {"serve", false, NULL},
    {"check", false, check_only},
    {"import-chain", true, command_import_chain},
    {"backup", true, command_backup},
    {"restore", true, command_restore},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int run(const struct command *command, const char *config_path, const char *file)
{
    struct rm_error error = {0};
    struct control_config *config = NULL;
    enum rm_err result = crypto_init(&error);
    if (result == RM_OK) {
        result = control_config_read(config_path, &config, &error);
    }
    if (result != RM_OK) {
        fprintf(stderr, "remora-control: %s\n", rm_error_message(&error));
        return 1;
    }
    if (command->run == NULL) {
        return app_serve(config);
    }
    int status = command->run(config, file);
    control_config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config = NULL;
    struct rm_error error = {0};
    int option;
    if (process_harden(&error) != RM_OK) {
        fprintf(stderr, "remora-control: %s\n", rm_error_message(&error));
        return 1;
    }
    while ((option = getopt_long(argc, argv, "c:vh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'v':
            print_version();
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return complain("unknown option");
        }
    }
    const struct command *command = optind < argc ? find_command(argv[optind]) : NULL;
    if (command == NULL) {
        return complain(optind < argc ? "unknown command" : "no command");
    }
    if (config == NULL) {
        return complain("--config FILE is missing");
    }
    if (argc - optind != (command->wants_file ? 2 : 1)) {
        return complain(command->wants_file ? "one file is wanted after the command"
                                            : "unexpected argument");
    }
    int status = run(command, config, command->wants_file ? argv[optind + 1] : NULL);
    crypto_deinit();
    return status;
}
