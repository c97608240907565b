// SPDX-License-Identifier: GPL-3.0-or-later
//
// A relay's error, and the side it came from, make the name of a connection's end; the tunnel may
// be either side of the relay.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "worker/connection.h"

static const struct {
    enum rm_err error;         // the relay's
    enum fault on_tunnel;      // when the tunnel failed
    enum fault on_application; // when the application did
} rows[] = {
    {RM_OK, FAULT_OK, FAULT_OK},
    {RM_ERR_TIMEOUT, FAULT_IDLE_TIMEOUT, FAULT_IDLE_TIMEOUT},
    {RM_ERR_VANISHED, FAULT_PEER_VANISHED, FAULT_APPLICATION_VANISHED},
    {RM_ERR_TRUNCATED, FAULT_TUNNEL_TRUNCATED, FAULT_APPLICATION_RESET},
    {RM_ERR_RESET, FAULT_TUNNEL_RESET, FAULT_APPLICATION_RESET},
    {RM_ERR_TLS, FAULT_TUNNEL_RESET, FAULT_APPLICATION_RESET},
};

static enum fault name_of(enum rm_err error, enum relay_side failed, enum relay_side tunnel)
{
    struct connection connection = {.result = FAULT_OK};
    struct relay_result relay = {
        .error = error, .failed = failed, .a_to_b_bytes = 1, .b_to_a_bytes = 2};
    connection_note_relay(&connection, &relay, tunnel);
    assert_int_equal(connection.sent_bytes, tunnel == RELAY_B ? 1 : 2);
    assert_int_equal(connection.received_bytes, tunnel == RELAY_B ? 2 : 1);
    rm_free(connection.detail);
    return connection.result;
}

static void each_row_from_each_side(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(name_of(rows[i].error, RELAY_A, RELAY_A), rows[i].on_tunnel);
        assert_int_equal(name_of(rows[i].error, RELAY_B, RELAY_A), rows[i].on_application);
        assert_int_equal(name_of(rows[i].error, RELAY_B, RELAY_B), rows[i].on_tunnel);
        assert_int_equal(name_of(rows[i].error, RELAY_A, RELAY_B), rows[i].on_application);
    }
}

static void the_first_name_stands(void **state)
{
    (void)state;
    struct connection connection = {.result = FAULT_OK};
    connection_fail(&connection, FAULT_CERTIFICATE_REVOKED, "ended by the mesh");
    connection_note_relay(
        &connection, &(struct relay_result){.error = RM_ERR_RESET, .failed = RELAY_A}, RELAY_A);
    assert_int_equal(connection.result, FAULT_CERTIFICATE_REVOKED);
    assert_string_equal(connection.detail, "ended by the mesh");
    rm_free(connection.detail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_from_each_side),
        cmocka_unit_test(the_first_name_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
