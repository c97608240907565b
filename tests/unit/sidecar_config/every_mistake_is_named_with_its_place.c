// SPDX-License-Identifier: GPL-3.0-or-later
//
// What can be wrong with a sidecar's configuration beyond the form of YAML, which common/config
// looks after: each with line, column and a word on what to do.
#include "sidecar_parts.h"

#include "base/alloc.h"

#define FILES "identity: {files: {certificate: /c, key: /k, bundle: /b}}\n"
#define CONTROL "identity: {control: {address: 'c:1', trust_domain: td, join_token_file: /t}}\n"

// `place` is "line:column".
static void assert_message(const char *yaml, const char *place, const char *what)
{
    struct sidecar_config *config = NULL;
    struct rm_error error = {0};
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "x.yaml:%s: ", place);
    if (try_config(yaml, &config, &error) == RM_OK) {
        fail_msg("taken: %s", yaml);
    }
    assert_null(config);
    assert_int_equal(error.code, RM_ERR_CONFIG);
    if (strstr(error.message, wanted) == NULL || strstr(error.message, what) == NULL) {
        fail_msg("'%s' is not at %s or does not say '%s'", error.message, place, what);
    }
}

static void identity(void **state)
{
    (void)state;
    assert_message("workers: 1\n", "1:1", "'identity' is missing");
    assert_message("identity: {}\n", "1:11", "exactly one of 'control'");
    assert_message("identity:\n  control: {address: 'c:1', trust_domain: td, join_token_file: /t}\n"
                   "  files: {certificate: /c, key: /k, bundle: /b}\n",
                   "2:3", "exactly one of 'control'");
    assert_message("identity:\n  files: {certificate: /c, key: /k}\n", "2:10",
                   "needs 'certificate'");
    assert_message("identity:\n  files: {certificate: /c, bundle: /b}\n", "2:10",
                   "needs 'certificate'");
    assert_message("identity:\n  control: {address: 'c:1', trust_domain: td}\n", "2:12",
                   "'join_token_file'");
    assert_message("identity:\n  control: {address: 'c:1', join_token_file: /t}\n", "2:12",
                   "'trust_domain'");
    assert_message("identity: {control: {address: c, trust_domain: td, join_token_file: /t}}\n",
                   "1:31", "host:port");
    assert_message("identity: {control: {address: 'c:0', trust_domain: td, join_token_file: /t}}\n",
                   "1:31", "host:port");
    assert_message(
        "identity: {control: {address: 'c:65536', trust_domain: td, join_token_file: /t}}\n",
        "1:31", "host:port");
    assert_message(
        "identity: {control: {address: 'c:+80', trust_domain: td, join_token_file: /t}}\n", "1:31",
        "host:port");
    assert_message("identity: {control: {address: ':80', trust_domain: td, join_token_file: /t}}\n",
                   "1:31", "host:port");
    assert_message(
        "identity: {control: {address: 'c:1', trust_domain: 'T D', join_token_file: /t}}\n", "1:52",
        "trust_domain");
    assert_message("identity: {control: {address: 'c:1', trust_domain: td, join_token_file: /t, "
                   "lifetime: 9s}}\n",
                   "1:87", "lifetime");
    assert_message("identity: {files: {certificate: /c, key: /k, bundle: /b, federated: "
                   "[{trust_domain: other}]}}\n",
                   "1:70", "'bundle' is missing");
}

static void inbound(void **state)
{
    (void)state;
    assert_message(FILES "inbound: {listen: 'localhost:1'}\n", "2:19", "listen");
    assert_message(FILES "inbound:\n  services:\n    - {name: web, port: 80}\n", "4:7",
                   "'target' is missing");
    assert_message(FILES "inbound:\n  services:\n    - {name: Web, port: 80, target: ':1'}\n",
                   "4:14", "name");
    assert_message(FILES "inbound:\n  services:\n    - {name: 'a b', port: 80, target: ':1'}\n",
                   "4:14", "name");
    assert_message(FILES "inbound:\n  services:\n    - {name: web, port: 0, target: ':1'}\n",
                   "4:25", "port");
    assert_message(FILES "inbound:\n  services:\n    - {name: web, port: 65536, target: ':1'}\n",
                   "4:25", "port");
    assert_message(FILES "inbound:\n  services:\n    - {name: web, port: 80, target: 'web:80'}\n",
                   "4:37", "target");
    assert_message(FILES "inbound:\n  services:\n    - {name: web, port: 80, target: ':1', allow: "
                         "['spiffe://*/x']}\n",
                   "4:51", "trust domain");
    assert_message(FILES "inbound:\n  services:\n    - {name: web, port: 80, target: ':1'}\n"
                         "    - {name: web, port: 81, target: ':2'}\n",
                   "5:14", "declared twice");
    assert_message(FILES "inbound:\n  services: [{name: web, port: 80, target: ':1'}]\n"
                         "  edges: [{listen: ':8443', service: wab}]\n",
                   "4:38", "does not declare");
}

// A target that is our own port would go round in circles, or open what is not for the mesh.
static void target_of_our_own(void **state)
{
    (void)state;
    static const char *const targets[] = {"127.0.0.1:15008", "127.0.0.1:15020", "127.0.0.1:15021",
                                          "[::1]:7000",      "127.0.0.1:7001",  "unix:/run/out"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        char yaml[512];
        (void)snprintf(yaml, sizeof(yaml),
                       FILES "inbound:\n  services:\n    - {name: web, port: 80, target: '%s'}\n"
                             "  edges: [{listen: '[::1]:7000', service: web}]\n"
                             "outbound:\n"
                             "  - {listen: '127.0.0.1:7001', service: a, port: 1, endpoint: 'e:1', "
                             "identity: 'spiffe://td/a'}\n"
                             "  - {listen: 'unix:/run/out', service: a, port: 1, endpoint: 'e:1', "
                             "identity: 'spiffe://td/a'}\n",
                       targets[i]);
        assert_message(yaml, "4:14", "own ports");
    }
}

static void outbound(void **state)
{
    (void)state;
    assert_message(CONTROL "outbound:\n  - {listen: '0.0.0.0:1', service: web}\n", "3:14",
                   "not on loopback");
    assert_message(CONTROL "outbound:\n  - {listen: ':1', service: 'w_b'}\n", "3:29", "service");
    assert_message(CONTROL
                   "outbound:\n  - {listen: '127.0.0.1:1', service: web, endpoint: 'e:1'}\n",
                   "3:14", "go together");
    assert_message(CONTROL "outbound:\n  - {listen: '127.0.0.1:1', service: web, identity: "
                           "'spiffe://td/a'}\n",
                   "3:14", "go together");
    assert_message(CONTROL "outbound:\n  - {listen: '127.0.0.1:1', service: web, endpoint: 'e:1', "
                           "identity: 'spiffe://td/a'}\n",
                   "3:14", "'port'");
    assert_message(CONTROL "outbound:\n  - {listen: '127.0.0.1:1', service: web, endpoint: e, "
                           "identity: 'spiffe://td/a'}\n",
                   "3:53", "host:port");
    assert_message(CONTROL "outbound:\n  - {listen: '127.0.0.1:1', service: web, endpoint: 'e:1', "
                           "identity: 'td/a'}\n",
                   "3:70", "identity");
    assert_message(FILES "outbound:\n  - {listen: '127.0.0.1:1', service: web}\n", "3:14",
                   "without a control plane");
    assert_message(CONTROL
                   "outbound:\n  - {listen: 'unix:/s', service: web, socket_mode: '0888'}\n",
                   "3:14", "octal mode");
    assert_message(CONTROL
                   "outbound:\n  - {listen: 'unix:/s', service: web, socket_mode: '1777'}\n",
                   "3:14", "octal mode");
}

#define MORE "{name: more, certificate: /c, key: /k, bundle: /b}"
static void more_identities(void **state)
{
    (void)state;
    assert_message(CONTROL "identities: [" MORE "]\n", "2:21", "go with 'identity.files'");
    assert_message(FILES "identities: [" MORE ", " MORE "]\n", "2:73", "declared twice");
    assert_message(FILES "identities: [{name: more, certificate: /c, key: /k}]\n", "2:14",
                   "bundle");
    assert_message(FILES "identities: [" MORE "]\ninbound:\n  services:\n"
                         "    - {name: web, port: 80, target: '127.0.0.1:8', as: other}\n",
                   "5:14", "'as: other' names none");
    assert_message(FILES "outbound:\n  - {listen: '127.0.0.1:1', service: web, port: 1, endpoint: "
                         "'e:1', identity: 'spiffe://td/a', as: more}\n",
                   "3:14", "'as: more' names none");
}

static void addresses(void **state)
{
    (void)state;
    assert_message(CONTROL "outbound:\n  - {listen: '127.0.0.1:1', service: a}\n"
                           "  - {listen: '127.0.0.1:1', service: b}\n",
                   "4:14", "listened on twice");
    assert_message(CONTROL "outbound:\n  - {listen: '127.0.0.1:15021', service: a}\n", "3:14",
                   "listened on twice"); // 0.0.0.0:15021 is health's
    assert_message(
        CONTROL
        "inbound: {listen: ':9000', services: [{name: w, port: 80, target: '127.0.0.1:1'}]}\n"
        "outbound:\n  - {listen: '[::1]:9000', service: a}\n",
        "4:14", "listened on twice");
    assert_message(CONTROL "health: 'x:1'\n", "2:9", "health");
    assert_message(CONTROL "metrics: '1.2.3.4'\n", "2:10", "metrics");
    assert_message(CONTROL "local: {listen: '127.0.0.1:1'}\n", "2:17", "unix:/path or off");
    assert_message(CONTROL "local: {listen: 'unix:'}\n", "2:17", "needs a path");
    assert_message(CONTROL "local: {group: no-such-group}\n", "2:16",
                   "there is no group 'no-such-group'");
    assert_message(CONTROL "local: {listen: 'unix:/run/x'}\n"
                           "outbound: [{listen: 'unix:/run/x', service: a}]\n",
                   "3:21", "listened on twice");
}

static void limits(void **state)
{
    (void)state;
    assert_message(CONTROL "workers: 65\n", "2:10", "workers");
    assert_message(CONTROL "zone: 'a/b'\n", "2:7", "zone");
    assert_message(CONTROL "timeouts: {connect: 99ms}\n", "2:21", "connect");
    assert_message(CONTROL "timeouts: {drain: 2h}\n", "2:19", "drain");
    assert_message(CONTROL "timeouts: {connection_grace: 25h}\n", "2:30", "connection_grace");
    assert_message(CONTROL "log: {access: some}\n", "2:15", "access");
}

static void missing_file_is_named(void **state)
{
    struct sidecar_config *config = NULL;
    struct rm_error error = {0};
    (void)state;
    assert_int_equal(sidecar_config_read("/nonexistent/x.yaml", &config, &error), RM_ERR_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nonexistent/x.yaml"));
}

static void failed_allocation_gives_no_configuration(void **state)
{
    static const char yaml[] = CONTROL
        "inbound:\n  services: [{name: web, port: 80, target: ':1', allow: ['spiffe://td/**']}]\n"
        "outbound:\n  - {listen: 'unix:/s', service: web, socket_mode: '0660'}\n";
    struct folder folder;
    char path[256];
    enum rm_err result = RM_ERR_NO_MEMORY;
    (void)state;
    folder_init(&folder);
    folder_write(&folder, "x.yaml", yaml, strlen(yaml), 0600, path);
    for (uint64_t n = 1; result != RM_OK; n++) {
        struct sidecar_config *config = NULL;
        struct rm_error error = {0};
        assert_true(n < 2000);
        rm_alloc_fail_at(n);
        result = sidecar_config_read(path, &config, &error);
        rm_alloc_fail_at(0);
        if (result != RM_OK) {
            assert_int_equal(result, RM_ERR_NO_MEMORY);
            assert_null(config);
        }
        sidecar_config_unref(config);
    }
    folder_deinit(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),
        cmocka_unit_test(inbound),
        cmocka_unit_test(target_of_our_own),
        cmocka_unit_test(outbound),
        cmocka_unit_test(more_identities),
        cmocka_unit_test(addresses),
        cmocka_unit_test(limits),
        cmocka_unit_test(missing_file_is_named),
        cmocka_unit_test(failed_allocation_gives_no_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
