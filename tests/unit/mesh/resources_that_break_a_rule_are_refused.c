// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

// Checks, compares the message and gives the resource back.
static void refused(struct mesh_resource *resource, enum rm_err code, const char *message)
{
    struct rm_error error = {0};
    assert_int_equal(mesh_resource_check(resource, &error), code);
    assert_int_equal(mesh_resource_check(resource, NULL), code);
    assert_string_equal(rm_error_message(&error), message);
    mesh_resource_unref(resource);
}

static void accepted(struct mesh_resource *resource)
{
    struct rm_error error = {0};
    if (mesh_resource_check(resource, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    mesh_resource_unref(resource);
}

static void malformed(struct mesh_resource *resource, const char *message)
{
    refused(resource, RM_ERR_MALFORMED, message);
}

static void good_ones_pass(void **state)
{
    (void)state;
    accepted(make_bundle("example.org", LIST("root", "other")));
    accepted(make_service("web", 80, LIST(CACHE_ID, WEB_ID), LIST("spiffe://td/**", WEB_ID)));
    accepted(make_endpoint("web/0123456789abcdef", "10.0.0.1:15008", WEB_ID, "eu-1a"));
    accepted(make_endpoint("web.shop/i", "[2001:db8::1]:15008", WEB_ID, ""));
    accepted(make_withdrawal(TRUST_REVOKED_LINEAGE, "12345678", 8, 0));
    accepted(make_withdrawal(TRUST_LAPSED_LINEAGE, "12345678", 8, 0));
    accepted(make_withdrawal(TRUST_REVOKED_IDENTITY, WEB_ID, strlen(WEB_ID), 5));
    accepted(make_withdrawal(TRUST_REVOKED_ISSUER, "12345678901234567890123456789012", 32, 0));
}

static void bundles(void **state)
{
    (void)state;
    malformed(make_bundle("Example.org", LIST("a")),
              "bundle \"Example.org\": 'E' is not allowed in a trust domain (offset 0)");
    malformed(make_bundle("td", LIST()), "bundle \"td\": it has no root");
    malformed(mesh_resource_new(MESH_BUNDLE, "td"), "bundle \"td\": it has no root");
    malformed(make_bundle("td", LIST("a", "")), "bundle \"td\": root 2 has 0 bytes, not 1 to 8192");
    refused(make_bundle("td", LIST("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
                                   "13", "14", "15", "16", "17")),
            RM_ERR_LIMIT, "bundle \"td\": 17 roots are over the limit of 16");
    static char large[TRUST_MAX_ROOT_DER_BYTES + 2];
    memset(large, 'a', TRUST_MAX_ROOT_DER_BYTES + 1);
    malformed(make_bundle("td", LIST(large)),
              "bundle \"td\": root 1 has 8193 bytes, not 1 to 8192");
}

static void services(void **state)
{
    (void)state;
    malformed(make_service("Web", 80, LIST(WEB_ID), LIST()),
              "service \"Web\": a name holds a-z, 0-9, '.' and inner '-' only (offset 0)");
    malformed(make_service("web", 0, LIST(WEB_ID), LIST()), "service \"web\": the port is 0");
    malformed(make_service("web", 80, LIST(), LIST()), "service \"web\": no identity owns it");
    malformed(make_service("web", 80, LIST("web"), LIST()),
              "service \"web\": identity 1: a SPIFFE ID begins with \"spiffe://\" in lower case "
              "(offset 0)");
    malformed(make_service("web", 80, LIST(CACHE_ID, "spiffe://td/x/"), LIST()),
              "service \"web\": identity 2: empty path segment (offset 14)");
    malformed(make_service("web", 80, LIST("spiffe://td"), LIST()),
              "service \"web\": identity 1: the SPIFFE ID has no path");
    malformed(make_service("web", 80, LIST("spiffe://td/remora/control"), LIST()),
              "service \"web\": identity 1: the path /remora is the mesh's own");
    malformed(make_service("web", 80, LIST("spiffe://td/*"), LIST()),
              "service \"web\": identity 1: '*' is not allowed in a path (offset 12)");
    malformed(make_service("web", 80, LIST(WEB_ID, CACHE_ID), LIST()),
              "service \"web\": identity 2 is out of order or repeated");
    malformed(make_service("web", 80, LIST(WEB_ID, WEB_ID), LIST()),
              "service \"web\": identity 2 is out of order or repeated");
    malformed(make_service("web", 80, LIST(WEB_ID), LIST("spiffe://*/a")),
              "service \"web\": allow pattern 1: the trust domain of a pattern must be literal");
    malformed(make_service("web", 80, LIST(WEB_ID), LIST("spiffe://td/b", "spiffe://td/a")),
              "service \"web\": allow pattern 2 is out of order or repeated");
}

static void long_lists_are_over_their_limits(void **state)
{
    (void)state;
    struct mesh_resource *resource = make_service("web", 80, LIST(WEB_ID), LIST());
    resource->of.service.identity_count = MESH_MAX_IDENTITIES + 1; // refused before it is read
    assert_int_equal(mesh_resource_check(resource, NULL), RM_ERR_LIMIT);
    resource->of.service.identity_count = 1;
    resource->of.service.allow_count = POLICY_MAX_RULES + 1;
    assert_int_equal(mesh_resource_check(resource, NULL), RM_ERR_LIMIT);
    resource->of.service.allow_count = 0;
    accepted(resource);
}

static void endpoints(void **state)
{
    (void)state;
    static const char *const keys[] = {"web", "web/",   "web/a/b", "web/a b",
                                       "/a",  "web//a", "web/\x7f"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct mesh_resource *resource = make_endpoint(keys[i], "10.0.0.1:1", WEB_ID, "");
        assert_int_equal(mesh_resource_check(resource, NULL), RM_ERR_MALFORMED);
        mesh_resource_unref(resource);
    }
    malformed(make_endpoint("web", "10.0.0.1:1", WEB_ID, ""),
              "endpoint \"web\": the key is not <service>/<instance> with 1 to 63 of A-Za-z0-9._-");
    malformed(make_endpoint("Web/a", "10.0.0.1:1", WEB_ID, ""),
              "endpoint \"Web/a\": a name holds a-z, 0-9, '.' and inner '-' only (offset 0)");
    malformed(make_endpoint("web/a", "10.0.0.1", WEB_ID, ""),
              "endpoint \"web/a\": an address is written 10.0.0.1:15008 or [2001:db8::1]:15008");
    malformed(make_endpoint("web/a", ":15008", WEB_ID, ""),
              "endpoint \"web/a\": the host is no IPv4 address and no IPv6 address in brackets");
    malformed(make_endpoint("web/a", "10.0.0.1:1", "spiffe://td/remora", ""),
              "endpoint \"web/a\": the path /remora is the mesh's own");
    malformed(make_endpoint("web/a", "10.0.0.1:1", WEB_ID, "a b"),
              "endpoint \"web/a\": the zone is not up to 63 of A-Za-z0-9._-");
    malformed(mesh_resource_new(MESH_ENDPOINT, "web/a"),
              "endpoint \"web/a\": address, identity or zone is missing");
}

static struct mesh_resource *spoilt_withdrawal(const char *key, int64_t before_s, int64_t expires_s)
{
    struct mesh_resource *resource = mesh_resource_new(MESH_WITHDRAWAL, key);
    resource->of.withdrawal =
        (struct mesh_withdrawal){.kind = TRUST_REVOKED_LINEAGE,
                                 .key = {rm_memdup("\x01\x02\x03\x04\x05\x06\x07\x08", 8), 8},
                                 .before_s = before_s,
                                 .expires_s = expires_s};
    return resource;
}

static void withdrawals(void **state)
{
    (void)state;
    accepted(spoilt_withdrawal("1:0102030405060708", 0, 0));
    malformed(spoilt_withdrawal("2:0102030405060708", 0, 0),
              "withdrawal \"2:0102030405060708\": the key does not name its subject");
    malformed(spoilt_withdrawal("1:0102030405060709", 0, 0),
              "withdrawal \"1:0102030405060709\": the key does not name its subject");
    malformed(spoilt_withdrawal("1:0102030405060708", -1, 0),
              "withdrawal \"1:0102030405060708\": a time is before 1970");
    malformed(spoilt_withdrawal("1:0102030405060708", 0, -1),
              "withdrawal \"1:0102030405060708\": a time is before 1970");
    malformed(make_withdrawal(TRUST_REVOKED_LINEAGE, "1234567", 7, 0),
              "withdrawal \"1:31323334353637\": 7 bytes are no subject of a withdrawal of kind 1");
    malformed(
        make_withdrawal(TRUST_REVOKED_ISSUER, "12345678", 8, 0),
        "withdrawal \"4:3132333435363738\": 8 bytes are no subject of a withdrawal of kind 4");
    malformed(make_withdrawal(TRUST_REVOKED_IDENTITY, "12345678", 8, 0),
              "withdrawal \"3:12345678\": 8 bytes are no subject of a withdrawal of kind 3");
    malformed(mesh_resource_new(MESH_WITHDRAWAL, "1:"),
              "withdrawal \"1:\": 0 bytes are no subject of a withdrawal of kind 1");
}

static void keys_are_fit_for_messages(void **state)
{
    (void)state;
    malformed(mesh_resource_new(MESH_SERVICE, ""), "a resource's key has not 1 to 2050 bytes");
    malformed(mesh_resource_new(MESH_SERVICE, "a\nb"),
              "a resource's key holds byte 0x0a (offset 1)");
    malformed(mesh_resource_new(MESH_SERVICE, "\x1b[31m"),
              "a resource's key holds byte 0x1b (offset 0)");
    malformed(mesh_resource_new(MESH_SERVICE, "a\x7f"),
              "a resource's key holds byte 0x7f (offset 1)");
    malformed(mesh_resource_new(MESH_SERVICE, "\xc3\xa9"),
              "a resource's key holds byte 0xc3 (offset 0)");
    static char large[2052];
    memset(large, 'a', sizeof(large) - 1);
    malformed(mesh_resource_new(MESH_SERVICE, large), "a resource's key has not 1 to 2050 bytes");
    struct mesh_resource *resource = mesh_resource_new(MESH_SERVICE, "a");
    resource->kind = (enum mesh_kind)7;
    malformed(resource, "a resource of unknown kind 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_pass),
        cmocka_unit_test(bundles),
        cmocka_unit_test(services),
        cmocka_unit_test(long_lists_are_over_their_limits),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(withdrawals),
        cmocka_unit_test(keys_are_fit_for_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
