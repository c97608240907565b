// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "pb/pb.h"
#include "records/records.h"
#include "stream/socket.h"

#define CALL_TIMEOUT_MS 60000 // reached only when something is wrong

struct fixture *admin_base(struct admin_fixture *fixture)
{
    return fixture->below->ca->base;
}

// --- Life.

struct step {
    struct admin_fixture *fixture; // borrowed
    enum rm_err result;            // of what was waited for
    size_t done;                   // 1 once answered
};

static void on_ready(void *context, enum rm_err result)
{
    struct step *step = context;
    step->result = result;
    fixture_count(admin_base(step->fixture), &step->done);
}

static void start_registry(struct fixture *base, void *context)
{
    struct step *step = context;
    struct admin_fixture *fixture = step->fixture;
    assert_int_equal(registry_new(base->loop, base->store, TEST_DOMAIN,
                                  authority_trust(fixture->below->ca->authority), on_ready, step,
                                  &fixture->registry),
                     RM_OK);
}

static struct trust_snapshot *trust_of(void *context)
{
    return registry_trust(((struct admin_fixture *)context)->registry);
}

static void start_rest(struct fixture *base, void *context)
{
    struct admin_fixture *fixture = context;
    struct access_options access = {
        .trust_domain = TEST_DOMAIN,
        .admin_group = GROUP_NONE,
        .source = {.trust = trust_of, .context = fixture},
    };
    assert_int_equal(access_new(&access, &fixture->access), RM_OK);
    assert_int_equal(
        push_new(base->loop, base->store, fixture->registry, fixture->access, &fixture->push),
        RM_OK);
    struct admin_api_options options = {
        .loop = base->loop,
        .store = base->store,
        .registry = fixture->registry,
        .push = fixture->push,
        .attest = fixture->below->attest,
        .authority = fixture->below->ca->authority,
        .access = fixture->access,
        .trust_domain = TEST_DOMAIN,
        .address = "127.0.0.1:15010",
        .data_folder = base->folder,
        .started_at_s = 1,
    };
    assert_int_equal(admin_api_new(&options, &fixture->api), RM_OK);
    fixture->server = rpc_server_new(base->loop);
    assert_non_null(fixture->server);
    assert_int_equal(admin_api_add_to(fixture->api, fixture->server), RM_OK);
    assert_true(admin_connect(fixture));
}

int admin_fixture_setup(void **state)
{
    struct admin_fixture *fixture = rm_calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    void *below = NULL;
    attest_fixture_setup(&below);
    fixture->below = below;
    struct step step = {.fixture = fixture};
    fixture_run(admin_base(fixture), start_registry, &step);
    fixture_wait(admin_base(fixture), &step.done, 1);
    assert_int_equal(step.result, RM_OK);
    fixture_run(admin_base(fixture), start_rest, fixture);
    *state = fixture;
    return 0;
}

void admin_fixture_stop(struct admin_fixture *fixture)
{
    rpc_server_free(fixture->server);
    push_free(fixture->push);
    admin_api_free(fixture->api);
    registry_free(fixture->registry);
    access_free(fixture->access);
}

static void on_drained(void *context)
{
    struct step *step = context;
    admin_fixture_stop(step->fixture);
    fixture_count(admin_base(step->fixture), &step->done);
}

static void start_drain(struct fixture *base, void *context)
{
    struct step *step = context;
    (void)base;
    if (step->fixture->client != NULL) {
        rpc_client_abort(step->fixture->client, RM_ERR_CANCELLED);
    }
    rpc_server_drain(step->fixture->server, 0, on_drained, step);
}

int admin_fixture_teardown(void **state)
{
    struct admin_fixture *fixture = *state;
    struct step step = {.fixture = fixture};
    void *below = fixture->below;
    fixture_run(admin_base(fixture), start_drain, &step);
    fixture_wait(admin_base(fixture), &step.done, 1);
    attest_fixture_teardown(&below);
    rm_free(fixture);
    return 0;
}

// --- The client.

static void on_client_end(void *context, enum rm_err reason, const char *detail)
{
    struct admin_fixture *fixture = context;
    (void)reason;
    (void)detail;
    fixture->client = NULL;
    fixture_count(admin_base(fixture), &fixture->ended);
}

bool admin_connect(struct admin_fixture *fixture)
{
    struct loop *loop = admin_base(fixture)->loop;
    struct stream *ours = NULL;
    struct stream *theirs = NULL;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    // Each takes its descriptor in any case.
    enum rm_err result = socket_stream_new(loop, pair[0], &ours);
    enum rm_err other = socket_stream_new(loop, pair[1], &theirs);
    if (result != RM_OK || other != RM_OK) {
        if (result == RM_OK) {
            stream_close(ours, STREAM_CLOSE_ABORT, NULL, NULL);
        }
        if (other == RM_OK) {
            stream_close(theirs, STREAM_CLOSE_ABORT, NULL, NULL);
        }
        return false;
    }
    result = rpc_server_accept(fixture->server, theirs);
    other = rpc_client_new(ours, "test", on_client_end, fixture, &fixture->client);
    return result == RM_OK && other == RM_OK;
}

static void on_message(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct reply *reply = context;
    (void)call;
    uint8_t *grown = realloc(reply->bytes, reply->length + length + 1); // outside fault injection
    assert_non_null(grown);
    memcpy(grown + reply->length, bytes, length);
    reply->bytes = grown;
    reply->length += length;
    reply->messages++;
}

static void on_close(void *context, struct rpc_call *call, enum rpc_status status, const char *text)
{
    struct reply *reply = context;
    (void)call;
    reply->allocations = rm_alloc_count();
    rm_alloc_fail_at(0);
    reply->call = NULL;
    reply->status = status;
    snprintf(reply->text, sizeof reply->text, "%s", text);
    fixture_count(admin_base(reply->fixture), &reply->done);
}

static const struct rpc_client_handler handler = {.on_message = on_message, .on_close = on_close};

bool admin_start(struct reply *reply, const char *method, const ProtobufCMessage *request)
{
    char path[96];
    uint8_t *bytes = NULL;
    size_t length = 0;
    snprintf(path, sizeof path, "/remora.admin.v1.Admin/%s", method);
    if (reply->fixture->client == NULL ||
        pb_pack(request, RPC_MAX_MESSAGE_BYTES, &bytes, &length) != RM_OK) {
        return false;
    }
    bool is_open = rpc_client_call(reply->fixture->client, path, CALL_TIMEOUT_MS, &handler, reply,
                                   &reply->call) == RM_OK;
    if (is_open && (rpc_call_send(reply->call, bytes, length) != RM_OK ||
                    rpc_call_half_close(reply->call) != RM_OK)) {
        rpc_call_cancel(reply->call);
    }
    rm_free(bytes);
    return is_open;
}

struct calling {
    struct reply *reply;             // filled
    const char *method;              // of the service
    const ProtobufCMessage *request; // borrowed
    bool is_started;                 // an answer comes
};

static void do_call(struct fixture *base, void *context)
{
    struct calling *calling = context;
    (void)base;
    if (calling->reply->fixture->client == NULL) {
        assert_true(admin_connect(calling->reply->fixture));
    }
    calling->is_started = admin_start(calling->reply, calling->method, calling->request);
}

// A connection that is about to end takes no call; then there is another one soon.
struct reply admin_call(struct admin_fixture *fixture, const char *method,
                        const ProtobufCMessage *request)
{
    struct reply reply = {.fixture = fixture};
    struct calling calling = {.reply = &reply, .method = method, .request = request};
    while (!calling.is_started) {
        fixture_run(admin_base(fixture), do_call, &calling);
    }
    fixture_wait(admin_base(fixture), &reply.done, 1);
    return reply;
}

void reply_free(struct reply *reply)
{
    free(reply->bytes);
    *reply = (struct reply){0};
}

// --- Requests.

struct reply create_service(struct admin_fixture *fixture, const char *name)
{
    char *identities[] = {(char *)"ns/demo/sa/web"};
    Remora__Admin__V1__Service service = REMORA__ADMIN__V1__SERVICE__INIT;
    Remora__Admin__V1__CreateServiceRequest request =
        REMORA__ADMIN__V1__CREATE_SERVICE_REQUEST__INIT;
    service.name = (char *)(uintptr_t)name;
    service.port = 80;
    service.n_identities = 1;
    service.identities = identities;
    request.service = &service;
    return admin_call(fixture, "CreateService", &request.base);
}

struct look {
    struct admin_fixture *fixture; // borrowed
    const char *name;              // of the service
    bool is_there;                 // the registry knows it
    size_t count;                  // its patterns
};

static void look_at_service(struct fixture *base, void *context)
{
    struct look *look = context;
    const struct service_record *record = NULL;
    uint64_t revision = 0;
    (void)base;
    if (registry_service(look->fixture->registry, look->name, &record, &revision)) {
        look->is_there = true;
        look->count = record->allow.count;
    }
}

size_t allow_count(struct admin_fixture *fixture, const char *name)
{
    struct look look = {.fixture = fixture, .name = name};
    fixture_run(admin_base(fixture), look_at_service, &look);
    return look.count;
}

// --- One request of each method that succeeds.

const char *const admin_test_methods[ADMIN_TEST_METHODS] = {
    "GetStatus",         "CreateService", "UpdateService", "DeleteService",  "ListServices",
    "CreateToken",       "DeleteToken",   "ListTokens",    "ListIdentities", "ListCertificates",
    "RevokeCertificate", "GetBundle",     "Backup"};

enum { CREATE_SERVICE = 1, UPDATE_SERVICE, DELETE_SERVICE, CREATE_TOKEN = 5, DELETE_TOKEN };
enum { LIST_CERTIFICATES = 9, REVOKE_CERTIFICATE };

static char name[48];          // of this request's service or pattern
static char *names[] = {name}; // as a list
static char token_id[16];      // of a token that is there
static char identity[] = "ns/demo/sa/second";
static char *identities[] = {identity};
static uint8_t serial[ISSUE_SERIAL_BYTES]; // of a certificate that is there

static bool make_service(struct admin_fixture *fixture)
{
    struct look look = {.fixture = fixture, .name = name};
    struct reply reply = create_service(fixture, name);
    assert_int_equal(reply.status, RPC_OK);
    reply_free(&reply);
    fixture_run(admin_base(fixture), look_at_service, &look);
    return look.is_there;
}

static void make_token_id(struct admin_fixture *fixture)
{
    char token[TOKEN_BYTES];
    make_test_token(fixture->below, token);
    memcpy(token_id, token + strlen("rmt1."), ATTEST_TOKEN_ID_DIGITS);
}

static void make_certificate(struct admin_fixture *fixture)
{
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture->below, token);
    struct grant grant = issue_by_token(fixture->below, &workload, token);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    memcpy(serial, grant.serial, sizeof serial);
    grant_free(&grant);
    workload_free(&workload);
}

static const ProtobufCMessage *create_service_request(void)
{
    static Remora__Admin__V1__Service service;
    static Remora__Admin__V1__CreateServiceRequest request;
    remora__admin__v1__service__init(&service);
    remora__admin__v1__create_service_request__init(&request);
    service.name = name;
    service.port = 80;
    service.n_identities = service.n_allow = 1;
    service.identities = service.allow = identities;
    request.service = &service;
    return &request.base;
}

static const ProtobufCMessage *update_service_request(void)
{
    static Remora__Admin__V1__UpdateServiceRequest request;
    remora__admin__v1__update_service_request__init(&request);
    request.name = name;
    request.n_add_identities = request.n_add_allow = request.n_add_dns_names = 1;
    request.add_identities = request.add_allow = identities;
    request.add_dns_names = names;
    return &request.base;
}

static const ProtobufCMessage *create_token_request(void)
{
    static Remora__Admin__V1__CreateTokenRequest request;
    static char range[] = "10.0.0.0/8";
    static char *ranges[] = {range};
    remora__admin__v1__create_token_request__init(&request);
    request.identity = identity;
    request.n_services = request.n_address_ranges = 1;
    request.services = names;
    request.address_ranges = ranges;
    return &request.base;
}

static const ProtobufCMessage *named_request(size_t method)
{
    static Remora__Admin__V1__DeleteServiceRequest service;
    static Remora__Admin__V1__DeleteTokenRequest token;
    remora__admin__v1__delete_service_request__init(&service);
    remora__admin__v1__delete_token_request__init(&token);
    service.name = name;
    token.id = token_id;
    return method == DELETE_SERVICE ? &service.base : &token.base;
}

static const ProtobufCMessage *certificate_request(size_t method)
{
    static Remora__Admin__V1__ListCertificatesRequest list;
    static Remora__Admin__V1__RevokeCertificateRequest revocation;
    remora__admin__v1__list_certificates_request__init(&list);
    remora__admin__v1__revoke_certificate_request__init(&revocation);
    list.identity = (char *)"ns/demo/sa/web";
    revocation.serial.data = serial;
    revocation.serial.len = sizeof serial;
    revocation.reason = (char *)"test";
    return method == LIST_CERTIFICATES ? &list.base : &revocation.base;
}

const ProtobufCMessage *prepare_request(struct admin_fixture *fixture, size_t method, size_t number)
{
    static Remora__Admin__V1__GetStatusRequest empty;
    remora__admin__v1__get_status_request__init(&empty);
    snprintf(name, sizeof name, "service%zu", number);
    switch (method) {
    case CREATE_SERVICE:
        return create_service_request();
    case UPDATE_SERVICE:
        return make_service(fixture) ? update_service_request() : NULL;
    case DELETE_SERVICE:
        return make_service(fixture) ? named_request(method) : NULL;
    case CREATE_TOKEN:
        return make_service(fixture) ? create_token_request() : NULL;
    case DELETE_TOKEN:
        make_token_id(fixture);
        return named_request(method);
    case LIST_CERTIFICATES:
    case REVOKE_CERTIFICATE:
        if (method == REVOKE_CERTIFICATE || !fixture->has_certificate) {
            make_certificate(fixture);
            fixture->has_certificate = true;
        }
        return certificate_request(method);
    default:
        return &empty.base; // the others ask for nothing, and all empty messages are alike
    }
}
