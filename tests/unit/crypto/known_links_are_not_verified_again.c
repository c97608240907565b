// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a cache of verified links remembers, and above all what it does not.
#include <string.h>

#include "base/alloc.h"
#include "crypto/link_cache.h"
#include "crypto_fixture.h"

#define ID "spiffe://example.org/a"

struct scene {
    struct fixture root;
    struct fixture intermediate;
    struct fixture leaf;
    struct trust_snapshot *trust;
    struct link_cache *cache;
};

static struct scene scene_open(void)
{
    struct scene scene = {.root = fixture_root("example.org"), .cache = link_cache_new()};
    assert_non_null(scene.cache);
    scene.intermediate = fixture_intermediate(&scene.root, "example.org");
    scene.leaf = fixture_leaf(&scene.intermediate, ID);
    scene.trust = fixture_trust("example.org", &scene.root);
    return scene;
}

static void scene_close(struct scene *scene)
{
    fixture_free(&scene->root);
    fixture_free(&scene->intermediate);
    fixture_free(&scene->leaf);
    trust_unref(scene->trust);
    rm_free(scene->cache);
}

static bool is_anchored(struct scene *scene, const struct trust_snapshot *trust,
                        const struct der *leaf, const struct der *intermediate)
{
    const struct der sent[] = {*leaf, *intermediate};
    struct certificate read;
    struct chain_facts facts;
    const char *why = NULL;
    assert_int_equal(chain_examine_again(scene->cache, sent, 2, trust, &read, &facts, &why), RM_OK);
    certificate_deinit(&read);
    return facts.is_anchored;
}

// Verifications that the next examination takes.
static uint64_t verifications(struct scene *scene, const struct trust_snapshot *trust,
                              const struct der *leaf, const struct der *intermediate,
                              bool is_expected)
{
    uint64_t before = scene->cache->verified_count;
    assert_true(is_anchored(scene, trust, leaf, intermediate) == is_expected);
    return scene->cache->verified_count - before;
}

static void second_look_verifies_nothing(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    const struct der *leaf = &scene.leaf.view;
    const struct der *ca = &scene.intermediate.view;
    assert_int_equal(verifications(&scene, scene.trust, leaf, ca, true), 2);
    assert_int_equal(scene.cache->found_count, 0);
    assert_int_equal(verifications(&scene, scene.trust, leaf, ca, true), 0);
    assert_int_equal(scene.cache->found_count, 2);
    struct fixture other = fixture_leaf(&scene.intermediate, ID);
    assert_int_equal(verifications(&scene, scene.trust, &other.view, ca, true), 1);
    fixture_free(&other);
    scene_close(&scene);
}

// The last byte is the signature's: names and keys of the forgery are those of the original.
static void forged_signature_is_neither_found_nor_remembered(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    const struct der *ca = &scene.intermediate.view;
    uint8_t *bytes = rm_memdup(scene.leaf.der, scene.leaf.length);
    struct der forged = {bytes, scene.leaf.length};
    bytes[forged.length - 1] ^= 1;
    assert_int_equal(verifications(&scene, scene.trust, &scene.leaf.view, ca, true), 2);
    assert_int_equal(verifications(&scene, scene.trust, &forged, ca, false), 1);
    assert_int_equal(verifications(&scene, scene.trust, &forged, ca, false), 1);
    assert_int_equal(verifications(&scene, scene.trust, &scene.leaf.view, ca, true), 0);
    rm_free(bytes);
    scene_close(&scene);
}

// A CA of the same name with another key has not signed what its namesake has. The leaf names no
// key of its issuer, so only the signature tells.
static void known_leaf_does_not_pass_under_a_namesake_of_its_issuer(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture leaf = fixture_odd((struct profile){.uri = ID}, &scene.intermediate);
    struct fixture namesake = fixture_intermediate(&scene.root, "example.org");
    assert_true(is_anchored(&scene, scene.trust, &leaf.view, &scene.intermediate.view));
    assert_int_equal(verifications(&scene, scene.trust, &leaf.view, &namesake.view, false), 1);
    fixture_free(&leaf);
    fixture_free(&namesake);
    scene_close(&scene);
}

// Whoever makes a CA of their own could push all others out.
static void chain_without_an_anchor_leaves_nothing_behind(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture stranger_root = fixture_root("example.org");
    struct fixture stranger = fixture_intermediate(&stranger_root, "example.org");
    struct fixture leaf = fixture_leaf(&stranger, ID);
    static const uint8_t empty[sizeof(scene.cache->links)];
    assert_true(verifications(&scene, scene.trust, &leaf.view, &stranger.view, false) > 0);
    assert_memory_equal(scene.cache->links, empty, sizeof(empty));
    fixture_free(&leaf);
    fixture_free(&stranger);
    fixture_free(&stranger_root);
    scene_close(&scene);
}

// A good signature says nothing about the root being trusted still.
static void known_chain_falls_with_its_root(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture newer = fixture_root("example.org");
    struct trust_snapshot *trust = fixture_trust("example.org", &newer);
    assert_true(is_anchored(&scene, scene.trust, &scene.leaf.view, &scene.intermediate.view));
    assert_false(is_anchored(&scene, trust, &scene.leaf.view, &scene.intermediate.view));
    trust_unref(trust);
    fixture_free(&newer);
    scene_close(&scene);
}

static void link_of(uint8_t set, uint8_t number, uint8_t out[SHA256_BYTES])
{
    memset(out, number, SHA256_BYTES);
    out[0] = set;
}

static void longest_unused_link_gives_way(void **state)
{
    (void)state;
    struct link_cache *cache = link_cache_new();
    uint8_t link[SHA256_BYTES];
    assert_non_null(cache);
    for (uint8_t i = 1; i <= LINK_CACHE_WAYS; i++) {
        link_of(7, i, link);
        link_cache_add(cache, link);
    }
    link_of(7, 1, link);
    assert_true(link_cache_has(cache, link)); // used: number 2 is the oldest now
    link_of(7, LINK_CACHE_WAYS + 1, link);
    link_cache_add(cache, link);
    for (uint8_t i = 1; i <= LINK_CACHE_WAYS + 1; i++) {
        link_of(7, i, link);
        assert_true(link_cache_has(cache, link) == (i != 2));
    }
    link_of(8, 1, link);
    assert_false(link_cache_has(cache, link)); // other sets have their own
    rm_free(cache);
}

// What is remembered stays within its bounds, whatever comes.
static void any_number_of_links_may_come(void **state)
{
    (void)state;
    struct link_cache *cache = link_cache_new();
    uint8_t link[SHA256_BYTES];
    assert_non_null(cache);
    for (uint32_t i = 0; i < 16 * LINK_CACHE_SETS * LINK_CACHE_WAYS; i++) {
        sha256(&i, sizeof(i), link);
        link_cache_add(cache, link);
        assert_true(link_cache_has(cache, link));
    }
    rm_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_look_verifies_nothing),
        cmocka_unit_test(forged_signature_is_neither_found_nor_remembered),
        cmocka_unit_test(known_leaf_does_not_pass_under_a_namesake_of_its_issuer),
        cmocka_unit_test(chain_without_an_anchor_leaves_nothing_behind),
        cmocka_unit_test(known_chain_falls_with_its_root),
        cmocka_unit_test(longest_unused_link_gives_way),
        cmocka_unit_test(any_number_of_links_may_come),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
