// SPDX-License-Identifier: GPL-3.0-or-later
#include "service_fixture.h"

#include <stdio.h>

#include "disk_fault.h"

#define NOTHING_43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define UNKNOWN_TOKEN "rmt1.000000000000." NOTHING_43 "." NOTHING_43

static void ask(struct service_fixture *fixture, const struct workload *workload,
                const char *join_token, struct reply *reply)
{
    struct buffer request;
    issue_request(&request, workload, join_token);
    reply_start(fixture, ISSUE_METHOD, buffer_data(&request), buffer_length(&request), reply);
    reply_wait(reply);
    buffer_deinit(&request);
}

static void assert_refused(struct reply *reply, enum rpc_status status, const char *name)
{
    if (reply->status != status || strncmp(reply->text, name, strlen(name)) != 0) {
        fail_msg("%s '%s' instead of %s '%s'", rpc_status_name(reply->status), reply->text,
                 rpc_status_name(status), name);
    }
    assert_int_equal(reply->messages, 0);
    reply_free(reply);
}

static void certificate_and_bundle_come_back(void **state)
{
    struct service_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct reply reply;
    char token[TOKEN_BYTES];
    make_test_token(fixture->attest, token);
    ask(fixture, &workload, token, &reply);
    assert_int_equal(reply.status, RPC_OK);
    assert_int_equal(reply.messages, 1);
    const uint8_t *bytes = buffer_data(&reply.message);
    size_t length = buffer_length(&reply.message);
    assert_int_equal(bytes[0], 0x0a); // certificates, leaf first
    assert_non_null(memmem(bytes, length, TEST_IDENTITY, strlen(TEST_IDENTITY)));
    const struct der *root = authority_root(fixture->attest->ca->authority);
    assert_non_null(memmem(bytes, length, root->bytes, root->length));
    uint64_t issued = 0;
    uint64_t refused = 0;
    identity_service_counts(fixture->service, &issued, &refused);
    assert_int_equal(issued, 1);
    assert_int_equal(refused, 0);
    reply_free(&reply);
    workload_free(&workload);
}

static void refusals_have_their_status(void **state)
{
    struct service_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct workload other = workload_new();
    struct reply reply;
    char token[TOKEN_BYTES];
    make_test_token(fixture->attest, token);
    ask(fixture, &workload, NULL, &reply);
    assert_refused(&reply, RPC_UNAUTHENTICATED, "no_evidence: ");
    ask(fixture, &workload, "nonsense", &reply);
    assert_refused(&reply, RPC_INVALID_ARGUMENT, "token_malformed: ");
    ask(fixture, &workload, UNKNOWN_TOKEN, &reply);
    assert_refused(&reply, RPC_PERMISSION_DENIED, "token_unknown: ");
    disk_fault_fail(DISK_SYNC, 1, 0, 5);
    ask(fixture, &workload, token, &reply);
    disk_fault_clear();
    assert_refused(&reply, RPC_UNAVAILABLE, "store_unavailable: ");
    ask(fixture, &workload, token, &reply);
    assert_int_equal(reply.status, RPC_OK);
    reply_free(&reply);
    ask(fixture, &other, token, &reply);
    assert_refused(&reply, RPC_PERMISSION_DENIED, "token_used: ");
    workload.csr[workload.csr_length - 1] ^= 1;
    ask(fixture, &workload, token, &reply);
    assert_refused(&reply, RPC_INVALID_ARGUMENT, "csr_invalid: ");
    workload_free(&workload);
    workload_free(&other);
}

static void nonsense_is_no_request(void **state)
{
    struct reply reply;
    static const uint8_t nonsense[] = {0xff, 0xff, 0xff};
    reply_start(*state, ISSUE_METHOD, nonsense, sizeof nonsense, &reply);
    reply_wait(&reply);
    assert_refused(&reply, RPC_INVALID_ARGUMENT, "");
    reply_start(*state, ISSUE_METHOD, "", 0, &reply);
    reply_wait(&reply);
    assert_refused(&reply, RPC_UNAUTHENTICATED, "no_evidence");
}

static void caller_is_known_by_its_certificate(void **state)
{
    struct service_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct workload next = workload_new();
    struct reply reply;
    char token[TOKEN_BYTES];
    make_test_token(fixture->attest, token);
    struct grant grant = issue_by_token(fixture->attest, &workload, token);
    service_fixture_disconnect(fixture);
    service_fixture_connect(fixture, grant.peer);
    ask(fixture, &next, NULL, &reply);
    assert_int_equal(reply.status, RPC_OK);
    reply_free(&reply);

    // Revoked in the trust of the day: refused before anything is judged.
    struct trust_builder *builder = trust_builder_new();
    const struct der *root = authority_root(fixture->attest->ca->authority);
    uint8_t root_id[KEY_ID_BYTES];
    assert_int_equal(certificate_key_id(root->bytes, root->length, root_id), RM_OK);
    assert_int_equal(
        trust_builder_add_root(builder, TEST_DOMAIN, root->bytes, root->length, root_id), RM_OK);
    assert_int_equal(trust_builder_withdraw(builder, TRUST_REVOKED_LINEAGE, grant.peer->lineage,
                                            LINEAGE_BYTES, 0),
                     RM_OK);
    struct trust_snapshot *old = fixture->trust;
    fixture->trust = trust_builder_finish(builder);
    ask(fixture, &next, NULL, &reply);
    assert_refused(&reply, RPC_PERMISSION_DENIED, "certificate_revoked: ");
    trust_unref(old);
    grant_free(&grant);
    workload_free(&workload);
    workload_free(&next);
}

// The caller goes while its certificate is being made: it is made, and the token is burnt for its
// key; nothing is freed twice.
static void caller_may_leave(void **state)
{
    struct service_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct reply reply;
    struct buffer request;
    char token[TOKEN_BYTES];
    make_test_token(fixture->attest, token);
    issue_request(&request, &workload, token);
    disk_fault_hold_sync();
    reply_start(fixture, ISSUE_METHOD, buffer_data(&request), buffer_length(&request), &reply);
    disk_fault_wait_held();
    reply_cancel(&reply);
    assert_int_equal(reply.status, RPC_CANCELLED);
    disk_fault_release();
    reply_free(&reply);
    ask(fixture, &workload, token, &reply);
    assert_int_equal(reply.status, RPC_OK);
    reply_free(&reply);
    buffer_deinit(&request);
    workload_free(&workload);
}

static void tell_watchers(struct fixture *base, void *context)
{
    (void)base;
    identity_service_trust_changed(context);
}

static void watcher_gets_the_bundle_now_and_at_each_change(void **state)
{
    struct service_fixture *fixture = *state;
    struct reply reply;
    const struct der *root = authority_root(fixture->attest->ca->authority);
    reply_start(fixture, WATCH_METHOD, "", 0, &reply);
    reply_wait_messages(&reply, 1);
    assert_non_null(memmem(buffer_data(&reply.message), buffer_length(&reply.message), root->bytes,
                           root->length));
    fixture_run(fixture->attest->ca->base, tell_watchers, fixture->service);
    reply_wait_messages(&reply, 2);
    reply_cancel(&reply);
    fixture_run(fixture->attest->ca->base, tell_watchers, fixture->service);
    assert_int_equal(reply.messages, 2);
    reply_free(&reply);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, service_fixture_setup, service_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(certificate_and_bundle_come_back),
        TEST(refusals_have_their_status),
        TEST(nonsense_is_no_request),
        TEST(caller_is_known_by_its_certificate),
        TEST(caller_may_leave),
        TEST(watcher_gets_the_bundle_now_and_at_each_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
