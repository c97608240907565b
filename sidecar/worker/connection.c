// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/connection.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "identity/verdict.h"
#include "metrics_catalogue.h"
#include "stream/descriptors.h"

const char *connection_direction_name(enum connection_direction direction)
{
    switch (direction) {
    case CONNECTION_INBOUND:
        return "inbound";
    case CONNECTION_OUTBOUND:
        return "outbound";
    case CONNECTION_EDGE:
        break;
    }
    return "edge";
}

void connection_begin(struct connection *connection, struct worker *worker,
                      enum connection_direction direction)
{
    connection->worker = worker;
    connection->direction = direction;
    connection->number = ++worker->last_number;
    connection->started_ms = loop_now_ms(worker->loop);
    connection->result = FAULT_OK;
    list_append(&worker->connections, &connection->node);
    connection_pledge(connection, true);
    worker->connection_count++;
    if (worker->connection_count > worker->peak_count) {
        worker->peak_count = worker->connection_count; // a crowd may be gone before the next sweep
    }
    const char *labels[] = {connection_direction_name(direction)};
    metric_gauge_add(worker->metrics, SIDECAR_METRIC_CONNECTIONS_OPEN, labels, 1);
    if (!timer_is_active(&worker->sweep) && timer_start(&worker->sweep, WORKER_SWEEP_MS) != RM_OK) {
        log_error(LOG_MAIN, "sweep_not_started", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

void connection_pledge(struct connection *connection, bool needs_another)
{
    if (connection->is_pledged != needs_another) {
        connection->is_pledged = needs_another;
        descriptors_pledge(needs_another ? 1 : -1);
    }
}

// Which of our identities a server showed, as it is known now. One that is gone has no trust, and
// so nobody may come by it.
static size_t find_own(const struct worker *worker, const char *local_id)
{
    for (size_t i = 0; i < snapshot_own_count(worker->snapshot); i++) {
        const struct tls_identity *identity = snapshot_own(worker->snapshot, i).identity;
        if (identity != NULL && local_id != NULL && strcmp(identity->spiffe_id, local_id) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

void connection_note_tls(struct connection *connection, const struct stream *tls)
{
    const struct peer *peer = stream_peer(tls);
    const struct tls_facts *facts = tls_stream_facts(tls);
    // Counting a reference changes nothing that the owner of the constant view could see.
    connection->peer = peer != NULL ? peer_ref((struct peer *)(uintptr_t)peer) : NULL;
    if (facts == NULL) {
        return;
    }
    if (facts->is_server) {
        connection->own_index = find_own(connection->worker, facts->local_id);
    }
    connection->suite = facts->suite;
    connection->group = facts->group;
    connection->is_resumed = facts->is_resumed;
    connection->handshake_ms = facts->handshake_ms;
    const char *labels[] = {facts->is_server ? "server" : "client"};
    const char *ticket[] = {labels[0], tls_ticket_use_name(facts->ticket)};
    metric_add(connection->worker->metrics, SIDECAR_METRIC_TICKETS_TOTAL, ticket, 1);
    metric_observe(connection->worker->metrics, SIDECAR_METRIC_HANDSHAKE_SECONDS, labels,
                   (double)facts->handshake_ms / 1000.0);
}

void connection_fail(struct connection *connection, enum fault result, const char *detail)
{
    if (connection->result != FAULT_OK) {
        return;
    }
    connection->result = result;
    if (detail != NULL && detail[0] != '\0') {
        connection->detail = rm_strdup(detail);
    }
}

// What of our own could have made the other end's mesh cut us, as we know it.
static const char *explain_cancel(const struct connection *connection)
{
    const struct snapshot_own own =
        snapshot_own(connection->worker->snapshot, connection->own_index);
    uint8_t lineage[LINEAGE_BYTES];
    if (own.identity == NULL) {
        return "user_canceled; we have no certificate in force";
    }
    if (own.identity->not_after_s < clock_wall_s()) {
        return "user_canceled; our own certificate has expired by our clock";
    }
    if (serial_lineage(own.identity->serial, own.identity->serial_length, lineage)) {
        if (trust_is_withdrawn(own.trust, TRUST_REVOKED_LINEAGE, lineage, sizeof lineage, NULL)) {
            return "user_canceled; our own certificate's lineage is revoked";
        }
        if (trust_is_withdrawn(own.trust, TRUST_LAPSED_LINEAGE, lineage, sizeof lineage, NULL)) {
            return "user_canceled; our own certificate's lineage has lapsed";
        }
    }
    return "user_canceled; our own certificate looks right from here";
}

void connection_note_relay(struct connection *connection, const struct relay_result *relay,
                           enum relay_side tunnel)
{
    connection->sent_bytes = tunnel == RELAY_B ? relay->a_to_b_bytes : relay->b_to_a_bytes;
    connection->received_bytes = tunnel == RELAY_B ? relay->b_to_a_bytes : relay->a_to_b_bytes;
    if (relay->error == RM_OK) {
        return;
    }
    if (relay->error == RM_ERR_TIMEOUT) {
        connection_fail(connection, FAULT_IDLE_TIMEOUT, NULL);
    } else if (relay->error == RM_ERR_VANISHED) {
        connection_fail(connection,
                        relay->failed == tunnel ? FAULT_PEER_VANISHED : FAULT_APPLICATION_VANISHED,
                        rm_err_text(relay->error));
    } else if (relay->failed == tunnel && relay->error == RM_ERR_CANCELLED) {
        connection_fail(connection, FAULT_TUNNEL_CANCELLED, explain_cancel(connection));
    } else if (relay->failed == tunnel) {
        bool is_truncated = relay->error == RM_ERR_TRUNCATED;
        connection_fail(connection, is_truncated ? FAULT_TUNNEL_TRUNCATED : FAULT_TUNNEL_RESET,
                        rm_err_text(relay->error));
    } else {
        connection_fail(connection, FAULT_APPLICATION_RESET, rm_err_text(relay->error));
    }
}

struct connection_progress connection_progress_of(const struct sm *sm, const struct relay *relay,
                                                  enum relay_side tunnel)
{
    struct connection_progress progress = {.state = sm_state_name(sm)};
    uint64_t from_a = 0;
    uint64_t from_b = 0;
    if (relay != NULL) {
        relay_progress(relay, &from_a, &from_b);
    }
    progress.sent_bytes = tunnel == RELAY_B ? from_a : from_b;
    progress.received_bytes = tunnel == RELAY_B ? from_b : from_a;
    return progress;
}

// "" for an address that never became known.
static void address_text(const struct stream_address *address, char out[STREAM_ADDRESS_TEXT_BYTES])
{
    out[0] = '\0';
    if (address->length > 0) {
        stream_address_text(address, out);
    }
}

// "" while the client has not given it.
static void id_text(const struct connection *connection,
                    char out[HEX_BYTES(TUNNEL_CONNECTION_ID_BYTES)])
{
    static const uint8_t none[TUNNEL_CONNECTION_ID_BYTES];
    out[0] = '\0';
    if (memcmp(connection->id, none, sizeof none) != 0) {
        hex_encode(connection->id, sizeof connection->id, out);
    }
}

static void write_access_log(const struct connection *connection)
{
    enum sidecar_access_log mode =
        (enum sidecar_access_log)connection->worker->snapshot->config->access_log;
    bool is_ok = connection->result == FAULT_OK;
    if (mode == ACCESS_LOG_OFF || (mode == ACCESS_LOG_ERRORS && is_ok)) {
        return;
    }
    char id[HEX_BYTES(TUNNEL_CONNECTION_ID_BYTES)];
    char serial[HEX_BYTES(SERIAL_MAX_BYTES)] = "";
    char remote[STREAM_ADDRESS_TEXT_BYTES];
    char application[STREAM_ADDRESS_TEXT_BYTES];
    id_text(connection, id);
    address_text(&connection->remote, remote);
    address_text(&connection->application, application);
    const struct peer *peer = connection->peer;
    if (peer != NULL) {
        hex_encode(peer->serial, peer->serial_length, serial);
    }
    const struct tls_identity *identity =
        snapshot_own(connection->worker->snapshot, connection->own_index).identity;
    struct log_pair pairs[] = {
        LOG_STR("connection", id),
        LOG_STR("direction", connection_direction_name(connection->direction)),
        LOG_STR("result", fault_name(connection->result)),
        LOG_STR("service", connection->service),
        LOG_U64("port", connection->port),
        LOG_STR("local_identity", identity != NULL ? identity->spiffe_id : NULL),
        LOG_STR("peer_identity", peer != NULL ? peer->spiffe_id : NULL),
        LOG_STR("peer_serial", serial),
        LOG_I64("peer_expires_s", peer != NULL ? peer->not_after_s - clock_wall_s() : 0),
        LOG_STR("remote", remote),
        LOG_STR("application", application),
        LOG_U64("sent_bytes", connection->sent_bytes),
        LOG_U64("received_bytes", connection->received_bytes),
        LOG_U64("duration_ms", loop_now_ms(connection->worker->loop) - connection->started_ms),
        LOG_STR("tls", connection->suite != NULL ? "TLSv1.3" : NULL),
        LOG_STR("suite", connection->suite),
        LOG_STR("group", connection->group),
        LOG_BOOL("resumed", connection->is_resumed),
        LOG_U64("handshake_ms", connection->handshake_ms),
        LOG_STR("detail", connection->detail),
        {0},
    };
    log_access(pairs);
}

static void count_end(const struct connection *connection)
{
    struct metric_set *metrics = connection->worker->metrics;
    const char *direction = connection_direction_name(connection->direction);
    const char *service = connection->service != NULL ? connection->service : "unknown";
    const char *total[] = {direction, service, fault_name(connection->result)};
    const char *open[] = {direction};
    const char *sent[] = {direction, "sent"};
    const char *received[] = {direction, "received"};
    metric_add(metrics, SIDECAR_METRIC_CONNECTIONS_TOTAL, total, 1);
    metric_gauge_add(metrics, SIDECAR_METRIC_CONNECTIONS_OPEN, open, -1);
    metric_add(metrics, SIDECAR_METRIC_BYTES_TOTAL, sent, connection->sent_bytes);
    metric_add(metrics, SIDECAR_METRIC_BYTES_TOTAL, received, connection->received_bytes);
    metric_observe(metrics, SIDECAR_METRIC_CONNECTION_SECONDS, open,
                   (double)(loop_now_ms(connection->worker->loop) - connection->started_ms) /
                       1000.0);
}

void connection_end(struct connection *connection)
{
    struct worker *worker = connection->worker;
    connection_pledge(connection, false);
    write_access_log(connection);
    count_end(connection);
    list_remove(&connection->node);
    worker->connection_count--;
    peer_unref(connection->peer);
    rm_free(connection->service);
    rm_free(connection->detail);
    if (worker->connection_count == 0 && worker->on_idle != NULL) {
        worker->on_idle(worker->idle_context);
    }
}

// True when the control plane has been silent for longer than the grace, so that it cannot have
// told us of a lapse or a revocation.
static bool view_is_stale(const struct worker *worker)
{
    const struct snapshot *snapshot = worker->snapshot;
    int64_t now_ms = (int64_t)clock_mono_ms();
    return snapshot->view_received_mono_ms == 0 ||
           now_ms - snapshot->view_received_mono_ms > snapshot->config->connection_grace_ms;
}

static bool is_in_domain(const struct peer *peer, const char *trust_domain)
{
    struct spiffe_id id;
    return spiffe_id_parse(peer->spiffe_id, peer->spiffe_id_length, &id, NULL) == RM_OK &&
           spiffe_id_in_domain(&id, trust_domain);
}

enum fault connection_judge_peer(const struct connection *connection,
                                 const char *const *expected_ids, size_t expected_count)
{
    const struct snapshot *snapshot = connection->worker->snapshot;
    const struct peer *peer = connection->peer;
    if (peer == NULL) {
        return FAULT_UNJUDGED;
    }
    struct chain_facts facts;
    verdict_facts_of_peer(peer, &facts);
    int64_t now_s = clock_wall_s();
    struct verdict_question question = {
        .facts = &facts,
        .trust = snapshot_own(snapshot, connection->own_index).trust,
        .now_s = now_s,
        .role = connection->direction == CONNECTION_OUTBOUND ? VERDICT_ROLE_SERVER
                                                             : VERDICT_ROLE_CLIENT,
        .expected_ids = expected_ids,
        .expected_count = expected_count,
        .is_live = true,
    };
    struct verdict_answer answer = verdict_judge(&question);
    if (answer.verdict != VERDICT_IDENTITY) {
        return verdict_fault(answer.reason);
    }
    // Only our own control plane tells of lapses: a foreign serial that looks like a lineage does
    // not count.
    bool is_ours = snapshot->config->control.address != NULL &&
                   snapshot->own_trust_domain != NULL && peer->has_lineage &&
                   is_in_domain(peer, snapshot->own_trust_domain);
    bool is_vouched_for = is_ours && !view_is_stale(connection->worker);
    int64_t grace_s = snapshot->config->connection_grace_ms / 1000;
    if (!is_vouched_for && now_s > peer->not_after_s + grace_s) {
        return FAULT_CERTIFICATE_EXPIRED;
    }
    return FAULT_OK;
}
