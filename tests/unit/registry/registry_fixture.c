// SPDX-License-Identifier: GPL-3.0-or-later
#include "registry_fixture.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "audit/alarms.h"
#include "base/alloc.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "crypto/issue.h"
#include "crypto/key.h"
#include "records/records_wire.h"
#include "records/transaction.h"

#define PATIENCE_S 60 // a condition that never comes true fails the test

const uint8_t *lineage(unsigned number)
{
    static uint8_t lineages[256][LINEAGE_BYTES];
    uint8_t *one = lineages[number % 256];
    memset(one, 0x11, LINEAGE_BYTES);
    one[LINEAGE_BYTES - 1] = (uint8_t)number;
    return one;
}

// --- Life.

static void make_trust(struct registry_fixture *fixture)
{
    struct private_key *key = NULL;
    uint8_t *der = NULL;
    size_t length = 0;
    const struct authority_request request = {.trust_domain = TD,
                                              .common_name = "test root",
                                              .not_before_s = 1000000000,
                                              .not_after_s = 4000000000,
                                              .serial = {0x10, 1}};
    assert_int_equal(key_generate(&key), RM_OK);
    assert_int_equal(issue_root(key, &request, &der, &length), RM_OK);
    assert_int_equal(certificate_key_id(der, length, fixture->root_key_id), RM_OK);
    struct trust_builder *builder = trust_builder_new();
    assert_int_equal(trust_builder_add_root(builder, TD, der, length, fixture->root_key_id), RM_OK);
    fixture->trust = trust_builder_finish(builder);
    assert_non_null(fixture->trust);
    rm_free(der);
    key_unref(key);
}

struct start {
    struct registry_fixture *fixture; // borrowed
    enum rm_err result;               // of loading
    size_t done;                      // 1 once loaded
};

static void on_ready(void *context, enum rm_err result)
{
    struct start *start = context;
    start->result = result;
    fixture_count(start->fixture->base, &start->done);
}

static void on_change(void *context)
{
    ((struct registry_fixture *)context)->changes++;
}

static void do_start(struct fixture *base, void *context)
{
    struct start *start = context;
    struct registry_fixture *fixture = start->fixture;
    assert_int_equal(registry_new(base->loop, base->store, TD, fixture->trust, on_ready, start,
                                  &fixture->registry),
                     RM_OK);
    assert_int_equal(registry_on_change(fixture->registry, on_change, fixture), RM_OK);
}

void registry_start(struct registry_fixture *fixture)
{
    struct start start = {.fixture = fixture};
    fixture_run(fixture->base, do_start, &start);
    fixture_wait(fixture->base, &start.done, 1);
    assert_int_equal(start.result, RM_OK);
}

static void do_stop(struct fixture *base, void *context)
{
    struct registry_fixture *fixture = context;
    (void)base;
    registry_free(fixture->registry);
    fixture->registry = NULL;
}

void registry_stop(struct registry_fixture *fixture)
{
    fixture_run(fixture->base, do_stop, fixture);
}

struct registry_fixture *registry_fixture_new(void)
{
    struct registry_fixture *fixture = rm_calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    assert_int_equal(crypto_init(NULL), RM_OK);
    make_trust(fixture);
    fixture->base = fixture_new();
    fixture_open(fixture->base);
    disk_fault_skip_syncs();
    registry_start(fixture);
    return fixture;
}

void registry_fixture_free(struct registry_fixture *fixture)
{
    disk_fault_clear();
    if (fixture->registry != NULL) {
        registry_stop(fixture);
    }
    fixture_free(fixture->base);
    trust_unref(fixture->trust);
    rm_free(fixture);
    for (enum alarm_kind kind = ALARM_LINEAGE_FORKED; kind < ALARM_KIND_COUNT; kind++) {
        alarms_clear(kind);
    }
    crypto_deinit();
}

int registry_fixture_setup(void **state)
{
    *state = registry_fixture_new();
    return 0;
}

int registry_fixture_teardown(void **state)
{
    registry_fixture_free(*state);
    return 0;
}

// --- Waiting.

struct question {
    struct registry_fixture *fixture; // borrowed
    fixture_condition condition;      // asked
    const void *context;              // for it
    bool answer;                      // what it said
};

static void do_ask(struct fixture *base, void *context)
{
    struct question *question = context;
    (void)base;
    question->answer = question->condition(question->fixture, question->context);
}

void wait_until(struct registry_fixture *fixture, fixture_condition condition, const void *context)
{
    struct question question = {fixture, condition, context, false};
    time_t end = time(NULL) + PATIENCE_S;
    do {
        fixture_run(fixture->base, do_ask, &question);
        if (time(NULL) > end) {
            fail_msg("a condition never came true");
        }
        sched_yield();
    } while (!question.answer);
}

static void do_jump(struct fixture *base, void *context)
{
    fake_time_jump(base->loop, *(const uint64_t *)context);
}

void jump_only(struct registry_fixture *fixture, uint64_t ms)
{
    fixture_run(fixture->base, do_jump, &ms);
}

void jump(struct registry_fixture *fixture, uint64_t ms)
{
    jump_only(fixture, ms);
    // Two answers of the store later the timers that became due have expired, and what they asked
    // of the store has been done.
    (void)fixture_revision(fixture->base);
    (void)count_stored(fixture, "none");
    (void)count_stored(fixture, "none");
}

// --- Deeds.

static char sentence[RM_ERROR_MESSAGE_BYTES];

const char *last_sentence(void)
{
    return sentence;
}

struct deed {
    struct registry_fixture *fixture; // borrowed
    const char *name;
    const struct registry_service *service;
    const struct registry_endpoint *endpoint;
    struct transaction *transaction;
    uint64_t revision;
    enum rm_err result; // answered
    size_t done;        // 1 once answered
};

static void deed_finish(struct deed *deed, enum rm_err result, const struct rm_error *error)
{
    deed->result = result;
    snprintf(sentence, sizeof sentence, "%s", rm_error_message(error));
    fixture_count(deed->fixture->base, &deed->done);
}

static void on_done(void *context, enum rm_err result, const struct rm_error *error)
{
    deed_finish(context, result, error);
}

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct rm_error error = {0};
    (void)revision;
    deed_finish(context, result, &error);
}

static enum rm_err do_deed(struct registry_fixture *fixture, fixture_fn call, struct deed *deed)
{
    deed->fixture = fixture;
    fixture_run(fixture->base, call, deed);
    fixture_wait(fixture->base, &deed->done, 1);
    return deed->result;
}

static void do_put(struct fixture *base, void *context)
{
    struct deed *deed = context;
    struct rm_error error = {0};
    (void)base;
    enum rm_err result = registry_put_service(deed->fixture->registry, deed->service,
                                              deed->revision, "uid 0", on_done, deed, &error);
    if (result != RM_OK) {
        deed_finish(deed, result, &error);
    }
}

static size_t length_of(const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    return count;
}

enum rm_err put_service(struct registry_fixture *fixture, const char *name,
                        const char *const *identities, const char *const *allow, uint64_t revision)
{
    const struct registry_service service = {.name = name,
                                             .port = 80,
                                             .identities = identities,
                                             .identity_count = length_of(identities),
                                             .allow = allow,
                                             .allow_count = length_of(allow)};
    struct deed deed = {.service = &service, .revision = revision};
    return do_deed(fixture, do_put, &deed);
}

static void do_find(struct fixture *base, void *context)
{
    struct deed *deed = context;
    const struct service_record *record = NULL;
    (void)base;
    (void)registry_service(deed->fixture->registry, deed->name, &record, &deed->revision);
}

void set_service(struct registry_fixture *fixture, const char *name, const char *const *identities,
                 const char *const *allow)
{
    struct deed found = {.fixture = fixture, .name = name};
    fixture_run(fixture->base, do_find, &found);
    assert_int_equal(put_service(fixture, name, identities, allow, found.revision), RM_OK);
}

static void do_delete(struct fixture *base, void *context)
{
    struct deed *deed = context;
    struct rm_error error = {0};
    (void)base;
    enum rm_err result =
        registry_delete_service(deed->fixture->registry, deed->name, "uid 0", on_done, deed);
    if (result != RM_OK) {
        deed_finish(deed, result, &error);
    }
}

enum rm_err delete_service(struct registry_fixture *fixture, const char *name)
{
    struct deed deed = {.name = name};
    return do_deed(fixture, do_delete, &deed);
}

static void do_commit(struct fixture *base, void *context)
{
    struct deed *deed = context;
    assert_int_equal(transaction_commit(deed->transaction, base->store, on_commit, deed), RM_OK);
}

void withdraw(struct registry_fixture *fixture, enum trust_withdrawal_kind kind,
              const uint8_t subject[LINEAGE_BYTES])
{
    struct transaction transaction;
    struct deed deed = {.transaction = &transaction};
    const struct withdrawal_record record = {
        .kind = kind,
        .subject = {(uint8_t *)(uintptr_t)subject, LINEAGE_BYTES},
        .expires_s = 4000000000,
        .reason = "test",
    };
    transaction_init(&transaction);
    transaction_put_withdrawal(&transaction, &record);
    assert_int_equal(do_deed(fixture, do_commit, &deed), RM_OK);
}

void put_lineage(struct registry_fixture *fixture, const uint8_t id[LINEAGE_BYTES],
                 const char *identity, const char *const *services, const char *const *ranges)
{
    struct transaction transaction;
    struct deed deed = {.transaction = &transaction};
    const struct lineage_record record = {
        .identity = (char *)(uintptr_t)identity,
        .services = {(char **)(uintptr_t)services, length_of(services)},
        .address_ranges = {(char **)(uintptr_t)ranges, length_of(ranges)},
        .evidence = "test",
    };
    transaction_init(&transaction);
    transaction_put_lineage(&transaction, id, &record);
    assert_int_equal(do_deed(fixture, do_commit, &deed), RM_OK);
}

// --- Endpoints.

struct registry_endpoint endpoint_of(unsigned number, const char *service, const char *instance_id,
                                     const char *address)
{
    return (struct registry_endpoint){.service = service,
                                      .instance_id = instance_id,
                                      .identity = WEB_ID,
                                      .lineage = lineage(number),
                                      .address = address,
                                      .zone = ""};
}

static void do_register(struct fixture *base, void *context)
{
    struct deed *deed = context;
    struct rm_error error = {0};
    (void)base;
    enum rm_err result = registry_register(deed->fixture->registry, deed->endpoint, on_done, deed);
    if (result != RM_OK) {
        deed_finish(deed, result, &error);
    }
}

enum rm_err register_one(struct registry_fixture *fixture, const struct registry_endpoint *endpoint)
{
    struct deed deed = {.endpoint = endpoint};
    return do_deed(fixture, do_register, &deed);
}

struct leave {
    struct registry_fixture *fixture; // borrowed
    const uint8_t *lineage;
    const char *instance_id;
    uint32_t grace_ms;
};

static void do_unregister(struct fixture *base, void *context)
{
    const struct leave *leave = context;
    (void)base;
    registry_unregister(leave->fixture->registry, leave->lineage, leave->instance_id,
                        leave->grace_ms);
}

void unregister(struct registry_fixture *fixture, unsigned number, const char *instance_id,
                uint32_t grace_ms)
{
    struct leave leave = {fixture, lineage(number), instance_id, grace_ms};
    fixture_run(fixture->base, do_unregister, &leave);
}

struct count_call {
    struct registry_fixture *fixture; // borrowed
    const char *service;
    size_t count;
};

static void do_count(struct fixture *base, void *context)
{
    struct count_call *call = context;
    size_t first = 0;
    (void)base;
    mesh_view_endpoints(registry_view(call->fixture->registry), call->service, &first,
                        &call->count);
}

size_t endpoint_count(struct registry_fixture *fixture, const char *service)
{
    struct count_call call = {fixture, service, 0};
    fixture_run(fixture->base, do_count, &call);
    return call.count;
}

static bool has_count(struct registry_fixture *fixture, const void *context)
{
    const struct count_call *call = context;
    size_t first = 0;
    size_t count = 0;
    mesh_view_endpoints(registry_view(fixture->registry), call->service, &first, &count);
    return count == call->count;
}

void wait_endpoints(struct registry_fixture *fixture, const char *service, size_t count)
{
    const struct count_call call = {fixture, service, count};
    wait_until(fixture, has_count, &call);
}

struct address_call {
    struct registry_fixture *fixture; // borrowed
    const char *key;
    char address[128];
};

static void do_find_address(struct fixture *base, void *context)
{
    struct address_call *call = context;
    const struct mesh_resource *resource =
        mesh_view_find(registry_view(call->fixture->registry), MESH_ENDPOINT, call->key);
    (void)base;
    snprintf(call->address, sizeof call->address, "%s",
             resource != NULL ? resource->of.endpoint.address : "");
}

const char *address_in_view(struct registry_fixture *fixture, const char *key)
{
    static struct address_call call;
    call = (struct address_call){.fixture = fixture, .key = key};
    fixture_run(fixture->base, do_find_address, &call);
    return call.address;
}

size_t count_stored(struct registry_fixture *fixture, const char *prefix)
{
    struct answer answer = {0};
    fixture_read_prefix(fixture->base, prefix, NULL, 0, &answer);
    assert_int_equal(answer.result, RM_OK);
    size_t count = answer.count;
    answer_free(&answer);
    return count;
}

void wait_stored(struct registry_fixture *fixture, const char *prefix, size_t count)
{
    time_t end = time(NULL) + PATIENCE_S;
    while (count_stored(fixture, prefix) != count) {
        if (time(NULL) > end) {
            fail_msg("there were never %zu of %s", count, prefix);
        }
        sched_yield();
    }
}
