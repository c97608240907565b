// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "listening.h"

int __real_bind(int descriptor, const struct sockaddr *address, socklen_t length);
int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t length);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);

static int bind_error;  // errno of bind(); 0: none
static bool is_v4_only; // a machine without IPv6

int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t length)
{
    if (bind_error != 0) {
        errno = bind_error;
        return -1;
    }
    return __real_bind(descriptor, address, length);
}

int __wrap_socket(int domain, int type, int protocol)
{
    if (is_v4_only && domain == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return __real_socket(domain, type, protocol);
}

static void refuse(const char *text, int system_error, enum rm_err expected, const char *says,
                   const char *advises)
{
    struct listening listening = {.loop = loop_new("listener")};
    const struct listener_options options = listening_options(text);
    struct rm_error error = {0};
    bind_error = system_error;
    assert_int_equal(listening_try(&listening, &options, &error), expected);
    bind_error = 0;
    assert_int_equal(error.code, expected);
    assert_non_null(strstr(error.message, text));
    assert_non_null(strstr(error.message, says));
    assert_non_null(strstr(error.message, advises));
    loop_finish(listening.loop);
}

static void each_cause_has_its_sentence(void **state)
{
    (void)state;
    refuse("127.0.0.1:80", EACCES, RM_ERR_PERMISSION, "permission", "CAP_NET_BIND_SERVICE");
    refuse("192.0.2.1:80", EADDRNOTAVAIL, RM_ERR_CONFIG, "no interface", "ip address");
    refuse("unix:/nonexistent/s", 0, RM_ERR_NOT_FOUND, "does not exist", "create");
    refuse("unix:@taken", EADDRINUSE, RM_ERR_ADDRESS_IN_USE, "another process", "ss -lxp");
    refuse("127.0.0.1:80", EIO, RM_ERR_IO, "Input/output error", "cannot listen");
}

static void a_port_in_use_is_named_with_the_way_to_find_who(void **state)
{
    (void)state;
    struct listening holder;
    char text[STREAM_ADDRESS_TEXT_BYTES];
    char command[STREAM_ADDRESS_TEXT_BYTES + 32];
    listening_open(&holder, "127.0.0.1:0");
    stream_address_text(&holder.at, text);
    snprintf(command, sizeof(command), "ss -ltnp 'sport = %s'", strrchr(text, ':'));
    refuse(text, 0, RM_ERR_ADDRESS_IN_USE, "another process", command);
    listening_close(&holder);
    loop_finish(holder.loop);
}

static void without_ipv6_any_address_is_ipv4s(void **state)
{
    (void)state;
    struct listening listening;
    is_v4_only = true;
    listening_open(&listening, ":0");
    assert_int_equal(listening.at.address.ss_family, AF_INET);
    listening_close(&listening);
    loop_finish(listening.loop);
    refuse("[::1]:80", 0, RM_ERR_UNSUPPORTED, "not supported", "cannot listen");
    is_v4_only = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cause_has_its_sentence),
        cmocka_unit_test(a_port_in_use_is_named_with_the_way_to_find_who),
        cmocka_unit_test(without_ipv6_any_address_is_ipv4s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
