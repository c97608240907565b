// SPDX-License-Identifier: GPL-3.0-or-later
//
// One link and what it told, beside a control plane.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_fixture.h"

#include "link/link.h"

struct scene {
    struct loop *loop;
    struct resolver *resolver;
    struct pki_authority authority; // of td.test
    struct trust_snapshot *trust;
    struct control_plane control;
    struct link *link;         // NULL once it ended
    int ready_count;           // on_ready calls
    int end_count;             // on_end calls
    enum rm_err reason;        // of on_end
    char sentence[768];        // of on_end
    struct rpc_client *client; // of on_ready
    bool closes_when_ready;    // link_close() inside on_ready
};

static inline void scene_on_ready(void *context, struct rpc_client *client)
{
    struct scene *scene = context;
    scene->ready_count++;
    scene->client = client;
    if (scene->closes_when_ready) {
        link_close(scene->link);
    }
}

static inline void scene_on_end(void *context, enum rm_err reason, const char *sentence)
{
    struct scene *scene = context;
    scene->end_count++;
    scene->reason = reason;
    scene->link = NULL;
    (void)snprintf(scene->sentence, sizeof(scene->sentence), "%s", sentence);
}

static inline int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    scene->loop = loop_new("test");
    pki_authority_init(&scene->authority, "td.test");
    scene->trust = pki_trust("td.test", &scene->authority, NULL);
    assert_int_equal(resolver_open(scene->loop, &scene->resolver, NULL), RM_OK);
    control_plane_start(&scene->control, scene->loop, &scene->authority, CONTROL_ID, scene->trust);
    *state = scene;
    return 0;
}

static inline int scene_teardown(void **state)
{
    struct scene *scene = *state;
    control_plane_stop(&scene->control);
    resolver_close(scene->resolver);
    world_end(scene->loop);
    trust_unref(scene->trust);
    pki_authority_deinit(&scene->authority);
    free(scene);
    return 0;
}

static inline enum rm_err scene_try_open(struct scene *scene, const char *address,
                                         struct trust_snapshot *trust)
{
    static const char *const alpn[] = {"h2"};
    struct tls_context *tls = NULL;
    struct tls_spiffe_profile profile = {
        .trust = trust, .alpn = alpn, .alpn_count = 1, .is_alpn_required = true};
    assert_int_equal(tls_context_new_spiffe(&profile, &tls, NULL), RM_OK);
    struct link_options options = {.loop = scene->loop,
                                   .resolver = scene->resolver,
                                   .address = address,
                                   .trust_domain = "td.test",
                                   .tls = tls};
    enum rm_err result = link_open(&options, scene_on_ready, scene_on_end, scene, &scene->link);
    tls_context_unref(tls);
    return result;
}

static inline void scene_open(struct scene *scene)
{
    assert_int_equal(scene_try_open(scene, scene->control.address, scene->trust), RM_OK);
}

static inline bool scene_is_ready(void *context)
{
    return ((struct scene *)context)->ready_count > 0;
}

static inline bool scene_has_ended(void *context)
{
    return ((struct scene *)context)->end_count > 0;
}

// Runs until the link ended and asserts why; nothing more is said afterwards.
static inline void scene_expect_end(struct scene *scene, enum rm_err reason, const char *what)
{
    world_until(scene->loop, scene_has_ended, scene);
    world_turns(scene->loop, 20);
    assert_int_equal(scene->end_count, 1);
    if (scene->reason != reason || strstr(scene->sentence, what) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", rm_err_name(scene->reason), scene->sentence, what);
    }
}
