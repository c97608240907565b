// SPDX-License-Identifier: GPL-3.0-or-later
//
// A peer that is not ours (openssl s_client and s_server, over loopback TCP): full mutual
// handshakes, HelloRetryRequest, key updates, and a name for each way in which the two do not fit.
#include "tls_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "stream/socket.h"
#include "tls/tls_internal.h"

#define ARGUMENTS_MAX 40
#define OUTPUT_BYTES 65536

struct stage {
    struct world *world;          // ours
    struct foreign_pki pki;       // openssl's, trusted by us for td.test
    struct trust_snapshot *trust; // our root and openssl's
    struct tls_context *client;   // ours
    struct tls_context *server;   // ours
};

static void write_root_pem(const struct stage *stage)
{
    struct buffer pem;
    char path[128];
    const struct pki_authority *authority = &stage->world->authority;
    buffer_init(&pem, 65536);
    assert_int_equal(pem_append(&pem, "CERTIFICATE", authority->root, authority->root_length),
                     RM_OK);
    (void)snprintf(path, sizeof(path), "%s/ours.pem", stage->pki.folder);
    assert_int_equal(file_write_atomic(path, buffer_data(&pem), buffer_length(&pem), 0600, NULL),
                     RM_OK);
    buffer_deinit(&pem);
}

static int setup(void **state)
{
    static struct stage stage;
    void *world = NULL;
    world_setup(&world);
    stage.world = world;
    foreign_pki_init(&stage.pki);
    struct trust_builder *builder = trust_builder_new();
    const struct pki_authority *ours = &stage.world->authority;
    foreign_pki_add_root(&stage.pki, builder, "td.test");
    assert_int_equal(
        trust_builder_add_root(builder, "td.test", ours->root, ours->root_length, ours->root_id),
        RM_OK);
    stage.trust = trust_builder_finish(builder);
    stage.client = pki_context(stage.world->client_identity, stage.trust);
    stage.server = pki_context(stage.world->server_identity, stage.trust);
    write_root_pem(&stage);
    *state = &stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    void *world = stage->world;
    tls_context_unref(stage->client);
    tls_context_unref(stage->server);
    trust_unref(stage->trust);
    foreign_pki_deinit(&stage->pki);
    world_teardown(&world);
    return 0;
}

// --- openssl as a child
// -----------------------------------------------------------------------------

struct child {
    pid_t pid;               // ours to wait for
    int input;               // its standard input
    int output;              // its standard output and error, non-blocking
    char text[OUTPUT_BYTES]; // what it said so far, NUL-terminated
    size_t length;           // of text
};

// Splits at spaces; runs in the folder of the foreign PKI.
static void child_start(struct child *child, const char *folder, const char *command)
{
    static char words[2048];
    char *arguments[ARGUMENTS_MAX] = {0};
    int in[2];
    int out[2];
    size_t count = 0;
    (void)snprintf(words, sizeof(words), "%s", command);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_in_range(count, 0, ARGUMENTS_MAX - 2);
        arguments[count++] = word;
    }
    memset(child, 0, sizeof(*child));
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe2(out, O_NONBLOCK), 0);
    child->pid = fork();
    if (child->pid == 0) {
        if (chdir(folder) != 0 || dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 ||
            dup2(out[1], 2) < 0) {
            _exit(126);
        }
        (void)close(in[1]);
        (void)close(out[0]);
        (void)execvp(arguments[0], arguments);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    child->input = in[1];
    child->output = out[0];
}

static void child_listen(struct child *child)
{
    ssize_t count;
    while ((count = read(child->output, child->text + child->length,
                         sizeof(child->text) - child->length - 1)) > 0) {
        child->length += (size_t)count;
        child->text[child->length] = '\0';
    }
}

static void child_end(struct child *child)
{
    (void)close(child->input);
    (void)kill(child->pid, SIGTERM);
    (void)waitpid(child->pid, NULL, 0);
    (void)close(child->output);
}

static void child_say(struct child *child, const char *text)
{
    assert_int_equal(write(child->input, text, strlen(text)), (ssize_t)strlen(text));
}

// Something that the child must say.
struct saying {
    struct child *child;
    const char *text;
};

static bool child_has_said(void *context)
{
    struct saying *saying = context;
    child_listen(saying->child);
    return strstr(saying->child->text, saying->text) != NULL;
}

static void child_must_say(struct loop *loop, struct child *child, const char *text)
{
    struct saying saying = {child, text};
    world_until(loop, child_has_said, &saying);
}

// --- openssl comes to us
// ----------------------------------------------------------------------------

struct visit {
    struct pair pair;           // only the server's end is used
    struct listener *listener;  // ours
    struct tls_context *server; // borrowed
    struct child child;         // the visitor
};

static void visit_on_accept(void *context, struct stream *stream)
{
    struct visit *visit = context;
    end_accept(&visit->pair.server, stream, visit->server);
}

static void visit_begin(struct visit *visit, const struct stage *stage, const char *arguments)
{
    char address[STREAM_ADDRESS_TEXT_BYTES];
    char command[1024];
    struct listener_options options = {0};
    memset(visit, 0, sizeof(*visit));
    visit->server = stage->server;
    visit->pair.loop = loop_new("test");
    assert_int_equal(socket_address_parse("127.0.0.1:0", &options.address, NULL), RM_OK);
    assert_int_equal(
        listener_open(visit->pair.loop, &options, visit_on_accept, visit, &visit->listener, NULL),
        RM_OK);
    stream_address_text(listener_address(visit->listener), address);
    (void)snprintf(command, sizeof(command), "openssl s_client -connect %s -CAfile ours.pem %s",
                   address, arguments);
    child_start(&visit->child, stage->pki.folder, command);
    world_until(visit->pair.loop, end_is_done, &visit->pair.server);
}

static void visit_end(struct visit *visit)
{
    listener_close(visit->listener, false);
    end_close(&visit->pair.server, STREAM_CLOSE_ABORT);
    world_end(visit->pair.loop);
    child_end(&visit->child);
}

#define CERTIFICATE " -cert p256.crt -cert_chain p256.pem -key p256.key"
#define ALPN " -alpn remora/1"

static void assert_visit_fails(const struct stage *stage, const char *arguments, const char *name,
                               uint8_t alert)
{
    struct visit visit;
    visit_begin(&visit, stage, arguments);
    if (strcmp(tls_failure_name(&visit.pair.server.failure), name) != 0) {
        fail_msg("%s: %s", tls_failure_name(&visit.pair.server.failure),
                 visit.pair.server.failure.detail);
    }
    assert_int_not_equal(visit.pair.server.result, RM_OK);
    assert_int_equal(visit.pair.server.failure.alert_sent, alert);
    if (alert != 0) {
        char number[32];
        (void)snprintf(number, sizeof(number), "SSL alert number %u", alert);
        child_must_say(visit.pair.loop, &visit.child, number);
    }
    visit_end(&visit);
}

static void visitor_talks_both_ways(void **state)
{
    struct visit visit;
    char text[64];
    visit_begin(&visit, *state, "-verify_return_error -servername a.td.test" CERTIFICATE ALPN);
    assert_int_equal(visit.pair.server.result, RM_OK);
    assert_string_equal(stream_peer(visit.pair.server.stream)->spiffe_id,
                        "spiffe://td.test/foreign");
    assert_string_equal(tls_stream_facts(visit.pair.server.stream)->sni, "a.td.test");
    assert_string_equal(tls_stream_facts(visit.pair.server.stream)->group, "x25519");
    child_say(&visit.child, "hello from openssl\n");
    assert_int_equal(end_read(&visit.pair, &visit.pair.server, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "hello from openssl\n");
    end_write(&visit.pair.server, "hello from remora\n");
    child_must_say(visit.pair.loop, &visit.child, "hello from remora");
    child_must_say(visit.pair.loop, &visit.child, "Verification: OK");
    child_must_say(visit.pair.loop, &visit.child, "ALPN protocol: remora/1");
    assert_null(strstr(visit.child.text, "Session Ticket arrived")); // there are no tickets yet
    visit_end(&visit);
}

static void visitor_gets_a_retry_request(void **state)
{
    static const struct {
        const char *offered; // openssl's -groups; it sends a share for the first
        const char *chosen;  // by us
    } cases[] = {{"P-521:P-256", "secp256r1"}, {"P-384:X25519", "x25519"}, {"P-256", "secp256r1"}};
    for (size_t i = 0; i < 3; i++) {
        struct visit visit;
        char arguments[256];
        (void)snprintf(arguments, sizeof(arguments), "-groups %s" CERTIFICATE ALPN,
                       cases[i].offered);
        visit_begin(&visit, *state, arguments);
        assert_int_equal(visit.pair.server.result, RM_OK);
        assert_string_equal(tls_stream_facts(visit.pair.server.stream)->group, cases[i].chosen);
        visit_end(&visit);
    }
}

static void each_suite_works(void **state)
{
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    for (size_t i = 0; i < 3; i++) {
        struct visit visit;
        char arguments[256];
        (void)snprintf(arguments, sizeof(arguments), "-ciphersuites %s" CERTIFICATE ALPN,
                       suites[i]);
        visit_begin(&visit, *state, arguments);
        assert_int_equal(visit.pair.server.result, RM_OK);
        assert_string_equal(tls_stream_facts(visit.pair.server.stream)->suite, suites[i]);
        visit_end(&visit);
    }
}

static void visitor_updates_keys(void **state)
{
    struct visit visit;
    char text[64];
    visit_begin(&visit, *state, CERTIFICATE ALPN);
    assert_int_equal(visit.pair.server.result, RM_OK);
    child_must_say(visit.pair.loop, &visit.child, "---");
    for (int i = 0; i < 3; i++) {
        child_say(&visit.child, "K\n"); // s_client: update keys, ask for an answer
        child_must_say(visit.pair.loop, &visit.child, "KEYUPDATE");
        child_say(&visit.child, "after\n");
        assert_int_equal(end_read(&visit.pair, &visit.pair.server, text, sizeof(text)), RM_OK);
        assert_string_equal(text, "after\n");
        end_write(&visit.pair.server, "answer\n");
        child_must_say(visit.pair.loop, &visit.child, "answer");
        visit.child.length = 0;
        visit.child.text[0] = '\0';
    }
    visit_end(&visit);
}

static void older_versions_are_refused(void **state)
{
    assert_visit_fails(*state, "-tls1_2" CERTIFICATE ALPN, "wrong_version", 70);
}

static void visitor_without_certificate_is_refused(void **state)
{
    assert_visit_fails(*state, ALPN, "no_certificate", 116);
}

static void visitor_without_alpn_is_refused(void **state)
{
    assert_visit_fails(*state, CERTIFICATE, "alpn_missing", 120);
    assert_visit_fails(*state, "-alpn h2,http/1.1" CERTIFICATE, "alpn_mismatch", 120);
}

static void nothing_in_common_is_named(void **state)
{
    assert_visit_fails(*state, "-ciphersuites TLS_AES_128_CCM_SHA256" CERTIFICATE ALPN,
                       "no_common_suite", 40);
    // wolfSSL answers with a HelloRetryRequest, which openssl refuses.
    assert_visit_fails(*state, "-groups P-521" CERTIFICATE ALPN, "no_common_group", 0);
}

// --- we go to openssl
// -------------------------------------------------------------------------------

struct journey {
    struct pair pair;   // only the client's end is used
    struct child child; // the host
    struct stream *tcp; // until TLS takes it
};

static void journey_on_connect(void *context, enum rm_err result, struct stream *stream)
{
    struct journey *journey = context;
    assert_int_equal(result, RM_OK);
    journey->tcp = stream;
}

static bool journey_has_tcp(void *context)
{
    return ((struct journey *)context)->tcp != NULL;
}

static void journey_begin(struct journey *journey, const struct stage *stage,
                          struct tls_context *client, const char *arguments)
{
    char command[1024];
    struct stream_address address;
    struct socket_connect *connect = NULL;
    memset(journey, 0, sizeof(*journey));
    journey->pair.loop = loop_new("test");
    (void)snprintf(command, sizeof(command),
                   "openssl s_server -accept 127.0.0.1:0 -cert p256.crt -cert_chain p256.pem "
                   "-key p256.key -CAfile ours.pem -naccept 1 %s",
                   arguments);
    child_start(&journey->child, stage->pki.folder, command);
    child_must_say(journey->pair.loop, &journey->child, "ACCEPT 127.0.0.1:");
    child_must_say(journey->pair.loop, &journey->child, "\n");
    char *where = strstr(journey->child.text, "ACCEPT ") + strlen("ACCEPT ");
    char *end = strchr(where, '\n');
    if (end == NULL) { // the line may arrive in pieces
        world_turns(journey->pair.loop, 1000);
        child_listen(&journey->child);
        end = strchr(where, '\n');
    }
    assert_non_null(end);
    *end = '\0';
    assert_int_equal(socket_address_parse(where, &address, NULL), RM_OK);
    *end = '\n';
    assert_int_equal(
        socket_connect(journey->pair.loop, &address, 5000, journey_on_connect, journey, &connect),
        RM_OK);
    world_until(journey->pair.loop, journey_has_tcp, journey);
    end_connect(&journey->pair.client, journey->tcp, client);
    world_until(journey->pair.loop, end_is_done, &journey->pair.client);
}

static void journey_end(struct journey *journey)
{
    end_close(&journey->pair.client, STREAM_CLOSE_ABORT);
    world_end(journey->pair.loop);
    child_end(&journey->child);
}

static void assert_journey_fails(const struct stage *stage, const char *arguments, const char *name)
{
    struct journey journey;
    journey_begin(&journey, stage, stage->client, arguments);
    if (strcmp(tls_failure_name(&journey.pair.client.failure), name) != 0) {
        fail_msg("%s: %s", tls_failure_name(&journey.pair.client.failure),
                 journey.pair.client.failure.detail);
    }
    journey_end(&journey);
}

static void host_talks_both_ways(void **state)
{
    struct stage *stage = *state;
    struct journey journey;
    char text[64];
    journey_begin(&journey, stage, stage->client, "-Verify 3 -verify_return_error -tls1_3" ALPN);
    assert_int_equal(journey.pair.client.result, RM_OK);
    assert_string_equal(stream_peer(journey.pair.client.stream)->spiffe_id,
                        "spiffe://td.test/foreign");
    // openssl 3.0 knows no hybrid group, so this went through a HelloRetryRequest.
    assert_string_equal(tls_stream_facts(journey.pair.client.stream)->group, "x25519");
    end_write(&journey.pair.client, "hello from remora\n");
    child_must_say(journey.pair.loop, &journey.child, "hello from remora");
    child_say(&journey.child, "hello from openssl\n");
    assert_int_equal(end_read(&journey.pair, &journey.pair.client, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "hello from openssl\n");
    journey_end(&journey);
}

static void host_refuses_us_by_name(void **state)
{
    struct stage *stage = *state;
    struct tls_context *nobody = pki_context(NULL, stage->trust);
    struct journey journey;
    char text[64];
    journey_begin(&journey, stage, nobody, "-Verify 3 -verify_return_error" ALPN);
    // TLS 1.3: the client is done before the server has judged (wolfssl.md 0.11).
    assert_int_equal(journey.pair.client.result, RM_OK);
    assert_int_equal(end_read(&journey.pair, &journey.pair.client, text, sizeof(text)),
                     RM_ERR_REFUSED_BY_PEER);
    const struct tls_failure *failure = tls_stream_failure(journey.pair.client.stream);
    assert_string_equal(tls_alert_name(failure->alert_received), "certificate_required");
    assert_string_equal(failure->detail,
                        "alert certificate_required: we have no certificate to show");
    journey_end(&journey);
    tls_context_unref(nobody);
}

static void hosts_that_do_not_fit_are_named(void **state)
{
    assert_journey_fails(*state, "-tls1_2" ALPN, "wrong_version");
    assert_journey_fails(*state, "-tls1_3", "alpn_missing");
    assert_journey_fails(*state, "-tls1_3 -alpn http/1.1", "refused_by_peer");
    assert_journey_fails(*state, "-ciphersuites TLS_AES_128_CCM_SHA256" ALPN, "refused_by_peer");
    assert_journey_fails(*state, "-groups P-521" ALPN, "refused_by_peer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(visitor_talks_both_ways),
        cmocka_unit_test(visitor_gets_a_retry_request),
        cmocka_unit_test(each_suite_works),
        cmocka_unit_test(visitor_updates_keys),
        cmocka_unit_test(older_versions_are_refused),
        cmocka_unit_test(visitor_without_certificate_is_refused),
        cmocka_unit_test(visitor_without_alpn_is_refused),
        cmocka_unit_test(nothing_in_common_is_named),
        cmocka_unit_test(host_talks_both_ways),
        cmocka_unit_test(host_refuses_us_by_name),
        cmocka_unit_test(hosts_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
