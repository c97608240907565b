// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "cases.h"

#define MOST_PUTS 64

// Contents 0 to 3 each differ from 4 in one member.
static struct mesh_resource *random_endpoint(const char *key, uint32_t content)
{
    struct mesh_resource *resource =
        make_endpoint(key, content == 0 ? "10.0.0.1:1" : "10.0.0.2:2",
                      content == 1 ? WEB_ID : CACHE_ID, content == 2 ? "z" : "");
    resource->of.endpoint.is_ready = content != 3;
    return resource;
}

// Small spaces of keys and contents, so that views often agree in part.
static struct mesh_resource *random_resource(uint32_t *seed, enum mesh_kind kind, uint32_t number)
{
    char key[32];
    uint32_t content = next_random(seed) % 5;
    uint8_t subject[8] = {(uint8_t)number};
    switch (kind) {
    case MESH_BUNDLE:
        (void)snprintf(key, sizeof(key), "td%u", number);
        return make_bundle(key, content == 0   ? LIST("a")
                                : content == 1 ? LIST("b")
                                               : LIST("b", "a"));
    case MESH_SERVICE:
        (void)snprintf(key, sizeof(key), "s%u", number);
        return make_service(key, (uint16_t)(1 + content), LIST(WEB_ID),
                            content == 2 ? LIST("spiffe://td/**") : LIST());
    case MESH_ENDPOINT:
        (void)snprintf(key, sizeof(key), "s%u/i%u", number % 3, number);
        return random_endpoint(key, content);
    case MESH_WITHDRAWAL:
    case MESH_KIND_COUNT:
        break;
    }
    return make_withdrawal(TRUST_LAPSED_LINEAGE, subject, sizeof(subject), (int64_t)content);
}

static struct mesh_view *random_view(uint32_t *seed, uint64_t number)
{
    struct mesh_resource *puts[MOST_PUTS + 1] = {0};
    size_t count = 0;
    for (uint32_t i = 0; i < MOST_PUTS; i++) {
        if (next_random(seed) % 3 != 0) {
            puts[count++] = random_resource(seed, (enum mesh_kind)(i % MESH_KIND_COUNT), i / 4);
        }
    }
    return apply_all(mesh_view_empty(), true, version_of(1, number), puts, NULL, 0);
}

// What a diff told; borrowed from the views.
struct told {
    struct mesh_resource *puts[MOST_PUTS];
    size_t put_count;
    struct mesh_removal removals[MOST_PUTS];
    size_t removal_count;
    enum mesh_kind last_kind; // of the last line, to see the order
    const char *last_key;     // the same
};

static void told_in_order(struct told *told, enum mesh_kind kind, const char *key)
{
    if (told->last_key != NULL) {
        assert_true(told->last_kind <= kind);
        assert_true(told->last_kind < kind || strcmp(told->last_key, key) < 0);
    }
    told->last_kind = kind;
    told->last_key = key;
}

static enum rm_err on_put(void *context, const struct mesh_resource *resource)
{
    struct told *told = context;
    told_in_order(told, resource->kind, resource->key);
    told->puts[told->put_count++] = (struct mesh_resource *)(uintptr_t)resource;
    return RM_OK;
}

static enum rm_err on_removal(void *context, enum mesh_kind kind, const char *key)
{
    struct told *told = context;
    told_in_order(told, kind, key);
    told->removals[told->removal_count++] = (struct mesh_removal){kind, key};
    return RM_OK;
}

static bool same_content(const struct mesh_view *a, const struct mesh_view *b)
{
    for (int kind = 0; kind < MESH_KIND_COUNT; kind++) {
        size_t count = mesh_view_count(a, (enum mesh_kind)kind);
        if (count != mesh_view_count(b, (enum mesh_kind)kind)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (!mesh_resource_equal(mesh_view_at(a, (enum mesh_kind)kind, i),
                                     mesh_view_at(b, (enum mesh_kind)kind, i))) {
                return false;
            }
        }
    }
    return true;
}

static void over_many_random_pairs(void **state)
{
    (void)state;
    uint32_t seed = 4711;
    unsigned different = 0;
    for (int round = 0; round < 500; round++) {
        struct mesh_view *a = random_view(&seed, 1);
        struct mesh_view *b = random_view(&seed, 2);
        struct told told = {0};
        assert_int_equal(mesh_view_diff(a, b, on_put, on_removal, &told), RM_OK);
        struct mesh_delta delta = {.version = version_of(1, 2),
                                   .puts = told.puts,
                                   .put_count = told.put_count,
                                   .removals = told.removals,
                                   .removal_count = told.removal_count};
        struct mesh_view *c = NULL;
        assert_int_equal(mesh_view_apply(a, &delta, &c, NULL), RM_OK);
        assert_true(same_content(b, c));
        assert_true(same_canonical(b, c));
        assert_true(trust_same_roots(mesh_view_trust(b), mesh_view_trust(c)));
        assert_int_equal(same_canonical(a, b), same_content(a, b));
        different += !same_canonical(a, b);
        mesh_view_unref(a);
        mesh_view_unref(b);
        mesh_view_unref(c);
    }
    assert_int_equal(different, 500);
}

static void equal_views_have_no_difference(void **state)
{
    (void)state;
    uint32_t one = 99;
    uint32_t two = 99;
    struct mesh_view *a = random_view(&one, 1);
    struct mesh_view *b = random_view(&two, 1);
    struct told told = {0};
    assert_int_equal(mesh_view_diff(a, b, on_put, on_removal, &told), RM_OK);
    assert_int_equal(mesh_view_diff(a, a, on_put, on_removal, &told), RM_OK);
    assert_int_equal(told.put_count + told.removal_count, 0);
    assert_true(same_canonical(a, b));
    mesh_view_unref(a);
    mesh_view_unref(b);
}

static enum rm_err full_after_two(void *context, const struct mesh_resource *resource)
{
    (void)resource;
    unsigned *count = context;
    return ++*count == 2 ? RM_ERR_LIMIT : RM_OK;
}

static void the_first_error_stops_it(void **state)
{
    (void)state;
    uint32_t seed = 7;
    struct mesh_view *a = mesh_view_empty();
    struct mesh_view *b = random_view(&seed, 1);
    unsigned count = 0;
    assert_int_equal(mesh_view_diff(a, b, full_after_two, on_removal, &count), RM_ERR_LIMIT);
    assert_int_equal(count, 2);
    mesh_view_unref(a);
    mesh_view_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_many_random_pairs),
        cmocka_unit_test(equal_views_have_no_difference),
        cmocka_unit_test(the_first_error_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
