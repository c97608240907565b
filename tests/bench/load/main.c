// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "load.h"

static const char usage[] =
    "usage: bench_load MODE [options]\n"
    "\n"
    "  backend    what stands behind the proxies; prints its port\n"
    "  bulk       as many bytes as go through      --port --connections --seconds [--upload]\n"
    "  keepalive  requests in closed loops         --port --connections --seconds --bytes\n"
    "  churn      the same, each over a new connection\n"
    "  open       requests at a rate               --port --connections --seconds --bytes --rate\n"
    "  hold       connections that only stand there, until standard input ends  --port "
    "--connections\n"
    "  slow       one that reads 10 KiB/s, until standard input ends            --port\n"
    "\n"
    "  --count N     end after N requests (bulk: bytes) instead of --seconds\n"
    "  --patience S  seconds within which all connections must stand (60)\n";

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t ns_of_seconds(double seconds)
{
    return (uint64_t)(seconds * (double)NS_PER_S);
}

void die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

void give_up(const char *what)
{
    fprintf(stderr, "bench_load: %s\n", what);
    exit(1);
}

void say(const char *event, const char *format, ...)
{
    va_list arguments;
    printf("{\"event\":\"%s\"", event);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    puts("}");
    fflush(stdout);
}

static double number(const char *name, const char *text, double max)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0) || value > max) {
        fprintf(stderr, "bench_load: --%s: '%s' is not a number from 0 to %.0f\n", name, text, max);
        exit(2);
    }
    return value;
}

static void parse(int argc, char **argv, struct load_options *options)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"bytes", required_argument, NULL, 'b'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"rate", required_argument, NULL, 'r'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"patience", required_argument, NULL, 'w'},
                                          {"upload", no_argument, NULL, 'u'},
                                          {NULL, 0, NULL, 0}};
    int option;
    int at = 0;
    while ((option = getopt_long(argc, argv, "", known, &at)) != -1) {
        const char *name = known[at].name;
        switch (option) {
        case 'p':
            options->port = (uint16_t)number(name, optarg, 65535);
            break;
        case 'c':
            options->connections = (int)number(name, optarg, 19000);
            break;
        case 'b':
            options->bytes = (uint64_t)number(name, optarg, 1e9);
            break;
        case 's':
            options->seconds = number(name, optarg, 3600);
            break;
        case 'r':
            options->rate = number(name, optarg, 1e6);
            break;
        case 'n':
            options->count = (uint64_t)number(name, optarg, 1e15);
            break;
        case 'w':
            options->patience = number(name, optarg, 3600);
            break;
        case 'u':
            options->is_upload = true;
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct load_options *options);
    } modes[] = {{"backend", backend_run}, {"bulk", bulk_run}, {"keepalive", closed_run},
                 {"churn", closed_run},    {"open", open_run}, {"hold", hold_run},
                 {"slow", slow_run}};
    struct load_options options = {.connections = 1, .seconds = 1, .bytes = 1024, .patience = 60};
    options.command = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(options.command, modes[i].name) == 0) {
            parse(argc - 1, argv + 1, &options);
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            prctl(PR_SET_TIMERSLACK, 1);
            raise_descriptor_limit();
            return modes[i].run(&options);
        }
    }
    fputs(usage, stderr);
    return 2;
}
