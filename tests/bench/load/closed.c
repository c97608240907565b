// SPDX-License-Identifier: GPL-3.0-or-later
//
// Closed loops, one per connection: the next request leaves when the last one's answer is here,
// over the same connection (`keepalive`) or a new one (`churn`). Latencies of a closed loop tell
// nothing about load that does not wait: see open.c for those.
#include <inttypes.h>
#include <string.h>

#include "histogram.h"
#include "load.h"
#include "pool.h"

#define WARM_NS (200 * NS_PER_MS)

static struct histogram latencies;

static void on_answer(struct client *client)
{
    uint64_t now = now_ns();
    histogram_add(&latencies, now - client->asked_ns);
    pool_ask(client, now);
}

static void step_until(uint64_t end_ns, uint64_t answers)
{
    while (now_ns() < end_ns && client_totals.answers < answers) {
        engine_step(end_ns);
    }
}

int closed_run(const struct load_options *options)
{
    pool_stand(options, strcmp(options->command, "churn") == 0, on_answer);
    for (int i = 0; i < options->connections; i++) {
        pool_ask(&pool.clients[i], now_ns());
    }
    if (options->count == 0) {
        step_until(now_ns() + WARM_NS, UINT64_MAX);
    }
    struct client_totals before = client_totals;
    memset(&latencies, 0, sizeof(latencies));
    uint64_t begin_ns = now_ns();
    say("begin", ",\"connections\":%d", options->connections);
    if (options->count == 0) {
        step_until(begin_ns + ns_of_seconds(options->seconds), UINT64_MAX);
    } else {
        step_until(FOREVER, before.answers + options->count);
    }
    double seconds = (double)(now_ns() - begin_ns) / NS_PER_S;
    say("end",
        ",\"answers\":%" PRIu64 ",\"body_bytes\":%" PRIu64 ",\"opened\":%" PRIu64
        ",\"failures\":%" PRIu64 ",\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f",
        client_totals.answers - before.answers, client_totals.body_bytes - before.body_bytes,
        client_totals.opened - before.opened, client_totals.failures, seconds,
        (double)histogram_at(&latencies, 0.5) / 1e3, (double)histogram_at(&latencies, 0.99) / 1e3);
    pool_close();
    return 0;
}
