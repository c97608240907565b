// SPDX-License-Identifier: GPL-3.0-or-later
//
// A probe looks at any server to the end, and says what a real connection would have refused it
// for; what the server says after the handshake is heard, too.
#include "tls_fixture.h"

#include <string.h>

#include "base/alloc.h"
#include "tls/probe_internal.h"

#define TIMEOUT_MS 30

struct look {
    struct loop *loop;       // owned
    struct end server;       // what is looked at
    struct stream *far;      // the server's lower end, where it is no TLS
    struct tls_probe *probe; // NULL once it is done
    bool is_done;            // on_done came
    struct tls_probe_report report;
};

static void look_on_done(void *context, const struct tls_probe_report *report)
{
    struct look *look = context;
    assert_false(look->is_done);
    look->is_done = true;
    look->probe = NULL;
    look->report = *report;
}

// The server ends when it was asked to, as servers do.
static bool look_is_done(void *context)
{
    struct look *look = context;
    uint8_t bytes[64];
    size_t length = 0;
    if (look->server.stream != NULL && look->server.is_done && look->server.result == RM_OK &&
        stream_read(look->server.stream, bytes, sizeof(bytes), &length) == RM_ERR_EOF) {
        end_close(&look->server, STREAM_CLOSE_ORDERLY);
    }
    return look->is_done;
}

static enum rm_err look_start(struct look *look, struct tls_context *server,
                              const struct tls_probe_options *options)
{
    struct stream *near = NULL;
    memset(look, 0, sizeof(*look));
    look->loop = loop_new("test");
    assert_int_equal(memory_stream_pair(look->loop, PKI_MEMORY_BYTES, &near, &look->far), RM_OK);
    if (server != NULL) {
        end_accept(&look->server, look->far, server);
        look->far = NULL;
    }
    return tls_probe_start(near, options, look_on_done, look, &look->probe);
}

static void look_end(struct look *look)
{
    if (look->server.stream != NULL) {
        end_close(&look->server, STREAM_CLOSE_ABORT);
    }
    if (look->far != NULL) {
        stream_close(look->far, STREAM_CLOSE_ABORT, NULL, NULL);
    }
    world_end(look->loop);
}

// The report's chain is borrowed and gone by now.
static struct tls_probe_report look_at(struct tls_context *server,
                                       const struct tls_probe_options *options)
{
    struct look look;
    assert_int_equal(look_start(&look, server, options), RM_OK);
    world_until(look.loop, look_is_done, &look);
    look_end(&look);
    return look.report;
}

static const char *const tunnel_alpn[] = {"remora/1"};

static struct tls_probe_options options_of(const struct world *world)
{
    return (struct tls_probe_options){.identity = world->client_identity,
                                      .trust = world->trust,
                                      .alpn = tunnel_alpn,
                                      .alpn_count = 1};
}

static void good_server_is_described(void **state)
{
    const struct world *world = *state;
    char name[TLS_PROBE_NAME_BYTES];
    struct tls_probe_options options = options_of(world);
    struct tls_probe_report report = look_at(world->server, &options);
    assert_int_equal(report.result, RM_OK);
    assert_int_equal(report.judgement.fault, FAULT_OK);
    assert_int_equal(report.failure.fault, FAULT_OK);
    assert_string_equal(report.alpn, "remora/1");
    assert_int_equal(report.chain_count, 2);
    assert_true(report.hello.is_there);
    assert_false(report.hello.has_retried);
    tls_probe_version_name(report.hello.version, name);
    assert_string_equal(name, "TLSv1.3");
    tls_probe_group_name(report.hello.group, name);
    assert_string_equal(name, "X25519MLKEM768");
    tls_probe_suite_name(report.hello.suite, name);
    assert_memory_equal(name, "TLS_", 4);
    assert_true(report.is_certificate_wanted);
    assert_true(report.is_confirmed);
    assert_false(report.is_refused);
}

static void untrusted_chain_is_judged_and_the_rest_is_seen(void **state)
{
    const struct world *world = *state;
    struct pki_authority stranger;
    struct pki_recipe recipe = {.spiffe_id = WORLD_SERVER_ID};
    pki_authority_init_named(&stranger, "td.test", "another root", "another middle");
    struct tls_identity *identity = pki_identity(&stranger, &recipe);
    struct tls_context *server = pki_context(identity, world->trust);
    struct tls_probe_options options = options_of(world);
    struct tls_probe_report report = look_at(server, &options);
    assert_int_equal(report.result, RM_OK);
    assert_string_equal(tls_failure_name(&report.judgement), "unknown_issuer");
    assert_int_equal(report.chain_count, 2);
    assert_string_equal(report.alpn, "remora/1");
    assert_true(report.is_confirmed);
    tls_context_unref(server);
    tls_identity_unref(identity);
    pki_authority_deinit(&stranger);
}

static void expired_and_wrong_identities_are_judged(void **state)
{
    const struct world *world = *state;
    static const char *const expected[] = {"spiffe://td.test/ns/a/sa/other"};
    struct pki_recipe recipe = {
        .spiffe_id = WORLD_SERVER_ID, .not_before_s = 1000000000, .not_after_s = 1000003600};
    struct tls_identity *identity = pki_identity(&world->authority, &recipe);
    struct tls_context *server = pki_context(identity, world->trust);
    struct tls_probe_options options = options_of(world);
    struct tls_probe_report report = look_at(server, &options);
    assert_string_equal(tls_failure_name(&report.judgement), "certificate_expired");
    assert_int_equal(report.result, RM_OK);
    options.expected_ids = expected;
    options.expected_count = 1;
    report = look_at(world->server, &options);
    assert_string_equal(tls_failure_name(&report.judgement), "wrong_identity");
    assert_non_null(strstr(report.judgement.detail, "wanted spiffe://td.test/ns/a/sa/other"));
    assert_non_null(strstr(report.judgement.detail, "found " WORLD_SERVER_ID));
    tls_context_unref(server);
    tls_identity_unref(identity);
}

static void refusal_after_the_handshake_is_heard(void **state)
{
    const struct world *world = *state;
    struct pki_authority stranger;
    struct pki_recipe recipe = {.spiffe_id = WORLD_CLIENT_ID};
    pki_authority_init_named(&stranger, "td.test", "another root", "another middle");
    struct tls_identity *identity = pki_identity(&stranger, &recipe);
    struct tls_probe_options options = options_of(world);
    options.identity = identity;
    struct tls_probe_report report = look_at(world->server, &options);
    assert_int_equal(report.result, RM_OK);
    assert_true(report.is_refused);
    assert_int_equal(report.failure.fault, FAULT_REFUSED_BY_PEER);
    assert_string_equal(tls_alert_name(report.failure.alert_received), "unknown_ca");
    options.identity = NULL;
    report = look_at(world->server, &options);
    assert_true(report.is_refused);
    assert_string_equal(tls_alert_name(report.failure.alert_received), "certificate_required");
    tls_identity_unref(identity);
    pki_authority_deinit(&stranger);
}

static void names_that_do_not_fit_are_heard(void **state)
{
    const struct world *world = *state;
    static const char *const http[] = {"http/1.1"};
    struct tls_probe_options options = options_of(world);
    options.alpn = http;
    struct tls_probe_report report = look_at(world->server, &options);
    assert_int_not_equal(report.result, RM_OK);
    assert_string_equal(tls_alert_name(report.failure.alert_received), "no_application_protocol");
    assert_int_equal(report.chain_count, 0);
}

static void tickets_are_counted(void **state)
{
    const struct world *world = *state;
    struct tls_spiffe_profile profile = pki_profile(world->server_identity, world->trust);
    struct tls_context *server = NULL;
    profile.ticket_keys = tls_ticket_keys_new();
    assert_int_equal(tls_context_new_spiffe(&profile, &server, NULL), RM_OK);
    struct tls_probe_options options = options_of(world);
    struct tls_probe_report report = look_at(server, &options);
    assert_int_equal(report.ticket_count, 1);
    assert_true(report.is_confirmed);
    tls_ticket_keys_unref(profile.ticket_keys);
    tls_context_unref(server);
}

// `says`: what a server that is none says.
static struct tls_probe_report look_at_bytes(const struct world *world, const char *says,
                                             size_t length, bool ends)
{
    struct look look;
    size_t written = 0;
    struct tls_probe_options options = options_of(world);
    options.timeout_ms = TIMEOUT_MS;
    assert_int_equal(look_start(&look, NULL, &options), RM_OK);
    if (length > 0) {
        assert_int_equal(stream_write_bytes(look.far, says, length, &written), RM_OK);
    }
    if (ends) {
        assert_int_equal(stream_finish(look.far), RM_OK);
    }
    world_until(look.loop, look_is_done, &look);
    look_end(&look);
    return look.report;
}

static void what_is_no_tls_server_is_named(void **state)
{
    const struct world *world = *state;
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct tls_probe_report report = look_at_bytes(world, http, sizeof(http) - 1, true);
    assert_string_equal(tls_failure_name(&report.failure), "not_tls");
    assert_non_null(strstr(report.failure.detail, "plain HTTP"));
    report = look_at_bytes(world, "", 0, true);
    assert_string_equal(tls_failure_name(&report.failure), "closed");
    report = look_at_bytes(world, "", 0, false);
    assert_string_equal(tls_failure_name(&report.failure), "timeout");
    assert_non_null(strstr(report.failure.detail, "not one byte"));
    report = look_at_bytes(world, "\x15\x03\x03\x00\x02\x02\x46", 7, false);
    assert_string_equal(tls_failure_name(&report.failure), "wrong_version");
}

static void hello_is_read_only_as_far_as_it_goes(void **state)
{
    uint8_t bytes[] = "\x16\x03\x03\x00\x38\x02\x00\x00\x34\x03\x03"
                      "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
                      "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"
                      "\x00\x13\x02\x00\x00\x0c\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x02\x00\x17";
    struct tls_probe_hello hello;
    (void)state;
    for (size_t length = 0; length < sizeof(bytes) - 1; length++) {
        uint8_t *exact = rm_memdup(bytes, length); // so that a sanitizer sees its end
        tls_probe_read_hello(exact, length, &hello);
        assert_false(hello.is_there);
        assert_false(hello.has_retried);
        rm_free(exact);
    }
    tls_probe_read_hello(bytes, sizeof(bytes) - 1, &hello);
    assert_true(hello.has_retried);
    assert_false(hello.is_there);
    assert_int_equal(hello.version, 0x0304);
    assert_int_equal(hello.suite, 0x1302);
    assert_int_equal(hello.group, 0x0017);
}

static void date_is_read_from_http_alone(void **state)
{
    (void)state;
    assert_int_equal(
        tls_probe_read_date("HTTP/1.1 200 OK\r\nX: y\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        784111777);
    assert_int_equal(tls_probe_read_date("HTTP/1.1 200 OK\r\nDate: tomorrow\r\n"), 0);
    assert_int_equal(tls_probe_read_date("HTTP/1.1 200 OK\r\n\r\n"), 0);
    assert_int_equal(tls_probe_read_date("SMTP\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 0);
}

static void name_that_no_hello_carries_is_refused(void **state)
{
    const struct world *world = *state;
    static const char *const names[] = {"", "a b", "a\r\nX: y", "a/b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct look look;
        struct tls_probe_options options = options_of(world);
        options.sni = names[i];
        assert_int_equal(look_start(&look, NULL, &options), RM_ERR_CONFIG);
        look_end(&look);
        assert_false(look.is_done);
    }
}

static void cancelled_probe_is_silent(void **state)
{
    const struct world *world = *state;
    for (unsigned int turns = 0; turns < 8; turns++) {
        struct look look;
        struct tls_probe_options options = options_of(world);
        assert_int_equal(look_start(&look, world->server, &options), RM_OK);
        world_turns(look.loop, turns);
        if (look.probe != NULL) {
            tls_probe_cancel(look.probe);
            look.is_done = true; // a call now would be the second
        }
        look_end(&look);
    }
}

static void failed_allocation_fails_one_probe(void **state)
{
    const struct world *world = *state;
    bool was_whole = false;
    for (uint64_t n = 1; n < 4000 && !was_whole; n += n < 60 ? 1 : 61) {
        struct look look;
        struct tls_probe_options options = options_of(world);
        struct stream *near = NULL;
        memset(&look, 0, sizeof(look));
        look.loop = loop_new("test");
        assert_int_equal(memory_stream_pair(look.loop, PKI_MEMORY_BYTES, &near, &look.far), RM_OK);
        options.timeout_ms = TIMEOUT_MS;
        end_accept(&look.server, look.far, world->server);
        look.far = NULL;
        rm_alloc_fail_at(n);
        enum rm_err result = tls_probe_start(near, &options, look_on_done, &look, &look.probe);
        if (result == RM_OK) {
            world_until(look.loop, look_is_done, &look);
        } else {
            assert_true(result == RM_ERR_NO_MEMORY || result == RM_ERR_CRYPTO);
        }
        was_whole = rm_alloc_count() < n;
        rm_alloc_fail_at(0);
        look_end(&look);
    }
    assert_true(was_whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_server_is_described),
        cmocka_unit_test(untrusted_chain_is_judged_and_the_rest_is_seen),
        cmocka_unit_test(expired_and_wrong_identities_are_judged),
        cmocka_unit_test(refusal_after_the_handshake_is_heard),
        cmocka_unit_test(names_that_do_not_fit_are_heard),
        cmocka_unit_test(tickets_are_counted),
        cmocka_unit_test(what_is_no_tls_server_is_named),
        cmocka_unit_test(hello_is_read_only_as_far_as_it_goes),
        cmocka_unit_test(date_is_read_from_http_alone),
        cmocka_unit_test(name_that_no_hello_carries_is_refused),
        cmocka_unit_test(cancelled_probe_is_silent),
        cmocka_unit_test(failed_allocation_fails_one_probe),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
