// SPDX-License-Identifier: GPL-3.0-or-later
//
// Runs a test on a loop step by step, without sleeping: each step is called once per turn until it
// says true, then the next one; after the last, `finish` closes what is open and the loop ends.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"

#define SCENARIO_MAX_TURNS 200000 // a step that never comes true fails the test

typedef bool (*scenario_step_fn)(void *context);

struct scenario {
    struct loop *loop;             // borrowed
    const scenario_step_fn *steps; // ends with NULL
    void *context;                 // for steps and finish
    void (*finish)(void *context); // closes what is still open
    struct deferred poll;          // calls the current step
    uint64_t turns;                // in the current step
    size_t at;                     // index of the current step
};

static inline void scenario_on_turn(void *context)
{
    struct scenario *scenario = context;
    if (scenario->steps[scenario->at] == NULL) {
        scenario->finish(scenario->context);
        loop_close(scenario->loop);
        loop_stop(scenario->loop);
        return;
    }
    if (scenario->steps[scenario->at](scenario->context)) {
        scenario->at++;
        scenario->turns = 0;
    } else if (++scenario->turns > SCENARIO_MAX_TURNS) {
        fail_msg("step %zu never came true", scenario->at);
    }
    deferred_schedule(scenario->loop, &scenario->poll);
}

static inline void scenario_run(struct loop *loop, const scenario_step_fn *steps, void *context,
                                void (*finish)(void *context))
{
    struct scenario scenario = {.loop = loop, .steps = steps, .context = context, .finish = finish};
    deferred_init(&scenario.poll, scenario_on_turn, &scenario);
    loop_open(loop);
    deferred_schedule(loop, &scenario.poll);
    loop_run(loop);
}
