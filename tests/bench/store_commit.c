// SPDX-License-Identifier: GPL-3.0-or-later
//
// Durable transactions a second, beside what the disk does by itself in the same run.
//
//   bench_store_commit [<seconds per row> [<folder>]]
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "store/store.h"

#define DEFAULT_SECONDS 3
#define MAX_SAMPLES 4000000
// About what issuing one certificate writes: lineage, certificate, token, audit record.
#define PUTS_PER_COMMIT 4
#define VALUE_BYTES 500
#define BLOCK_BYTES 16384 // what such a transaction adds to the log, roughly

struct bench {
    struct loop *loop;    // runs the store
    struct store *store;  // under test
    uint64_t end_ns;      // no new commit after it
    uint64_t number;      // of the next commit
    size_t in_flight;     // not yet answered
    uint32_t *samples_us; // one latency per answer
    size_t sample_count;  // entries used
};

struct flight {
    struct bench *bench; // borrowed
    uint64_t start_ns;   // of the commit under way
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

// --- The machine's own rate. ---------------------------------------------------------------------

static void measure_disk(const char *folder, double seconds, bool overwrites)
{
    char path[512];
    static const uint8_t block[BLOCK_BYTES];
    snprintf(path, sizeof(path), "%s/raw", folder);
    int descriptor = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        die(path, strerror(errno));
    }
    uint64_t start = clock_mono_ns();
    uint64_t end = start + (uint64_t)(seconds * 1e9);
    uint64_t count = 0;
    off_t offset = 0;
    while (clock_mono_ns() < end) {
        if (pwrite(descriptor, block, sizeof(block), offset) != (ssize_t)sizeof(block) ||
            fdatasync(descriptor) != 0) {
            die(path, strerror(errno));
        }
        offset = overwrites ? (offset + BLOCK_BYTES) % (256 * BLOCK_BYTES) : offset + BLOCK_BYTES;
        count++;
    }
    double elapsed = (double)(clock_mono_ns() - start) / 1e9;
    close(descriptor);
    unlink(path);
    printf("%-34s %10.0f\n",
           overwrites ? "fdatasync, 16 KiB overwritten" : "fdatasync, 16 KiB appended",
           (double)count / elapsed);
}

// --- The store. ----------------------------------------------------------------------------------

static void commit_next(struct flight *flight);

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct flight *flight = context;
    struct bench *bench = flight->bench;
    uint64_t now = clock_mono_ns();
    (void)revision;
    if (result != RM_OK) {
        die("commit", rm_err_name(result));
    }
    if (bench->sample_count < MAX_SAMPLES) {
        bench->samples_us[bench->sample_count++] = (uint32_t)((now - flight->start_ns) / 1000);
    }
    if (now < bench->end_ns) {
        commit_next(flight);
        return;
    }
    rm_free(flight);
    if (--bench->in_flight == 0) {
        store_close(bench->store, NULL, NULL);
        loop_stop(bench->loop);
    }
}

static void commit_next(struct flight *flight)
{
    static const uint8_t value[VALUE_BYTES];
    static const char *const kinds[PUTS_PER_COMMIT] = {"lineage", "certificate", "token", "audit"};
    struct bench *bench = flight->bench;
    char keys[PUTS_PER_COMMIT][64];
    struct store_operation puts[PUTS_PER_COMMIT];
    struct store_condition absent = {keys[0], 0};
    uint64_t number = bench->number++;
    for (size_t i = 0; i < PUTS_PER_COMMIT; i++) {
        // Spread like serial numbers are.
        snprintf(keys[i], sizeof(keys[i]), "%s/%016llx", kinds[i],
                 (unsigned long long)(number * UINT64_C(0x9e3779b97f4a7c15)));
        puts[i] = (struct store_operation){STORE_PUT, keys[i], value, sizeof(value)};
    }
    flight->start_ns = clock_mono_ns();
    enum rm_err result =
        store_commit(bench->store, &absent, 1, puts, PUTS_PER_COMMIT, on_commit, flight);
    if (result != RM_OK) {
        die("commit", rm_err_name(result));
    }
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double quantile_ms(const struct bench *bench, double share)
{
    size_t index = (size_t)(share * (double)(bench->sample_count - 1));
    return (double)bench->samples_us[index] / 1000;
}

static void measure_store(const char *folder, double seconds, size_t outstanding)
{
    struct rm_error error = {0};
    struct bench bench = {.loop = loop_new("bench"), .in_flight = outstanding};
    char path[512];
    snprintf(path, sizeof(path), "%s/store-%zu", folder, outstanding);
    bench.samples_us = rm_calloc(MAX_SAMPLES, sizeof(*bench.samples_us));
    if (bench.loop == NULL || bench.samples_us == NULL ||
        store_open_sqlite(bench.loop, path, &bench.store, &error) != RM_OK) {
        die(path, error.message);
    }
    uint64_t start = clock_mono_ns();
    bench.end_ns = start + (uint64_t)(seconds * 1e9);
    for (size_t i = 0; i < outstanding; i++) {
        struct flight *flight = rm_calloc(1, sizeof(*flight));
        if (flight == NULL) {
            die("bench", "out of memory");
        }
        flight->bench = &bench;
        commit_next(flight);
    }
    loop_run(bench.loop);
    double elapsed = (double)(clock_mono_ns() - start) / 1e9;
    qsort(bench.samples_us, bench.sample_count, sizeof(*bench.samples_us), compare_samples);
    printf("store, %4zu outstanding            %10.0f %10.2f %10.2f %10.2f\n", outstanding,
           (double)bench.sample_count / elapsed, quantile_ms(&bench, 0.5),
           quantile_ms(&bench, 0.99), quantile_ms(&bench, 1));
    rm_free(bench.samples_us);
    loop_free(bench.loop);
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    (void)status;
    (void)flag;
    (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    static const size_t outstanding[] = {1, 50, 500};
    double seconds = argc > 1 ? strtod(argv[1], NULL) : DEFAULT_SECONDS;
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/bench-XXXXXX", argc > 2 ? argv[2] : "/var/tmp");
    if (mkdtemp(folder) == NULL) {
        die(folder, strerror(errno));
    }
    printf("%-34s %10s %10s %10s %10s\n", "", "per second", "p50 ms", "p99 ms", "max ms");
    measure_disk(folder, seconds / 2, false);
    measure_disk(folder, seconds / 2, true);
    for (size_t i = 0; i < sizeof(outstanding) / sizeof(outstanding[0]); i++) {
        measure_store(folder, seconds, outstanding[i]);
    }
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
