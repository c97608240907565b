// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/control_config.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/control-config-XXXXXX");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    unsetenv("CREDENTIALS_DIRECTORY");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static enum rm_err read_text(const char *text, struct control_config **config,
                             struct rm_error *error)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return control_config_read(path, config, error);
}

#define LEAST "trust_domain: td\ndata_dir: /data\n"

static void defaults(void **state)
{
    (void)state;
    struct control_config *config = NULL;
    struct rm_error error = {0};
    assert_int_equal(read_text(LEAST, &config, &error), RM_OK);
    assert_string_equal(config->listen, "0.0.0.0:15010");
    assert_string_equal(config->health_listen, "127.0.0.1:15014");
    assert_string_equal(config->admin_path, "/data/admin.sock");
    assert_string_equal(config->kek_path, "/data/kek");
    assert_true(config->is_kek_in_data_dir);
    assert_int_equal(config->mode, CONTROL_MODE_SELF);
    assert_int_equal(config->certificates.lifetime_ms, 3600000);
    assert_int_equal(config->certificates.minimum_ms, 300000);
    assert_int_equal(config->certificates.maximum_ms, 86400000);
    assert_int_equal(config->limits.attestations_per_second, 1);
    assert_int_equal(config->limits.attestation_burst, 10);
    assert_int_equal(config->limits.signings_per_second, 50);
    assert_int_equal(config->admins.count, 0);
    assert_true(config->admin_gid == GROUP_NONE);
    assert_false(config->is_test_lifetimes);
    control_config_free(config);
}

static void everything_said(void **state)
{
    (void)state;
    struct control_config *config = NULL;
    struct rm_error error = {0};
    assert_int_equal(read_text(LEAST "listen: 127.0.0.1:0\n"
                                     "dns_names: [a.example, b.example]\n"
                                     "admin_socket: {path: /run/x.sock, group: root}\n"
                                     "admins: [spiffe://td/ns/ops/sa/admin]\n"
                                     "kek_file: /elsewhere/kek\n"
                                     "test_lifetimes: true\n"
                                     "certificates: {lifetime: 10s, minimum: 10s, maximum: 20s}\n"
                                     "mode: offline-root\n"
                                     "health: 127.0.0.1:0\n"
                                     "log: {level: warn, format: json}\n"
                                     "limits: {attestations_per_second: 7}\n"
                                     "drain: 3s\n",
                               &config, &error),
                     RM_OK);
    assert_int_equal(config->dns_names.count, 2);
    assert_string_equal(config->admin_path, "/run/x.sock");
    assert_int_equal(config->admin_gid, 0);
    assert_string_equal(config->kek_path, "/elsewhere/kek");
    assert_false(config->is_kek_in_data_dir);
    assert_int_equal(config->mode, CONTROL_MODE_OFFLINE_ROOT);
    assert_int_equal(config->certificates.lifetime_ms, 10000);
    assert_int_equal(config->limits.attestations_per_second, 7);
    assert_int_equal(config->log_level, LOG_LEVEL_WARN);
    assert_int_equal(config->log_format, LOG_FORMAT_JSON);
    control_config_free(config);
}

static void assert_refused(const char *text, const char *place, const char *wanted)
{
    struct control_config *config = NULL;
    struct rm_error error = {0};
    char at[128];
    assert_int_equal(read_text(text, &config, &error), RM_ERR_CONFIG);
    assert_null(config);
    snprintf(at, sizeof at, "%s:%s", path, place);
    if (strncmp(error.message, at, strlen(at)) != 0 || strstr(error.message, wanted) == NULL) {
        fail_msg("'%s' is not at %s or does not say '%s'", error.message, place, wanted);
    }
}

static void mistakes(void **state)
{
    (void)state;
    assert_refused(LEAST "listne: 1\n", "3:1", "listen");
    assert_refused("trust_domain: Upper\ndata_dir: /data\n", "1:15", "");
    assert_refused("data_dir: /data\n", "", "trust_domain");
    assert_refused(LEAST "certificates:\n  lifetime: 20s\n", "4:", "test_lifetimes");
    assert_refused(LEAST "certificates: {lifetime: 48h}\n", "3:", "");
    assert_refused(LEAST "certificates: {lifetime: 10m, minimum: 20m}\n", "3:", "minimum");
    assert_refused(LEAST "certificates: {lifetime: 2h, maximum: 1h}\n", "3:", "maximum");
    assert_refused(LEAST "test_lifetimes: true\ncertificates: {lifetime: 5s}\n", "4:", "");
    assert_refused(LEAST "admins: [spiffe://other/x]\n", "3:", "trust domain");
    assert_refused(LEAST "admins: [not an id]\n", "3:", "");
    assert_refused(LEAST "admin_socket: {group: no-such-group-here}\n", "3:", "no-such-group");
    assert_refused(LEAST "mode: weird\n", "3:", "");
    assert_refused(LEAST "listen: nowhere\n", "3:", "");
    assert_refused(LEAST "limits: {signing_burst: 0}\n", "3:", "");
}

static void too_long_a_socket_path(void **state)
{
    (void)state;
    struct control_config *config = NULL;
    struct rm_error error = {0};
    char text[512];
    char folder[200];
    memset(folder, 'x', sizeof folder - 1);
    folder[0] = '/';
    folder[sizeof folder - 1] = '\0';
    snprintf(text, sizeof text, "trust_domain: td\ndata_dir: %s\n", folder);
    assert_int_equal(read_text(text, &config, &error), RM_ERR_CONFIG);
    assert_non_null(strstr(error.message, "admin_socket.path"));
}

static void credential_of_systemd_wins_over_the_data_folder(void **state)
{
    (void)state;
    char folder[] = "/tmp/control-credentials-XXXXXX";
    char file[128];
    struct control_config *config = NULL;
    struct rm_error error = {0};
    assert_non_null(mkdtemp(folder));
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_int_equal(read_text(LEAST, &config, &error), RM_OK);
    assert_string_equal(config->kek_path, "/data/kek"); // no such credential was handed in
    control_config_free(config);
    snprintf(file, sizeof file, "%s/%s", folder, CONTROL_KEK_CREDENTIAL);
    FILE *credential = fopen(file, "w");
    fclose(credential);
    assert_int_equal(read_text(LEAST, &config, &error), RM_OK);
    assert_string_equal(config->kek_path, file);
    assert_false(config->is_kek_in_data_dir);
    control_config_free(config);
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(file);
    rmdir(folder);
}

static void reload_names_what_cannot_change(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *key; // NULL: may change
    } cases[] = {
        {LEAST "log: {level: debug}\n", NULL},
        {LEAST "admins: [spiffe://td/a]\ncertificates: {lifetime: 10m}\n", NULL},
        {"trust_domain: other\ndata_dir: /data\n", "trust_domain"},
        {"trust_domain: td\ndata_dir: /other\n", "data_dir"},
        {LEAST "listen: 127.0.0.1:1\n", "'listen'"},
        {LEAST "health: 127.0.0.1:1\n", "'health'"},
        {LEAST "kek_file: /x\n", "kek_file"},
        {LEAST "admin_socket: {path: /x}\n", "admin_socket.path"},
    };
    struct control_config *current = NULL;
    assert_int_equal(read_text(LEAST, &current, NULL), RM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct control_config *next = NULL;
        struct rm_error error = {0};
        assert_int_equal(read_text(cases[i].text, &next, NULL), RM_OK);
        enum rm_err result = control_config_check_reload(current, next, &error);
        assert_int_equal(result, cases[i].key == NULL ? RM_OK : RM_ERR_CONFIG);
        if (cases[i].key != NULL) {
            assert_non_null(strstr(error.message, cases[i].key));
        }
        control_config_free(next);
    }
    control_config_free(current);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(everything_said),
        TEST(mistakes),
        TEST(too_long_a_socket_path),
        TEST(credential_of_systemd_wins_over_the_data_folder),
        TEST(reload_names_what_cannot_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
