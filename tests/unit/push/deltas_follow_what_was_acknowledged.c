// SPDX-License-Identifier: GPL-3.0-or-later
//
// Full once, then what changed, one in flight, each answered by its version and hash; resumed where
// that is possible.
#include "push_fixture.h"

#include "push/push_internal.h"

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, push_fixture_setup, push_fixture_teardown)

static struct sidecar *caller(struct push_fixture *fixture, const struct mesh_view *resume)
{
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    if (resume != NULL) {
        mesh_view_unref(sidecar->view);
        sidecar->view = mesh_view_ref((struct mesh_view *)(uintptr_t)resume);
    }
    sidecar_hello(sidecar, &(struct hello){.calls = LIST("api", "web"), .resume = resume});
    wait_responses(sidecar, 1);
    return sidecar;
}

static struct push_fixture *with_web(void **state)
{
    struct push_fixture *fixture = *state;
    set_service(fixture->mesh, "web", LIST(WEB_ID), NULL);
    return fixture;
}

static void changes_of_one_scope_come_alone(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = caller(fixture, NULL);
    set_service(fixture->mesh, "other", LIST(WEB_ID), NULL); // does not concern it
    set_service(fixture->mesh, "api", LIST(WEB_ID), NULL);
    wait_has(sidecar, MESH_SERVICE, "api");
    assert_int_equal(sidecar->full_count, 1);
    assert_int_equal(sidecar->put_count, 1);
    assert_int_equal(delete_service(fixture->mesh, "api"), RM_OK);
    wait_lacks(sidecar, MESH_SERVICE, "api");
    assert_int_equal(sidecar->removal_count, 1);
    assert_int_equal(sidecar->full_count, 1);
    wait_in_step(sidecar);
    sidecar_free(sidecar);
}

static void one_delta_is_in_flight(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_silent = true;
    sidecar_hello(sidecar, &(struct hello){.calls = LIST("*")});
    wait_responses(sidecar, 1);
    set_service(fixture->mesh, "a", LIST(WEB_ID), NULL);
    set_service(fixture->mesh, "b", LIST(WEB_ID), NULL);
    jump(fixture->mesh, PUSH_PACE_MS + 1);
    set_service(fixture->mesh, "c", LIST(WEB_ID), NULL);
    assert_int_equal(sidecar->responses, 1);
    sidecar->is_silent = false;
    sidecar_ack(sidecar);
    wait_responses(sidecar, 2);
    assert_int_equal(sidecar->put_count, 3); // gathered meanwhile
    sidecar_free(sidecar);
}

static void silent_sidecar_is_cut_off(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_silent = true;
    sidecar_hello(sidecar, &(struct hello){.calls = LIST("*")});
    wait_responses(sidecar, 1);
    jump(fixture->mesh, PUSH_ACK_TIMEOUT_MS + 1);
    wait_ended(sidecar, RPC_DEADLINE_EXCEEDED, "not acknowledged");
    sidecar_free(sidecar);
}

// When the loop's time was at the last message to the only sidecar.
struct sending {
    struct push_fixture *fixture;
    uint64_t sent_ms;
};

static void do_read_sending(struct fixture *base, void *context)
{
    struct sending *sending = context;
    (void)base;
    sending->sent_ms =
        list_entry(list_first(&sending->fixture->push->sessions), struct session, node)->sent_ms;
}

static uint64_t sent_ms(struct push_fixture *fixture)
{
    struct sending sending = {fixture, 0};
    fixture_run(fixture->mesh->base, do_read_sending, &sending);
    return sending.sent_ms;
}

static void quiet_times_have_heartbeats(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = caller(fixture, NULL);
    wait_in_step(sidecar);
    uint64_t before_ms = sent_ms(fixture);
    jump(fixture->mesh, PUSH_HEARTBEAT_MS - 5000);
    set_service(fixture->mesh, "other", LIST(WEB_ID), NULL); // must not put it off
    wait_in_step(sidecar);                                   // it was looked at
    jump(fixture->mesh, 5001);
    wait_responses(sidecar, 2);
    assert_true(sent_ms(fixture) - before_ms < PUSH_HEARTBEAT_MS * 3 / 2);
    assert_int_equal(sidecar->put_count, 0);
    assert_int_equal(sidecar->full_count, 1);
    wait_in_step(sidecar);
    sidecar_free(sidecar);
}

static void resumed_view_gets_only_what_changed(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *first = caller(fixture, NULL);
    wait_in_step(first);
    sidecar_cut(first);
    wait_sessions(fixture, 0);
    set_service(fixture->mesh, "api", LIST(WEB_ID), NULL);
    assert_int_equal(delete_service(fixture->mesh, "web"), RM_OK);
    struct sidecar *second = caller(fixture, first->view);
    assert_int_equal(second->full_count, 0);
    assert_int_equal(second->put_count, 1);
    assert_int_equal(second->removal_count, 1);
    wait_in_step(second); // and the hashes agree
    assert_int_equal(second->responses, 1);
    // Once more, with nothing new: an empty delta says so.
    struct sidecar *third = caller(fixture, second->view);
    assert_int_equal(third->put_count + third->removal_count + third->full_count, 0);
    sidecar_free(first);
    sidecar_free(second);
    sidecar_free(third);
}

static void resumed_view_of_another_scope_becomes_right(void **state)
{
    struct push_fixture *fixture = with_web(state);
    set_service(fixture->mesh, "old", LIST(WEB_ID), NULL);
    struct sidecar *first =
        sidecar_start(fixture, 2, CACHE_ID, &(struct hello){.calls = LIST("old")});
    struct sidecar *second = caller(fixture, first->view);
    wait_has(second, MESH_SERVICE, "web");
    wait_lacks(second, MESH_SERVICE, "old");
    wait_in_step(second);
    assert_int_equal(second->full_count, 1);
    sidecar_free(first);
    sidecar_free(second);
}

static void view_of_another_store_is_replaced(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct mesh_delta delta = {.is_full = true, .version = {.store_id = "elsewhere", .number = 1}};
    struct mesh_view *empty = mesh_view_empty();
    struct mesh_view *foreign = NULL;
    assert_int_equal(mesh_view_apply(empty, &delta, &foreign, NULL), RM_OK);
    struct sidecar *sidecar = caller(fixture, foreign);
    assert_int_equal(sidecar->full_count, 1);
    wait_in_step(sidecar);
    mesh_view_unref(empty);
    mesh_view_unref(foreign);
    sidecar_free(sidecar);
}

static void view_older_than_our_start_is_replaced(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *first = caller(fixture, NULL);
    set_service(fixture->mesh, "api", LIST(WEB_ID), NULL);
    wait_has(first, MESH_SERVICE, "api");
    struct mesh_view *view = mesh_view_ref(first->view);
    sidecar_free(first);
    assert_int_equal(delete_service(fixture->mesh, "api"), RM_OK);
    push_fixture_restart(fixture);
    struct sidecar *second = caller(fixture, view);
    assert_int_equal(second->full_count, 1);
    assert_null(seen(second, MESH_SERVICE, "api"));
    mesh_view_unref(view);
    sidecar_free(second);
}

static void view_that_differs_is_sent_anew_but_not_for_ever(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_wrong = true;
    sidecar_hello(sidecar, &(struct hello){.calls = LIST("web")});
    wait_ended(sidecar, RPC_ABORTED, "differs however often");
    assert_int_equal(sidecar->full_count, 4);
    sidecar_free(sidecar);
}

static void pieces_of_protocol_out_of_place_end_the_stream(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar_ack(sidecar);
    wait_ended(sidecar, RPC_INVALID_ARGUMENT, "first message must be Hello");
    sidecar_free(sidecar);

    sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar_say_bytes(sidecar, "\xff\xff\xff", 3);
    wait_ended(sidecar, RPC_INVALID_ARGUMENT, "");
    sidecar_free(sidecar);

    sidecar = caller(fixture, NULL);
    sidecar_hello(sidecar, &(struct hello){0});
    wait_ended(sidecar, RPC_INVALID_ARGUMENT, "second Hello");
    sidecar_free(sidecar);

    sidecar = caller(fixture, NULL);
    wait_in_step(sidecar);
    sidecar_ack(sidecar);
    wait_ended(sidecar, RPC_INVALID_ARGUMENT, "acknowledgement without a delta");
    sidecar_free(sidecar);

    sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_silent = true;
    sidecar_hello(sidecar, &(struct hello){0});
    wait_responses(sidecar, 1);
    struct mesh_request ack = {.kind = MESH_REQUEST_ACK,
                               .of.ack.version = mesh_view_version(sidecar->view)};
    ack.of.ack.version.number++;
    sidecar_say(sidecar, &ack);
    wait_ended(sidecar, RPC_INVALID_ARGUMENT, "another version than was sent");
    sidecar_free(sidecar);

    sidecar = sidecar_open(fixture, 2, CACHE_ID);
    wait_sessions(fixture, 1);
    jump(fixture->mesh, PUSH_HELLO_TIMEOUT_MS + 1);
    wait_sessions(fixture, 0); // by its own deadline or by the connection's, which is as long
    sidecar_free(sidecar);
}

static void refused_delta_ends_the_stream(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = sidecar_open(fixture, 2, CACHE_ID);
    sidecar->is_silent = true;
    sidecar_hello(sidecar, &(struct hello){0});
    wait_responses(sidecar, 1);
    const struct mesh_request ack = {
        .kind = MESH_REQUEST_ACK,
        .of.ack = {.version = mesh_view_version(sidecar->view), .error = (char[]){"no"}}};
    sidecar_say(sidecar, &ack);
    wait_ended(sidecar, RPC_ABORTED, "refused");
    sidecar_free(sidecar);
}

static void status_is_for_ones_own_line(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = caller(fixture, NULL);
    struct mesh_request status = {.kind = MESH_REQUEST_STATUS, .of.status.serial_length = 16};
    memcpy(status.of.status.serial, lineage(2), LINEAGE_BYTES);
    sidecar_say(sidecar, &status);
    memcpy(status.of.status.serial, lineage(3), LINEAGE_BYTES);
    sidecar_say(sidecar, &status);
    wait_ended(sidecar, RPC_INVALID_ARGUMENT, "serial");
    sidecar_free(sidecar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(changes_of_one_scope_come_alone),
        PROMISE(one_delta_is_in_flight),
        PROMISE(silent_sidecar_is_cut_off),
        PROMISE(quiet_times_have_heartbeats),
        PROMISE(resumed_view_gets_only_what_changed),
        PROMISE(resumed_view_of_another_scope_becomes_right),
        PROMISE(view_of_another_store_is_replaced),
        PROMISE(view_older_than_our_start_is_replaced),
        PROMISE(view_that_differs_is_sent_anew_but_not_for_ever),
        PROMISE(pieces_of_protocol_out_of_place_end_the_stream),
        PROMISE(refused_delta_ends_the_stream),
        PROMISE(status_is_for_ones_own_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
