// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/worker.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "metrics_catalogue.h"
#include "worker/connection.h"
#include "worker/contexts.h"
#include "worker/endpoints.h"
#include "worker/waiting.h"

// Judges every established connection by the snapshot in force.
static void judge_all(struct worker *worker)
{
    list_each_safe (node, following, &worker->connections) {
        struct connection *connection = list_entry(node, struct connection, node);
        enum fault reason = connection->is_established ? connection->judge(connection) : FAULT_OK;
        if (reason != FAULT_OK) {
            connection->cut(connection, reason);
        }
    }
}

// Who died while nobody read from it is noticed here.
static void look_at_all(struct worker *worker)
{
    list_each (node, &worker->connections) {
        struct connection *connection = list_entry(node, struct connection, node);
        if (connection->relay != NULL) {
            relay_look(connection->relay);
        }
    }
}

// A crowd has come and gone, and its last have been freed: the allocator would keep all it needed.
static void give_memory_back(struct worker *worker)
{
    const size_t count = worker->connection_count;
    const bool is_leaving = worker->swept_count >= count + WORKER_CROWD;
    worker->swept_count = count;
    if (!is_leaving && count <= worker->peak_count / 2) {
        if (worker->peak_count >= count + WORKER_CROWD) {
            rm_give_back();
        }
        worker->peak_count = count;
    }
}

static void worker_on_sweep(void *context)
{
    struct worker *worker = context;
    judge_all(worker);
    look_at_all(worker);
    give_memory_back(worker);
    const bool has_more = worker->connection_count > 0 || worker->peak_count > 0;
    if (has_more && timer_start(&worker->sweep, WORKER_SWEEP_MS) != RM_OK) {
        log_error(LOG_MAIN, "sweep_not_started", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

static void worker_on_handshakes_waiting(void *context)
{
    struct worker *worker = context;
    metric_add(worker->metrics, SIDECAR_METRIC_HANDSHAKE_FULL_TURNS_TOTAL, NULL, 1);
}

enum rm_err worker_init(struct worker *worker, size_t index, struct loop *loop,
                        struct metric_set *metrics, struct snapshot *snapshot,
                        struct tls_ticket_keys *ticket_keys, struct rm_error *error)
{
    memset(worker, 0, sizeof *worker);
    worker->index = index;
    worker->loop = loop;
    worker->metrics = metrics;
    list_init(&worker->connections);
    list_init(&worker->waiting);
    timer_init(&worker->sweep, loop, worker_on_sweep, worker);
    worker->snapshot = snapshot_ref(snapshot);
    worker->ticket_keys = ticket_keys == NULL ? NULL : tls_ticket_keys_ref(ticket_keys);
    worker->endpoints = map_new();
    worker->pace = tls_pace_new(loop, worker_on_handshakes_waiting, worker);
    worker->worker_count = 1;
    enum rm_err gate = gate_init(&worker->gate);
    enum rm_err result = worker->endpoints != NULL && worker->pace != NULL && gate == RM_OK
                             ? resolver_open(loop, &worker->resolver, error)
                             : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    if (result == RM_OK) {
        result = contexts_make(worker, error);
    }
    if (result != RM_OK) {
        worker_deinit(worker);
    }
    return result;
}

void worker_deinit(struct worker *worker)
{
    timer_stop(&worker->sweep);
    contexts_drop(worker);
    if (worker->resolver != NULL) {
        resolver_close(worker->resolver);
        worker->resolver = NULL;
    }
    endpoints_free(worker->endpoints);
    worker->endpoints = NULL;
    tls_pace_free(worker->pace);
    worker->pace = NULL;
    gate_deinit(&worker->gate);
    snapshot_unref(worker->snapshot);
    worker->snapshot = NULL;
    tls_ticket_keys_unref(worker->ticket_keys);
    worker->ticket_keys = NULL;
}

void worker_adopt(struct worker *worker, struct snapshot *snapshot)
{
    struct snapshot *before = worker->snapshot;
    bool is_same_rules = before->view == snapshot->view && before->trust == snapshot->trust &&
                         before->config == snapshot->config &&
                         before->identity == snapshot->identity && snapshot->more_count == 0;
    worker->snapshot = snapshot_ref(snapshot);
    contexts_adopt(worker, before);
    if (!is_same_rules) {
        judge_all(worker);
        endpoints_prune(worker->endpoints, snapshot->view);
    }
    snapshot_unref(before);
    waiting_resume(worker);
}

static size_t share_of(const struct worker *worker, int64_t limit)
{
    return ((size_t)limit + worker->worker_count - 1) / worker->worker_count;
}

bool worker_admits(struct worker *worker, const struct stream_address *remote)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    const struct sidecar_config *config = worker->snapshot->config;
    const struct gate_limits limits = {
        .handshakes = share_of(worker, config->handshakes),
        .per_source = share_of(worker, config->handshakes_per_source),
    };
    enum gate_answer answer = gate_admit(&worker->gate, &limits, remote);
    if (answer == GATE_ADMITTED) {
        return true;
    }
    const char *action[] = {answer == GATE_REFUSED ? "refused" : "put_out"};
    metric_add(worker->metrics, SIDECAR_METRIC_HANDSHAKES_LIMITED_TOTAL, action, 1);
    if (log_limit_pass(&limit, &suppressed)) {
        char text[STREAM_ADDRESS_TEXT_BYTES];
        stream_address_text(remote, text);
        log_warn(LOG_INBOUND, "handshakes_limited", LOG_STR("action", action[0]),
                 LOG_STR("remote", text), LOG_U64("under_way", worker->gate.count),
                 LOG_U64("suppressed", suppressed));
    }
    return answer != GATE_REFUSED;
}

void worker_cut_all(struct worker *worker, enum fault reason)
{
    list_each_safe (node, following, &worker->connections) {
        struct connection *connection = list_entry(node, struct connection, node);
        connection->cut(connection, reason);
    }
}
