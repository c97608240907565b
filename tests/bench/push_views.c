// SPDX-License-Identifier: GPL-3.0-or-later
//
// What views cost the control plane: 10,000 endpoints, 200 sidecars that subscribe to everything.
// Registry, push and the sidecars' own ends run on one loop, over memory streams. Run:
//   ninja bench_push_views && ./tests/bench/bench_push_views [endpoints] [sidecars]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "push_fixture.h"

#define SERVICES 100

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double rss_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

struct stage {
    const char *name;
    int64_t began_ms;
    double cpu;
};

static struct stage begin(const char *name)
{
    return (struct stage){name, (int64_t)clock_mono_ms(), cpu_s()};
}

static void end(const struct stage *stage)
{
    printf("%-44s %8lld ms  %7.2f s CPU  %7.1f MiB peak\n", stage->name,
           (long long)((int64_t)clock_mono_ms() - stage->began_ms), cpu_s() - stage->cpu,
           rss_mib());
}

struct registering {
    struct push_fixture *fixture;
    size_t count;
    size_t done;
};

static void on_registered(void *context, enum rm_err result, const struct rm_error *error)
{
    struct registering *registering = context;
    (void)error;
    assert_int_equal(result, RM_OK);
    fixture_count(registering->fixture->mesh->base, &registering->done);
}

static void do_register(struct fixture *base, void *context)
{
    struct registering *registering = context;
    (void)base;
    for (size_t i = 0; i < registering->count; i++) {
        char service[16];
        char instance_id[32];
        char address[32];
        snprintf(service, sizeof service, "s%zu", i % SERVICES);
        snprintf(instance_id, sizeof instance_id, "%016zx", i);
        snprintf(address, sizeof address, "10.%zu.%zu.%zu:15008", i >> 16 & 255, i >> 8 & 255,
                 i & 255);
        struct registry_endpoint endpoint = {.service = service,
                                             .instance_id = instance_id,
                                             .identity = WEB_ID,
                                             .lineage = lineage((unsigned)i),
                                             .address = address,
                                             .zone = "zone-1"};
        assert_int_equal(registry_register(registering->fixture->mesh->registry, &endpoint,
                                           on_registered, registering),
                         RM_OK);
    }
}

static void register_all(struct push_fixture *fixture, size_t count, const char *name)
{
    struct registering registering = {fixture, count, 0};
    struct stage stage = begin(name);
    fixture_run(fixture->mesh->base, do_register, &registering);
    fixture_wait(fixture->mesh->base, &registering.done, count);
    end(&stage);
}

int main(int argc, char **argv)
{
    size_t endpoints = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    size_t sidecars = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
    struct sidecar **all = calloc(sidecars, sizeof *all);
    void *state = NULL;
    push_fixture_setup(&state);
    struct push_fixture *fixture = state;
    printf("%zu endpoints of %d services, %zu sidecars; both ends on one thread\n", endpoints,
           SERVICES, sidecars);
    for (size_t i = 0; i < SERVICES; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%zu", i);
        set_service(fixture->mesh, name, LIST(WEB_ID), NULL);
    }
    register_all(fixture, endpoints, "endpoints registered");
    register_all(fixture, endpoints, "the same again: nothing to write");

    struct stage stage = begin("full view to every sidecar, agreed");
    for (size_t i = 0; i < sidecars; i++) {
        all[i] = sidecar_open(fixture, (unsigned)(i % 250), CACHE_ID);
        sidecar_hello(all[i], &(struct hello){.calls = LIST("*")});
    }
    for (size_t i = 0; i < sidecars; i++) {
        wait_responses(all[i], 1);
    }
    wait_in_step(all[0]);
    end(&stage);

    stage = begin("one change to every sidecar, agreed");
    set_service(fixture->mesh, "s0", LIST(WEB_ID, CACHE_ID), NULL);
    for (size_t i = 0; i < sidecars; i++) {
        wait_responses(all[i], 2);
    }
    wait_in_step(all[0]);
    end(&stage);
    for (size_t i = 0; i < sidecars; i++) {
        sidecar_free(all[i]);
    }
    free(all);
    push_fixture_teardown(&state);
    return 0;
}
