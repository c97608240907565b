// SPDX-License-Identifier: GPL-3.0-or-later
#include "sidecar_parts.h"

#include "base/log.h"

static void least_configuration_has_the_defaults(void **state)
{
    (void)state;
    struct sidecar_config *config = config_of(
        "identity: {control: {address: 'control:15010', trust_domain: td, state_dir: /s}}\n");
    char text[STREAM_ADDRESS_TEXT_BYTES];
    stream_address_text(&config->inbound_address, text);
    assert_string_equal(text, "0.0.0.0:15008");
    stream_address_text(&config->health_address, text);
    assert_string_equal(text, "0.0.0.0:15021");
    stream_address_text(&config->metrics_address, text);
    assert_string_equal(text, "0.0.0.0:15020");
    assert_true(config->has_local);
    assert_null(config->local_listen);
    stream_address_text(&config->local_address, text);
    assert_string_equal(text, "unix:/run/remora/sidecar.sock");
    assert_true(config->local_gid == GROUP_NONE);
    assert_int_equal(config->workers, 0);
    assert_int_equal(config->drain_ms, 25000);
    assert_int_equal(config->connection_grace_ms, 300000);
    assert_int_equal(config->idle_timeout_ms, 0);
    assert_int_equal(config->connect_timeout_ms, 5000);
    assert_int_equal(config->view_wait_ms, 5000);
    assert_int_equal(config->vanished_ms, SOCKET_VANISHED_MS);
    assert_int_equal(config->handshakes, 4096);
    assert_int_equal(config->handshakes_per_source, 2048);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(config->log_format, LOG_FORMAT_AUTO);
    assert_int_equal(config->access_log, ACCESS_LOG_ERRORS);
    assert_null(config->zone);
    assert_true(config->is_resuming);
    assert_int_equal(config->control.lifetime_ms, 0);
    assert_int_equal(config->services.count + config->edges.count + config->outbound.count, 0);
    sidecar_config_unref(config);
}

static void everything_reaches_its_field(void **state)
{
    (void)state;
    struct sidecar_config *config = config_of(
        "identity:\n"
        "  files:\n"
        "    certificate: /c\n"
        "    key: /k\n"
        "    bundle: /b\n"
        "    federated: [{trust_domain: else.test, bundle: /e}]\n"
        "inbound:\n"
        "  listen: '10.0.0.1:15108'\n"
        "  services:\n"
        "    - {name: web, port: 80, target: 'unix:/run/web', allow: ['spiffe://td/**']}\n"
        "    - {name: cache, port: 6379, target: '127.0.0.1:6379'}\n"
        "  edges: [{listen: ':8443', service: cache}]\n"
        "outbound:\n"
        "  - {listen: '0.0.0.0:7000', expose: true, service: api, port: 443, endpoint: 'h:15008',\n"
        "     identity: 'spiffe://td/api'}\n"
        "  - {listen: 'unix:/run/out', service: api, port: 443, endpoint: '[::1]:15008',\n"
        "     identity: 'spiffe://td/api', socket_mode: '0660'}\n"
        "health: '127.0.0.1:1'\n"
        "metrics: '127.0.0.1:2'\n"
        "local: {listen: 'unix:/run/here', group: '4711'}\n"
        "zone: east-1\n"
        "workers: 3\n"
        "timeouts: {drain: 0s, connection_grace: 1m, idle: 30s, connect: 1s, first_view: 0s,\n"
        "  vanished: 3s}\n"
        "limits: {handshakes: 7, handshakes_per_source: 3}\n"
        "log: {level: debug, format: json, access: all}\n");
    const struct sidecar_federated *federated = config->files.federated.items;
    const struct sidecar_inbound_service *services = config->services.items;
    const struct sidecar_edge *edges = config->edges.items;
    const struct sidecar_outbound *outbound = config->outbound.items;
    assert_string_equal(federated[0].trust_domain, "else.test");
    assert_string_equal(federated[0].bundle, "/e");
    assert_int_equal(config->services.count, 2);
    assert_int_equal(services[0].target_address.address.ss_family, AF_UNIX);
    assert_int_equal(services[0].allow.count, 1);
    assert_int_equal(services[1].port, 6379);
    assert_int_equal(services[1].allow.count, 0);
    assert_string_equal(edges[0].service, "cache");
    assert_int_equal(config->outbound.count, 2);
    assert_true(outbound[0].is_exposed);
    assert_int_equal(outbound[0].mode, 0600);
    assert_int_equal(outbound[1].mode, 0660);
    assert_string_equal(outbound[1].endpoint, "[::1]:15008");
    assert_true(config->has_local);
    assert_string_equal(config->local_listen, "unix:/run/here");
    assert_int_equal(config->local_gid, 4711);
    assert_string_equal(config->zone, "east-1");
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->drain_ms, 0);
    assert_int_equal(config->connection_grace_ms, 60000);
    assert_int_equal(config->idle_timeout_ms, 30000);
    assert_int_equal(config->connect_timeout_ms, 1000);
    assert_int_equal(config->view_wait_ms, 0);
    assert_int_equal(config->vanished_ms, 3000);
    assert_int_equal(config->handshakes, 7);
    assert_int_equal(config->handshakes_per_source, 3);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->log_format, LOG_FORMAT_JSON);
    assert_int_equal(config->access_log, ACCESS_LOG_ALL);
    sidecar_config_ref(config);
    sidecar_config_unref(config);
    assert_string_equal(config->health_listen, "127.0.0.1:1");
    sidecar_config_unref(config);
    sidecar_config_unref(NULL);
}

// An address of one family says nothing about the other's.
static void same_port_of_another_address_is_free(void **state)
{
    (void)state;
    sidecar_config_unref(
        config_of("identity: {control: {address: 'c:1', trust_domain: td, state_dir: /s}}\n"
                  "inbound: {listen: '0.0.0.0:9000'}\n"
                  "outbound:\n  - {listen: '[::1]:9000', service: a}\n"
                  "  - {listen: '[::1]:9001', service: a}\n"
                  "  - {listen: '127.0.0.1:9001', service: a}\n"
                  "  - {listen: '127.0.0.2:9001', service: a}\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_configuration_has_the_defaults),
        cmocka_unit_test(everything_reaches_its_field),
        cmocka_unit_test(same_port_of_another_address_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
