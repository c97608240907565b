// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a race would break is seen by ThreadSanitizer, and by AddressSanitizer when a count is
// wrong.
#include <pthread.h>

#include "cases.h"

#define THREADS 4
#define ROUNDS 2000

static void *hold_and_change(void *context)
{
    struct mesh_view *view = mesh_view_ref(context);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct mesh_resource *put = make_endpoint("web/x", "10.0.0.1:1", WEB_ID, "");
        struct mesh_delta delta = {.version = version_of(1, 2 + i), .puts = &put, .put_count = 1};
        struct mesh_view *next = NULL;
        if (mesh_view_apply(view, &delta, &next, NULL) != RM_OK) {
            abort();
        }
        mesh_resource_unref(put);
        trust_unref(trust_ref(mesh_view_trust(next)));
        mesh_view_unref(view);
        view = next;
    }
    mesh_view_unref(view);
    return NULL;
}

static void counts_hold(void **state)
{
    (void)state;
    struct mesh_view *view =
        full_view(PUTS(make_bundle("td", LIST("a")), make_service("web", 1, LIST(WEB_ID), LIST()),
                       make_endpoint("web/a", "10.0.0.1:1", WEB_ID, "")));
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_change, view), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(mesh_view_count(view, MESH_ENDPOINT), 1);
    mesh_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
