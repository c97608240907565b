// SPDX-License-Identifier: GPL-3.0-or-later
//
// Open-loop load: requests are due at random moments (exponential gaps, the same ones in each run)
// whether or not earlier ones were answered. A request waits for a free connection when there is
// none. Its latency counts from the moment it was due, so that a stall is felt by all who would
// have met it (no coordinated omission). What is not answered in the end counts with the time it
// has waited by then.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "histogram.h"
#include "load.h"
#include "pool.h"

#define WARM_NS (300 * NS_PER_MS)
#define GRACE_NS (5 * NS_PER_S)

static struct client **idle;  // a stack
static int idle_count;        // in it
static uint64_t *due;         // a ring of those that wait for a connection
static size_t due_room;       // of the ring
static size_t due_first;      // counts up; modulo due_room
static size_t due_end;        // counts up
static uint64_t counted_from; // requests due earlier only warm up
static struct histogram latencies;

static void on_answer(struct client *client)
{
    uint64_t now = now_ns();
    if (client->asked_ns >= counted_from) {
        histogram_add(&latencies, now - client->asked_ns);
    }
    if (due_first < due_end) {
        pool_ask(client, due[due_first++ % due_room]);
    } else {
        idle[idle_count++] = client;
    }
}

static void on_due(uint64_t due_ns)
{
    if (idle_count > 0) {
        pool_ask(idle[--idle_count], due_ns);
    } else if (due_end - due_first < due_room) {
        due[due_end++ % due_room] = due_ns;
    } else {
        give_up("the proxies cannot keep up with the rate");
    }
}

// Seconds until the next request: exponential with mean 1 / rate.
static double next_gap(double rate)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return -log(((double)(state >> 11) + 1) / 9007199254740993.0) / rate;
}

static void ask_until(double rate, double *next, uint64_t end_ns)
{
    while (*next < (double)end_ns) {
        uint64_t at = (uint64_t)*next;
        while (now_ns() < at) {
            engine_step(at);
        }
        on_due(at);
        *next += next_gap(rate) * NS_PER_S;
        if (now_ns() < (uint64_t)*next) {
            engine_step(0);
        }
    }
}

// Those still waiting count as long as they have waited.
static uint64_t count_unanswered(const struct load_options *options)
{
    uint64_t now = now_ns();
    uint64_t unanswered = due_end - due_first;
    while (due_first < due_end) {
        histogram_add(&latencies, now - due[due_first++ % due_room]);
    }
    for (int i = 0; i < options->connections; i++) {
        if (pool.clients[i].state != CLIENT_READY) {
            histogram_add(&latencies, now - pool.clients[i].asked_ns);
            unanswered++;
        }
    }
    return unanswered;
}

int open_run(const struct load_options *options)
{
    if (!(options->rate > 0)) {
        give_up("open: --rate is missing");
    }
    due_room = (size_t)(options->rate * (options->seconds + 1)) + 1024;
    due = calloc(due_room, sizeof(*due));
    idle = calloc((size_t)options->connections, sizeof(struct client *));
    if (due == NULL || idle == NULL) {
        die("calloc");
    }
    pool_stand(options, false, on_answer);
    for (int i = 0; i < options->connections; i++) {
        idle[idle_count++] = &pool.clients[i];
    }
    double next = (double)now_ns();
    counted_from = UINT64_MAX;
    ask_until(options->rate, &next, now_ns() + WARM_NS);
    counted_from = now_ns();
    uint64_t end_ns = counted_from + ns_of_seconds(options->seconds);
    say("begin", ",\"connections\":%d", options->connections);
    ask_until(options->rate, &next, end_ns);
    double seconds = (double)(now_ns() - counted_from) / NS_PER_S;
    uint64_t deadline = now_ns() + GRACE_NS;
    while (idle_count < options->connections && now_ns() < deadline) {
        engine_step(deadline);
    }
    uint64_t unanswered = count_unanswered(options);
    say("end",
        ",\"answers\":%" PRIu64 ",\"unanswered\":%" PRIu64 ",\"failures\":%" PRIu64
        ",\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
        latencies.total - unanswered, unanswered, client_totals.failures, seconds,
        (double)histogram_at(&latencies, 0.5) / 1e3, (double)histogram_at(&latencies, 0.99) / 1e3,
        (double)histogram_at(&latencies, 0.999) / 1e3, (double)latencies.max_ns / 1e3);
    pool_close();
    free(due);
    free(idle);
    return 0;
}
