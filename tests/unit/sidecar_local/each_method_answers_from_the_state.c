// SPDX-License-Identifier: GPL-3.0-or-later
//
// What each method tells is what the process is, in UTF-8 whatever a peer said; a view comes whole
// in pieces; nothing is told to a request that cannot be read or a method that is not there.
#include "local_fixture.h"

#include "base/log.h"
#include "remora/sidecar/v1/local.pb-c.h"

static void *unpacked(const struct told *told, const ProtobufCMessageDescriptor *type)
{
    assert_int_equal(told->status, RPC_OK);
    void *message = protobuf_c_message_unpack(type, NULL, told->length, told->bytes);
    assert_non_null(message);
    return message;
}

static bool ask_all(void *context)
{
    struct local_world *world = context;
    (void)local_call(world, "GetStatus", NULL, 0);
    (void)local_call(world, "GetView", NULL, 0);
    (void)local_call(world, "ListCertificates", NULL, 0);
    return true;
}

static void assert_status(const struct told *told)
{
    Remora__Sidecar__V1__GetStatusResponse *status =
        unpacked(told, &remora__sidecar__v1__get_status_response__descriptor);
    assert_string_equal(status->identity, LOCAL_OWN_ID);
    assert_string_equal(status->waits_for, "the test?");
    assert_false(status->ready);
    assert_int_equal(status->workers, LOCAL_WORKERS);
    assert_string_equal(status->control->address, "c:1");
    assert_string_equal(status->log_level->level, "info");
    assert_int_equal(status->view->hash.len, 32);
    assert_int_equal(status->view->services, 600);
    assert_int_equal(status->n_bundles, 1);
    assert_string_equal(status->bundles[0]->trust_domain, "td.test");
    assert_int_equal(status->bundles[0]->key_ids[0].len, 32);
    protobuf_c_message_free_unpacked(&status->base, NULL);
}

static void assert_view(const struct told *told)
{
    // 1,200 resources, 256 in a piece, and one before them.
    assert_int_equal(told->message_count, 6);
    Remora__Sidecar__V1__GetViewResponse *view =
        unpacked(told, &remora__sidecar__v1__get_view_response__descriptor);
    assert_int_equal(view->version->endpoints, 600);
    assert_int_equal(view->n_services, 600);
    assert_int_equal(view->n_endpoints, 600);
    assert_int_equal(view->n_bundles, 1);
    for (size_t i = 0; i < 600; i++) {
        assert_string_equal(view->services[i]->identities[0], LOCAL_PEER_ID);
        assert_string_equal(view->endpoints[i]->service, view->services[i]->name);
        assert_string_equal(view->endpoints[i]->instance_id + 1, view->services[i]->name + 1);
    }
    protobuf_c_message_free_unpacked(&view->base, NULL);
}

static void assert_certificates(const struct told *told, const struct tls_identity *identity)
{
    Remora__Sidecar__V1__ListCertificatesResponse *list =
        unpacked(told, &remora__sidecar__v1__list_certificates_response__descriptor);
    assert_int_equal(list->n_certificates, 1);
    const Remora__Sidecar__V1__Certificate *certificate = list->certificates[0];
    assert_string_equal(certificate->identity, LOCAL_OWN_ID);
    assert_string_equal(certificate->last_error, "said by a peer: ?");
    assert_string_equal(certificate->source, "control");
    assert_int_equal(certificate->next_renewal_s, 4711);
    assert_int_equal(certificate->not_after_s, identity->not_after_s);
    assert_int_equal(certificate->serial.len, identity->serial_length);
    protobuf_c_message_free_unpacked(&list->base, NULL);
}

static void state_view_and_certificates(void **state)
{
    struct local_world *world = *state;
    local_set_view(world, 600);
    local_run(world, (const scenario_step_fn[]){step_connect, ask_all, step_all_closed, NULL});
    assert_status(&world->calls[0]);
    assert_view(&world->calls[1]);
    assert_certificates(&world->calls[2], world->identity);
}

static bool set_levels(void *context)
{
    struct local_world *world = context;
    (void)local_call(world, "SetLogLevel",
                     "\x0a\x05"
                     "error\x10\x3c",
                     9); // 60 s
    (void)local_call(world, "SetLogLevel",
                     "\x0a\x04"
                     "loud",
                     6);
    (void)local_call(world, "SetLogLevel",
                     "\x0a\x04"
                     "warn\x10\x81\xa3\x05",
                     10); // a day and 1 s
    return true;
}

static void log_level(void **state)
{
    struct local_world *world = *state;
    local_run(world, (const scenario_step_fn[]){step_connect, set_levels, step_all_closed, NULL});
    Remora__Sidecar__V1__SetLogLevelResponse *answer =
        unpacked(&world->calls[0], &remora__sidecar__v1__set_log_level_response__descriptor);
    assert_string_equal(answer->before, "info");
    assert_string_equal(answer->log_level->level, "error");
    assert_string_equal(answer->log_level->configured, "info");
    assert_true(answer->log_level->falls_back_at_s > 0);
    protobuf_c_message_free_unpacked(&answer->base, NULL);
    assert_int_equal(log_level_get(), LOG_LEVEL_ERROR);
    assert_int_equal(world->calls[1].status, RPC_INVALID_ARGUMENT);
    assert_int_equal(world->calls[2].status, RPC_INVALID_ARGUMENT);
    assert_non_null(strstr(world->calls[2].text, "24 hours"));
}

static bool ask_wrongly(void *context)
{
    struct local_world *world = context;
    (void)local_call(world, "NoSuchMethod", NULL, 0);
    (void)local_call(world, "SetLogLevel", "\x0a\x7f", 2); // a text that is cut
    (void)local_call(world, "Renew",
                     "\x0a\x05"
                     "other",
                     7);
    return true;
}

static void refusals(void **state)
{
    struct local_world *world = *state;
    local_run(world, (const scenario_step_fn[]){step_connect, ask_wrongly, step_all_closed, NULL});
    assert_int_equal(world->calls[0].status, RPC_UNIMPLEMENTED);
    assert_int_equal(world->calls[1].status, RPC_INVALID_ARGUMENT);
    assert_int_equal(world->calls[2].status, RPC_NOT_FOUND);
    assert_non_null(strstr(world->calls[2].text, "'other'"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, local_setup, local_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(state_view_and_certificates),
        TEST(log_level),
        TEST(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
