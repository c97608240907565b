// SPDX-License-Identifier: GPL-3.0-or-later
//
// A diagnosis from the client's sidecar of a tunnel world, run to its end, and what it said.
#pragma once

#include "cases.h"
#include "tunnel_world.h"

#include "diagnose/diagnose.h"

#define DIAGNOSED_MAX 64

struct diagnosed {
    struct tunnel_world *world;  // borrowed
    struct resolver *resolver;   // owned
    struct diagnose *diagnose;   // owned
    struct deferred answer;      // of the workers, see diagnosed.c
    struct standing *rated;      // asked about; NULL: not now
    diagnose_rated_fn on_rated;  // takes the answer
    void *rated_context;         // for on_rated
    struct snapshot *snapshot;   // to ask with; borrowed; NULL: the client's in force
    struct diagnosis *diagnosis; // under way; NULL: none
    struct diagnose_step steps[DIAGNOSED_MAX];
    size_t step_count;
    struct diagnose_finding findings[DIAGNOSED_MAX];
    size_t finding_count;
    bool is_done; // on_end came
    bool is_well; // what it said
};
void diagnosed_init(struct diagnosed *diagnosed, struct tunnel_world *world);
void diagnosed_deinit(struct diagnosed *diagnosed);
// Starts with what is known before; the world's client asks.
enum rm_err diagnosed_start(struct diagnosed *diagnosed, const struct diagnose_request *request,
                            struct rm_error *error);
bool diagnosed_is_done(void *diagnosed); // for world_until()
void diagnosed_run(struct diagnosed *diagnosed, const struct diagnose_request *request);

// The first step of this name; fails when there is none.
const struct diagnose_step *step_of(const struct diagnosed *diagnosed, const char *name);
// Value of a fact of the first step of this name; fails when there is none.
const char *fact_of(const struct diagnosed *diagnosed, const char *step, const char *key);
// NULL when it was not found.
const struct diagnose_finding *finding_of(const struct diagnosed *diagnosed, enum fault fault);
// The finding is there, is of this severity, and its detail has this text in it.
void assert_found(const struct diagnosed *diagnosed, enum fault fault,
                  enum diagnose_severity severity, const char *detail);
