// SPDX-License-Identifier: GPL-3.0-or-later
#include "diagnosed.h"

static void diagnosed_on_step(void *context, const struct diagnose_step *step)
{
    struct diagnosed *diagnosed = context;
    assert_false(diagnosed->is_done);
    assert_true(diagnosed->step_count < DIAGNOSED_MAX);
    diagnosed->steps[diagnosed->step_count++] = *step;
}

static void diagnosed_on_finding(void *context, const struct diagnose_finding *finding)
{
    struct diagnosed *diagnosed = context;
    assert_false(diagnosed->is_done);
    assert_true(diagnosed->finding_count < DIAGNOSED_MAX);
    if (diagnosed->finding_count > 0) { // worst first
        assert_true(diagnosed->findings[diagnosed->finding_count - 1].severity >=
                    finding->severity);
    }
    diagnosed->findings[diagnosed->finding_count++] = *finding;
}

static void diagnosed_on_end(void *context, bool is_well)
{
    struct diagnosed *diagnosed = context;
    assert_false(diagnosed->is_done);
    diagnosed->is_done = true;
    diagnosed->is_well = is_well;
    diagnosed->diagnosis = NULL;
}

// Plays the workers: there is one, the client's, and it answers in a later turn.
static void diagnosed_on_answer(void *context)
{
    struct diagnosed *diagnosed = context;
    standing_add(diagnosed->rated, &diagnosed->world->client.worker);
    diagnosed->rated = NULL;
    diagnosed->on_rated(diagnosed->rated_context, RM_OK);
}

static enum rm_err diagnosed_rate(void *context, struct standing *standing, diagnose_rated_fn done,
                                  void *done_context)
{
    struct diagnosed *diagnosed = context;
    assert_null(diagnosed->rated);
    diagnosed->rated = standing;
    diagnosed->on_rated = done;
    diagnosed->rated_context = done_context;
    deferred_schedule(diagnosed->world->loop, &diagnosed->answer);
    return RM_OK;
}

void diagnosed_init(struct diagnosed *diagnosed, struct tunnel_world *world)
{
    memset(diagnosed, 0, sizeof(*diagnosed));
    diagnosed->world = world;
    assert_int_equal(resolver_open(world->loop, &diagnosed->resolver, NULL), RM_OK);
    const struct diagnose_source source = {diagnosed, diagnosed_rate};
    deferred_init(&diagnosed->answer, diagnosed_on_answer, diagnosed);
    diagnosed->diagnose = diagnose_open(world->loop, diagnosed->resolver, &source);
    assert_non_null(diagnosed->diagnose);
}

static bool diagnosed_owes_nothing(void *context)
{
    return ((struct diagnosed *)context)->rated == NULL;
}

void diagnosed_deinit(struct diagnosed *diagnosed)
{
    diagnose_close(diagnosed->diagnose);
    world_until(diagnosed->world->loop, diagnosed_owes_nothing, diagnosed); // it comes too late
    resolver_close(diagnosed->resolver);
}

enum rm_err diagnosed_start(struct diagnosed *diagnosed, const struct diagnose_request *request,
                            struct rm_error *error)
{
    static const struct diagnose_handler handler = {
        .on_step = diagnosed_on_step,
        .on_finding = diagnosed_on_finding,
        .on_end = diagnosed_on_end,
    };
    diagnosed->step_count = 0;
    diagnosed->finding_count = 0;
    diagnosed->is_done = false;
    struct snapshot *snapshot = diagnosed->snapshot != NULL
                                    ? diagnosed->snapshot
                                    : diagnosed->world->client.worker.snapshot;
    return diagnose_start(diagnosed->diagnose, snapshot, request, &handler, diagnosed,
                          &diagnosed->diagnosis, error);
}

bool diagnosed_is_done(void *context)
{
    return ((struct diagnosed *)context)->is_done;
}

void diagnosed_run(struct diagnosed *diagnosed, const struct diagnose_request *request)
{
    struct rm_error error = {0};
    if (diagnosed_start(diagnosed, request, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    world_until(diagnosed->world->loop, diagnosed_is_done, diagnosed);
}

const struct diagnose_step *step_of(const struct diagnosed *diagnosed, const char *name)
{
    for (size_t i = 0; i < diagnosed->step_count; i++) {
        if (strcmp(diagnosed->steps[i].name, name) == 0) {
            return &diagnosed->steps[i];
        }
    }
    fail_msg("no step %s", name);
    return NULL;
}

const char *fact_of(const struct diagnosed *diagnosed, const char *step, const char *key)
{
    const struct diagnose_step *found = step_of(diagnosed, step);
    for (size_t i = 0; i < found->fact_count; i++) {
        if (strcmp(found->facts[i].key, key) == 0) {
            return found->facts[i].value;
        }
    }
    fail_msg("no fact %s of %s (%s)", key, step, found->text);
    return NULL;
}

const struct diagnose_finding *finding_of(const struct diagnosed *diagnosed, enum fault fault)
{
    for (size_t i = 0; i < diagnosed->finding_count; i++) {
        if (diagnosed->findings[i].fault == fault) {
            return &diagnosed->findings[i];
        }
    }
    return NULL;
}

static void say_all(const struct diagnosed *diagnosed)
{
    for (size_t i = 0; i < diagnosed->step_count; i++) {
        print_message("%s %s: %s\n", diagnosed->steps[i].name,
                      diagnose_outcome_name(diagnosed->steps[i].outcome), diagnosed->steps[i].text);
    }
    for (size_t i = 0; i < diagnosed->finding_count; i++) {
        print_message("%s %s: %s\n", diagnose_severity_name(diagnosed->findings[i].severity),
                      fault_name(diagnosed->findings[i].fault), diagnosed->findings[i].detail);
    }
}

void assert_found(const struct diagnosed *diagnosed, enum fault fault,
                  enum diagnose_severity severity, const char *detail)
{
    const struct diagnose_finding *finding = finding_of(diagnosed, fault);
    if (finding == NULL || finding->severity != severity ||
        strstr(finding->detail, detail) == NULL) {
        say_all(diagnosed);
        fail_msg("not found: %s %s with '%s'", diagnose_severity_name(severity), fault_name(fault),
                 detail);
    }
}
