// SPDX-License-Identifier: GPL-3.0-or-later
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "app.h"
#include "config/config.h"
#include "crypto/crypto.h"
#include "h2/h2.h"
#include "loop/loop.h"
#include "pb/describe.h"
#include "program/version.h"

static const char usage[] =
    "remora-sidecar: carries one workload's traffic over mutually authenticated TLS 1.3\n"
    "\n"
    "Usage:\n"
    "  remora-sidecar --config FILE           run\n"
    "  remora-sidecar --config FILE --check   only check the configuration\n"
    "  remora-sidecar --limits                what others may cost it, at most\n"
    "  remora-sidecar --version               versions of Remora and its libraries\n"
    "  remora-sidecar --help                  this text\n"
    "\n"
    "Signals: SIGTERM and SIGINT drain and end; SIGHUP reloads the configuration.\n"
    "Exit status: 0 after an orderly end, 1 when it could not start, 2 for wrong usage.\n";

static void print_version(void)
{
    const char *libraries[] = {crypto_describe(), loop_describe(),   h2_describe(),
                               pb_describe(),     config_describe(), NULL};
    version_print("remora-sidecar", libraries);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
        {"limits", no_argument, NULL, 'l'},       {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    const char *config = NULL;
    bool is_check = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:vh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'k':
            is_check = true;
            break;
        case 'l':
            app_print_limits();
            return 0;
        case 'v':
            print_version();
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs("try 'remora-sidecar --help'\n", stderr);
            return 2;
        }
    }
    if (config == NULL || optind != argc) {
        fputs(config == NULL ? "remora-sidecar: --config FILE is missing\n"
                             : "remora-sidecar: unexpected argument\n",
              stderr);
        fputs("try 'remora-sidecar --help'\n", stderr);
        return 2;
    }
    return is_check ? app_check(config) : app_run(config);
}
