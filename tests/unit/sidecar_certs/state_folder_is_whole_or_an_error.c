// SPDX-License-Identifier: GPL-3.0-or-later
#include "sidecar_parts.h"
#include "tls_fixture.h"

#include "base/alloc.h"
#include "base/file.h"
#include "certs/state_dir.h"

#define HOST_ID "spiffe://td.test/ns/a/sa/host"

struct scene {
    struct folder folder;
    struct pki_authority authority;
    struct trust_snapshot *trust;
    struct private_key *key;
    char path[256]; // the state folder, not made yet
};

static int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    folder_init(&scene->folder);
    folder_path(&scene->folder, "state", scene->path);
    pki_authority_init(&scene->authority, "td.test");
    scene->trust = pki_trust("td.test", &scene->authority, NULL);
    assert_int_equal(key_generate(&scene->key), RM_OK);
    *state = scene;
    return 0;
}

static int scene_teardown(void **state)
{
    struct scene *scene = *state;
    key_unref(scene->key);
    trust_unref(scene->trust);
    pki_authority_deinit(&scene->authority);
    folder_deinit(&scene->folder);
    free(scene);
    return 0;
}

static enum rm_err read_state(const struct scene *scene, struct state_dir *state,
                              struct rm_error *error)
{
    rm_error_clear(error);
    return state_dir_read(scene->path, "td.test", state, error);
}

static void write_state(const struct scene *scene)
{
    struct rm_error error = {0};
    assert_int_equal(file_make_private_folder(scene->path, 0700, &error), RM_OK);
    if (state_dir_write(scene->path, "td.test", scene->key, HOST_ID, scene->trust, &error) !=
        RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
}

static void in_state(const struct scene *scene, const char *name, char path[256])
{
    assert_true(snprintf(path, 256, "%.200s/%s", scene->path, name) < 256);
}

static void assert_refused(const struct scene *scene, enum rm_err wanted, const char *what)
{
    struct state_dir state;
    const struct state_dir nothing = {0};
    struct rm_error error = {0};
    assert_int_equal(read_state(scene, &state, &error), wanted);
    if (strstr(error.message, what) == NULL || strstr(error.message, scene->path) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, what);
    }
    assert_memory_equal(&state, &nothing, sizeof(state));
}

static void missing_folder_is_made_private_and_empty(void **context)
{
    struct scene *scene = *context;
    struct state_dir state;
    struct rm_error error = {0};
    struct stat status;
    assert_int_equal(read_state(scene, &state, &error), RM_OK);
    assert_null(state.rejoin_key);
    assert_null(state.identity);
    assert_null(state.trust);
    assert_int_equal(stat(scene->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void what_was_written_comes_back(void **context)
{
    struct scene *scene = *context;
    struct state_dir state;
    struct rm_error error = {0};
    uint8_t wanted[KEY_ID_BYTES];
    uint8_t found[KEY_ID_BYTES];
    write_state(scene);
    assert_int_equal(read_state(scene, &state, &error), RM_OK);
    assert_string_equal(state.identity, HOST_ID);
    key_id(scene->key, wanted);
    key_id(state.rejoin_key, found);
    assert_memory_equal(found, wanted, sizeof(wanted));
    assert_true(trust_same_roots(state.trust, scene->trust));
    state_dir_deinit(&state);
}

static void files_are_for_their_owner_only(void **context)
{
    struct scene *scene = *context;
    static const char *const names[] = {"rejoin.key", "identity", "bundle.pem"};
    write_state(scene);
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        struct stat status;
        in_state(scene, names[i], path);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
}

static void wrong_modes_are_refused(void **context)
{
    struct scene *scene = *context;
    char path[256];
    write_state(scene);
    in_state(scene, "rejoin.key", path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_refused(scene, RM_ERR_PERMISSION, "rejoin.key");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(scene->path, 0777), 0);
    assert_refused(scene, RM_ERR_PERMISSION, "state");
}

static void half_a_state_is_an_error(void **context)
{
    struct scene *scene = *context;
    char path[256];
    write_state(scene);
    in_state(scene, "identity", path);
    assert_int_equal(unlink(path), 0);
    assert_refused(scene, RM_ERR_NOT_FOUND, "identity");
    write_state(scene);
    in_state(scene, "bundle.pem", path);
    assert_int_equal(unlink(path), 0);
    assert_refused(scene, RM_ERR_NOT_FOUND, "bundle.pem");
    // The key is written last: without it the rest is an attempt that was cut short.
    write_state(scene);
    in_state(scene, "rejoin.key", path);
    assert_int_equal(unlink(path), 0);
    struct state_dir state;
    struct rm_error error = {0};
    assert_int_equal(read_state(scene, &state, &error), RM_OK);
    assert_null(state.rejoin_key);
}

static void spoil(const struct scene *scene, const char *name, const char *text)
{
    char path[256];
    write_state(scene);
    in_state(scene, name, path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

static void spoilt_content_is_named(void **context)
{
    struct scene *scene = *context;
    spoil(scene, "rejoin.key", "");
    assert_refused(scene, RM_ERR_MALFORMED, "rejoin.key");
    spoil(scene, "rejoin.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert_refused(scene, RM_ERR_MALFORMED, "rejoin.key");
    spoil(scene, "rejoin.key", "\n");
    spoil(scene, "identity", "not an id");
    assert_refused(scene, RM_ERR_MALFORMED, "identity");
    spoil(scene, "bundle.pem", "nothing");
    assert_refused(scene, RM_ERR_MALFORMED, "bundle.pem");
}

static void state_of_another_mesh_is_refused(void **context)
{
    struct scene *scene = *context;
    spoil(scene, "identity", "spiffe://else.test/ns/a/sa/host");
    assert_refused(scene, RM_ERR_CONFIG, "trust domain td.test");
}

static void roots_of_another_domain_are_not_kept(void **context)
{
    struct scene *scene = *context;
    struct rm_error error = {0};
    assert_int_equal(
        state_dir_write(scene->path, "else.test", scene->key, HOST_ID, scene->trust, &error),
        RM_ERR_INTERNAL);
    assert_int_not_equal(access(scene->path, F_OK), 0);
}

static void failed_allocation_leaves_nothing(void **context)
{
    struct scene *scene = *context;
    struct state_dir state;
    const struct state_dir nothing = {0};
    struct rm_error error = {0};
    enum rm_err result = RM_ERR_NO_MEMORY;
    write_state(scene);
    for (uint64_t n = 1; result != RM_OK; n++) {
        assert_true(n < 500);
        rm_alloc_fail_at(n);
        result = read_state(scene, &state, &error);
        rm_alloc_fail_at(0);
        if (result != RM_OK) {
            assert_memory_equal(&state, &nothing, sizeof(state));
        } else {
            assert_non_null(state.trust);
            assert_non_null(state.identity);
        }
    }
    state_dir_deinit(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(missing_folder_is_made_private_and_empty, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(what_was_written_comes_back, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(files_are_for_their_owner_only, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(wrong_modes_are_refused, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(half_a_state_is_an_error, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(spoilt_content_is_named, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(state_of_another_mesh_is_refused, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(roots_of_another_domain_are_not_kept, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(failed_allocation_leaves_nothing, scene_setup,
                                        scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
