// SPDX-License-Identifier: GPL-3.0-or-later
//
// A diagnosis begins at home: our own certificate, the age of our view, and what it says of the
// endpoints; and it ends in time, whatever waits.
#include "diagnosed.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "fake_time.h"

static struct diagnosed seen;

// What the client knows, with one thing changed.
struct knowledge {
    struct tls_identity *identity;    // NULL: none
    struct mesh_view *view;           // taken; NULL: empty
    int64_t heard_mono_ms;            // when the control plane last spoke
    struct diagnose_request question; // to ask with it
};

static void ask_with(struct tunnel_world *world, const struct knowledge *knowledge)
{
    struct mesh_view *view = knowledge->view != NULL ? knowledge->view : mesh_view_empty();
    struct snapshot *snapshot = snapshot_new(world->client.config, knowledge->identity,
                                             knowledge->identity != NULL ? world->trust : NULL,
                                             view, knowledge->heard_mono_ms, 1, NULL, 0);
    assert_non_null(snapshot);
    diagnosed_init(&seen, world);
    seen.snapshot = snapshot;
    diagnosed_run(&seen, &knowledge->question);
    diagnosed_deinit(&seen);
    snapshot_unref(snapshot);
    mesh_view_unref(view);
}

static void no_certificate_is_found(void **state)
{
    struct tunnel_world *world = *state;
    ask_with(world, &(struct knowledge){.question = {.service = "web"}});
    assert_found(&seen, FAULT_IDENTITY_MISSING, DIAGNOSE_ERROR, "");
    // Something can be said of a server all the same.
    ask_with(world, &(struct knowledge){
                        .question = {.target = world->tunnel_address, .expected = SERVER_ID}});
    assert_found(&seen, FAULT_IDENTITY_MISSING, DIAGNOSE_ERROR, "");
    assert_string_equal(fact_of(&seen, "handshake", "version"), "TLSv1.3");
    assert_found(&seen, FAULT_UNKNOWN_TRUST_DOMAIN, DIAGNOSE_ERROR, SERVER_ID);
}

static void own_certificate_that_has_expired_is_found(void **state)
{
    struct tunnel_world *world = *state;
    struct pki_recipe recipe = {
        .spiffe_id = CLIENT_ID, .not_before_s = 1000000000, .not_after_s = 1000003600};
    struct tls_identity *identity = pki_identity(&world->authority, &recipe);
    ask_with(world, &(struct knowledge){.identity = identity, .question = {.service = "web"}});
    assert_found(&seen, FAULT_OWN_CERTIFICATE_EXPIRED, DIAGNOSE_ERROR, CLIENT_ID);
    // The other end says what it thinks of it.
    assert_found(&seen, FAULT_REFUSED_BY_PEER, DIAGNOSE_ERROR, "certificate_expired");
    tls_identity_unref(identity);
}

// The endpoint of the service web, and the service; an empty configuration, so that the view
// counts.
static struct mesh_view *view_of(const char *address, const char *identity, bool is_ready)
{
    struct mesh_resource *endpoint = make_endpoint("web/0", address, identity, "");
    endpoint->of.endpoint.is_ready = is_ready;
    struct mesh_resource *puts[] = {make_service("web", 80, LIST(SERVER_ID), LIST()), endpoint,
                                    NULL};
    return full_view(puts);
}

static void view_says_what_no_call_would_try(void **state)
{
    struct tunnel_world *world = *state;
    int64_t now_ms = (int64_t)clock_mono_ms();
    struct knowledge knowledge = {.identity = world->client.identity,
                                  .heard_mono_ms = now_ms,
                                  .question = {.service = "web"}};
    client_has_view(world, LIST(world->tunnel_address)); // no fixed endpoint any more
    knowledge.view = view_of(world->tunnel_address, CLIENT_ID, true);
    ask_with(world, &knowledge);
    assert_found(&seen, FAULT_ENDPOINT_UNUSABLE, DIAGNOSE_ERROR, CLIENT_ID);
    knowledge.view = view_of(world->tunnel_address, SERVER_ID, false);
    ask_with(world, &knowledge);
    assert_found(&seen, FAULT_ENDPOINT_NOT_READY, DIAGNOSE_NOTE, world->tunnel_address);
    assert_found(&seen, FAULT_NO_ENDPOINT, DIAGNOSE_ERROR, "none of 1 is ready");
    knowledge.view = view_of(world->tunnel_address, SERVER_ID, true);
    knowledge.heard_mono_ms = now_ms - 600000 > 0 ? now_ms - 600000 : 1;
    ask_with(world, &knowledge);
    assert_found(&seen, FAULT_VIEW_STALE, DIAGNOSE_WARNING, "heard ");
    assert_string_equal(fact_of(&seen, "tunnel", "status"), "ok");
}

// Whichever allocation fails: an error or a finding, no crash, and no word that all is well.
static void failed_allocation_is_survived(struct tunnel_world *world,
                                          const struct diagnose_request *request)
{
    bool was_reached = true;
    for (uint64_t n = 1; was_reached && n < 4000; n += n < 40 ? 1 : 53) {
        struct rm_error error = {0};
        diagnosed_init(&seen, world);
        rm_alloc_fail_at(n);
        enum rm_err result = diagnosed_start(&seen, request, &error);
        if (result == RM_OK) {
            world_until(world->loop, diagnosed_is_done, &seen);
        } else {
            assert_int_equal(result, RM_ERR_NO_MEMORY);
        }
        was_reached = rm_alloc_count() >= n;
        rm_alloc_fail_at(0);
        diagnosed_deinit(&seen);
    }
    assert_false(was_reached);
    assert_true(seen.is_well);
    expect_quiet(world);
}

static void failed_allocations_are_survived(void **state)
{
    struct tunnel_world *world = *state;
    failed_allocation_is_survived(world, &(struct diagnose_request){.service = "web"});
    failed_allocation_is_survived(
        world, &(struct diagnose_request){.target = world->tunnel_address, .expected = SERVER_ID});
}

static bool is_at_handshake(void *context)
{
    (void)context;
    return seen.step_count > 0 && strcmp(seen.steps[seen.step_count - 1].name, "handshake") == 0;
}

static void reply_is_waited_for_in_bounds(void **state)
{
    struct tunnel_world *world = *state;
    struct rm_error error = {0};
    liar_start(world, FALSE_SILENT);
    client_calls(world, world->liar.address, SERVER_ID);
    diagnosed_init(&seen, world);
    assert_int_equal(diagnosed_start(&seen, &(struct diagnose_request){.service = "web"}, &error),
                     RM_OK);
    world_until(world->loop, is_at_handshake, NULL);
    fake_time_jump(world->loop, DIAGNOSE_REPLY_MS);
    world_until(world->loop, diagnosed_is_done, &seen);
    assert_found(&seen, FAULT_REPLY_TIMEOUT, DIAGNOSE_ERROR, world->liar.address);
    assert_int_equal(diagnosed_start(&seen, &(struct diagnose_request){.service = "web"}, &error),
                     RM_OK);
    world_until(world->loop, is_at_handshake, NULL);
    fake_time_jump(world->loop, DIAGNOSE_DEADLINE_MS);
    world_until(world->loop, diagnosed_is_done, &seen);
    assert_false(seen.is_well);
    diagnosed_deinit(&seen);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, tunnel_world_setup, tunnel_world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(no_certificate_is_found),          CASE(own_certificate_that_has_expired_is_found),
        CASE(view_says_what_no_call_would_try), CASE(failed_allocations_are_survived),
        CASE(reply_is_waited_for_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
