// SPDX-License-Identifier: GPL-3.0-or-later
//
// How many certificates a second a running control plane issues durably, with join tokens as
// evidence. Keys, requests and tokens are made before the clock starts; connections stand before it
// starts.
//
//   bench_issue_rate ADDRESS TRUST_DOMAIN BUNDLE.pem TOKENS CONNECTIONS CALLS_PER_CONNECTION
//
// TOKENS is a file with one join token a line; every token is used once. Prints one JSON line.
// tests/bench/figures.py starts the control plane, makes the tokens and runs this.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "certs/certs_wire.h"
#include "certs/state_dir.h"
#include "crypto/crypto.h"
#include "crypto/issue.h"
#include "link/link.h"

#define TOKENS_MAX_BYTES (64U << 20)
#define CALL_TIMEOUT_MS 60000

struct request {
    uint8_t *bytes; // encoded IssueRequest; owned
    size_t length;
    uint64_t started_ns; // when it was sent
};

struct bench;
struct connection {
    struct bench *bench;
    struct link *link;
    struct rpc_client *client;
};

struct call {
    struct connection *connection;
    struct request *request;
};

struct bench {
    struct loop *loop;
    struct resolver *resolver;
    struct request *requests;
    size_t request_count;
    size_t next;   // request to send
    size_t done;   // answered
    size_t failed; // of done
    struct connection *connections;
    size_t connection_count;
    size_t ready_count;
    size_t calls_per_connection;
    uint64_t started_ns;
    uint64_t ended_ns;
    double *latencies_ms; // one per answer
};

static void send_next(struct connection *connection);

static void finish(struct bench *bench)
{
    bench->ended_ns = clock_mono_ns();
    for (size_t i = 0; i < bench->connection_count; i++) {
        link_close(bench->connections[i].link);
    }
    resolver_close(bench->resolver);
    loop_stop(bench->loop);
}

static void call_on_message(void *context, struct rpc_call *rpc, const uint8_t *bytes,
                            size_t length)
{
    (void)context;
    (void)rpc;
    (void)bytes;
    (void)length;
}

static void call_on_close(void *context, struct rpc_call *rpc, enum rpc_status status,
                          const char *text)
{
    struct call *call = context;
    struct bench *bench = call->connection->bench;
    (void)rpc;
    bench->latencies_ms[bench->done++] =
        (double)(clock_mono_ns() - call->request->started_ns) / 1e6;
    if (status != RPC_OK && bench->failed++ == 0) {
        fprintf(stderr, "first failure: %s: %s\n", rpc_status_name(status), text);
    }
    if (bench->done == bench->request_count) {
        finish(bench);
    } else {
        send_next(call->connection);
    }
    rm_free(call);
}

static const struct rpc_client_handler handler = {
    .on_message = call_on_message,
    .on_close = call_on_close,
};

static void send_next(struct connection *connection)
{
    struct bench *bench = connection->bench;
    if (bench->next == bench->request_count) {
        return;
    }
    struct call *call = rm_calloc(1, sizeof *call);
    struct rpc_call *rpc = NULL;
    if (call == NULL) {
        exit(1);
    }
    call->connection = connection;
    call->request = &bench->requests[bench->next++];
    call->request->started_ns = clock_mono_ns();
    if (rpc_client_call(connection->client, IDENTITY_ISSUE_PATH, CALL_TIMEOUT_MS, &handler, call,
                        &rpc) != RM_OK ||
        rpc_call_send(rpc, call->request->bytes, call->request->length) != RM_OK ||
        rpc_call_half_close(rpc) != RM_OK) {
        fputs("a call could not be made\n", stderr);
        exit(1);
    }
}

static void connection_on_ready(void *context, struct rpc_client *client)
{
    struct connection *connection = context;
    struct bench *bench = connection->bench;
    connection->client = client;
    if (++bench->ready_count < bench->connection_count) {
        return;
    }
    bench->started_ns = clock_mono_ns();
    for (size_t i = 0; i < bench->connection_count; i++) {
        for (size_t j = 0; j < bench->calls_per_connection; j++) {
            send_next(&bench->connections[i]);
        }
    }
}

static void connection_on_end(void *context, enum rm_err reason, const char *sentence)
{
    (void)context;
    if (reason != RM_ERR_CANCELLED) {
        fprintf(stderr, "a connection ended: %s\n", sentence);
        exit(1);
    }
}

static void make_request(struct request *request, const char *token)
{
    struct private_key *key = NULL;
    uint8_t *csr = NULL;
    struct issue_request issue = {.join_token = token};
    if (key_generate(&key) != RM_OK || csr_make(key, &csr, &issue.csr_length) != RM_OK) {
        exit(1);
    }
    issue.csr = csr;
    if (issue_request_encode(&issue, &request->bytes, &request->length) != RM_OK) {
        exit(1);
    }
    rm_free(csr);
    key_unref(key);
}

static void make_requests(struct bench *bench, const char *path)
{
    uint8_t *text = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    if (file_read(path, TOKENS_MAX_BYTES, &text, &length, &error) != RM_OK) {
        fprintf(stderr, "%s\n", rm_error_message(&error));
        exit(1);
    }
    for (size_t i = 0; i < length; i++) {
        bench->request_count += text[i] == '\n';
    }
    bench->requests = rm_calloc(bench->request_count, sizeof *bench->requests);
    bench->latencies_ms = rm_calloc(bench->request_count, sizeof *bench->latencies_ms);
    char *line = (char *)text;
    for (size_t i = 0; i < bench->request_count; i++) {
        char *end = strchr(line, '\n');
        *end = '\0';
        make_request(&bench->requests[i], line);
        line = end + 1;
    }
    rm_free(text);
}

static struct tls_context *make_tls(const char *domain, const char *bundle)
{
    static const char *const alpn[] = {"h2"};
    struct rm_error error = {0};
    struct tls_context *tls = NULL;
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL || bundle_file_read(bundle, domain, builder, &error) != RM_OK) {
        fprintf(stderr, "%s\n", rm_error_message(&error));
        exit(1);
    }
    struct tls_spiffe_profile profile = {
        .trust = trust_builder_finish(builder),
        .alpn = alpn,
        .alpn_count = 1,
        .is_alpn_required = true,
    };
    if (tls_context_new_spiffe(&profile, &tls, &error) != RM_OK) {
        fprintf(stderr, "%s\n", rm_error_message(&error));
        exit(1);
    }
    trust_unref(profile.trust);
    return tls;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(struct bench *bench)
{
    double seconds = (double)(bench->ended_ns - bench->started_ns) / 1e9;
    qsort(bench->latencies_ms, bench->done, sizeof(double), compare);
    printf("{\"connections\": %zu, \"outstanding\": %zu, \"certificates\": %zu, \"failed\": %zu, "
           "\"seconds\": %.3f, \"per_second\": %.0f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
           bench->connection_count, bench->connection_count * bench->calls_per_connection,
           bench->done, bench->failed, seconds, (double)(bench->done - bench->failed) / seconds,
           bench->latencies_ms[bench->done / 2], bench->latencies_ms[bench->done * 99 / 100]);
}

int main(int argc, char **argv)
{
    struct rm_error error = {0};
    struct bench bench = {0};
    if (argc != 7 || crypto_init(&error) != RM_OK) {
        fputs("usage: bench_issue_rate ADDRESS TRUST_DOMAIN BUNDLE.pem TOKENS CONNECTIONS "
              "CALLS_PER_CONNECTION\n",
              stderr);
        return 2;
    }
    make_requests(&bench, argv[4]);
    struct tls_context *tls = make_tls(argv[2], argv[3]);
    bench.connection_count = (size_t)strtoul(argv[5], NULL, 10);
    bench.calls_per_connection = (size_t)strtoul(argv[6], NULL, 10);
    bench.connections = rm_calloc(bench.connection_count, sizeof *bench.connections);
    bench.loop = loop_new("bench");
    if (bench.loop == NULL || resolver_open(bench.loop, &bench.resolver, &error) != RM_OK) {
        return 1;
    }
    for (size_t i = 0; i < bench.connection_count; i++) {
        struct link_options options = {
            .loop = bench.loop,
            .resolver = bench.resolver,
            .address = argv[1],
            .trust_domain = argv[2],
            .tls = tls,
        };
        bench.connections[i].bench = &bench;
        if (link_open(&options, connection_on_ready, connection_on_end, &bench.connections[i],
                      &bench.connections[i].link) != RM_OK) {
            return 1;
        }
    }
    loop_run(bench.loop);
    report(&bench);
    return bench.failed == 0 ? 0 : 1;
}
