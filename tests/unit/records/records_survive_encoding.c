// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "records/records_wire.h"

static char *texts[] = {"one", "two", "three"};
#define STRINGS(n) ((struct record_strings){texts, (n)})
static uint8_t some[] = {1, 2, 3, 0, 255};
#define SOME ((struct record_bytes){some, sizeof some})

static void fill(uint8_t *bytes, size_t length, uint8_t first)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
}

static void assert_strings(const struct record_strings *strings, size_t count)
{
    assert_int_equal(strings->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(strings->items[i], texts[i]);
    }
}

static void assert_some(const struct record_bytes *bytes)
{
    assert_int_equal(bytes->length, sizeof some);
    assert_memory_equal(bytes->bytes, some, sizeof some);
}

// Encodes `in`, decodes into `out`, and lets every allocation of the decoding fail once.
#define ROUND_TRIP(noun, in, out)                                                                  \
    do {                                                                                           \
        uint8_t *bytes = NULL;                                                                     \
        size_t length = 0;                                                                         \
        assert_int_equal(noun##_encode((in), &bytes, &length), RM_OK);                             \
        enum rm_err result = RM_ERR_NO_MEMORY;                                                     \
        for (uint64_t n = 1; result != RM_OK; n++) {                                               \
            rm_alloc_fail_at(n);                                                                   \
            result = noun##_decode(bytes, length, (out));                                          \
            assert_true(result == RM_OK || result == RM_ERR_NO_MEMORY);                            \
        }                                                                                          \
        rm_alloc_fail_at(0);                                                                       \
        rm_free(bytes);                                                                            \
    } while (0)

static void token(void **state)
{
    (void)state;
    struct token_record in = {.identity = "spiffe://td/a",
                              .services = STRINGS(2),
                              .address_ranges = STRINGS(3),
                              .created_at_s = 5,
                              .expires_at_s = INT64_C(1) << 40};
    struct token_record out;
    fill(in.secret_hash, sizeof in.secret_hash, 7);
    ROUND_TRIP(token_record, &in, &out);
    assert_string_equal(out.identity, in.identity);
    assert_strings(&out.services, 2);
    assert_strings(&out.address_ranges, 3);
    assert_int_equal(out.created_at_s, 5);
    assert_int_equal(out.expires_at_s, INT64_C(1) << 40);
    assert_int_equal(out.used_at_s, 0);
    assert_memory_equal(out.secret_hash, in.secret_hash, sizeof in.secret_hash);
    token_record_deinit(&out);

    in.used_at_s = 9;
    fill(in.used_key_hash, sizeof in.used_key_hash, 70);
    fill(in.lineage, sizeof in.lineage, 90);
    ROUND_TRIP(token_record, &in, &out);
    assert_int_equal(out.used_at_s, 9);
    assert_memory_equal(out.used_key_hash, in.used_key_hash, sizeof in.used_key_hash);
    assert_memory_equal(out.lineage, in.lineage, sizeof in.lineage);
    token_record_deinit(&out);
}

static void lineage(void **state)
{
    (void)state;
    struct lineage_record in = {.identity = "spiffe://td/a",
                                .services = STRINGS(1),
                                .address_ranges = STRINGS(0),
                                .attested_at_s = 1,
                                .not_after_s = 2,
                                .state = LINEAGE_REVOKED,
                                .evidence = "rejoin",
                                .rejoin_key = SOME};
    struct lineage_record out;
    fill(in.serial, sizeof in.serial, 3);
    fill(in.key_hash, sizeof in.key_hash, 4);
    ROUND_TRIP(lineage_record, &in, &out);
    assert_strings(&out.services, 1);
    assert_strings(&out.address_ranges, 0);
    assert_memory_equal(out.serial, in.serial, sizeof in.serial);
    assert_memory_equal(out.key_hash, in.key_hash, sizeof in.key_hash);
    assert_false(out.has_previous);
    assert_int_equal(out.attested_at_s, 1);
    assert_int_equal(out.not_after_s, 2);
    assert_int_equal(out.state, LINEAGE_REVOKED);
    assert_string_equal(out.evidence, "rejoin");
    assert_some(&out.rejoin_key);
    lineage_record_deinit(&out);

    in.has_previous = true;
    fill(in.previous_serial, sizeof in.previous_serial, 99);
    ROUND_TRIP(lineage_record, &in, &out);
    assert_true(out.has_previous);
    assert_memory_equal(out.previous_serial, in.previous_serial, sizeof in.previous_serial);
    lineage_record_deinit(&out);
}

static void certificate_and_rejoin(void **state)
{
    (void)state;
    struct certificate_record in = {.identity = "i", .not_before_s = -1, .not_after_s = 77};
    struct certificate_record out;
    fill(in.lineage, sizeof in.lineage, 1);
    fill(in.issuer_key_id, sizeof in.issuer_key_id, 2);
    ROUND_TRIP(certificate_record, &in, &out);
    assert_string_equal(out.identity, "i");
    assert_int_equal(out.not_before_s, -1);
    assert_int_equal(out.not_after_s, 77);
    assert_memory_equal(out.lineage, in.lineage, sizeof in.lineage);
    assert_memory_equal(out.issuer_key_id, in.issuer_key_id, sizeof in.issuer_key_id);
    certificate_record_deinit(&out);

    struct rejoin_record rejoin = {.identity = "i", .public_key = SOME, .expires_s = 3};
    struct rejoin_record rejoin_out;
    fill(rejoin.lineage, sizeof rejoin.lineage, 8);
    ROUND_TRIP(rejoin_record, &rejoin, &rejoin_out);
    assert_some(&rejoin_out.public_key);
    assert_int_equal(rejoin_out.expires_s, 3);
    assert_memory_equal(rejoin_out.lineage, rejoin.lineage, sizeof rejoin.lineage);
    rejoin_record_deinit(&rejoin_out);
}

static void served(void **state)
{
    (void)state;
    struct served_record in = {.replaced_at_s = 1700000000};
    struct served_record out;
    fill(in.store_id, sizeof in.store_id, 3);
    ROUND_TRIP(served_record, &in, &out);
    assert_memory_equal(out.store_id, in.store_id, sizeof in.store_id);
    assert_int_equal(out.replaced_at_s, 1700000000);
    served_record_deinit(&out);
}

static void service_endpoint_and_withdrawal(void **state)
{
    (void)state;
    struct service_record service = {.port = 65535,
                                     .identities = STRINGS(3),
                                     .allow = STRINGS(2),
                                     .is_guarded = true,
                                     .dns_names = STRINGS(1)};
    struct service_record service_out;
    ROUND_TRIP(service_record, &service, &service_out);
    assert_int_equal(service_out.port, 65535);
    assert_strings(&service_out.identities, 3);
    assert_strings(&service_out.allow, 2);
    assert_strings(&service_out.dns_names, 1);
    assert_true(service_out.is_guarded);
    service_record_deinit(&service_out);

    struct endpoint_record endpoint = {.identity = "i", .address = "10.0.0.1:1", .zone = ""};
    struct endpoint_record endpoint_out;
    fill(endpoint.lineage, sizeof endpoint.lineage, 8);
    ROUND_TRIP(endpoint_record, &endpoint, &endpoint_out);
    assert_string_equal(endpoint_out.address, "10.0.0.1:1");
    assert_string_equal(endpoint_out.zone, "");
    assert_memory_equal(endpoint_out.lineage, endpoint.lineage, sizeof endpoint.lineage);
    endpoint_record_deinit(&endpoint_out);

    for (int kind = TRUST_REVOKED_LINEAGE; kind <= TRUST_REVOKED_ISSUER; kind++) {
        struct withdrawal_record withdrawal = {.kind = (enum trust_withdrawal_kind)kind,
                                               .subject = SOME,
                                               .before_s = 1,
                                               .expires_s = 2,
                                               .reason = "why"};
        struct withdrawal_record withdrawal_out;
        ROUND_TRIP(withdrawal_record, &withdrawal, &withdrawal_out);
        assert_int_equal(withdrawal_out.kind, kind);
        assert_some(&withdrawal_out.subject);
        assert_int_equal(withdrawal_out.before_s, 1);
        assert_int_equal(withdrawal_out.expires_s, 2);
        assert_string_equal(withdrawal_out.reason, "why");
        withdrawal_record_deinit(&withdrawal_out);
    }
}

static void authority_and_audit(void **state)
{
    (void)state;
    struct authority_record authority = {.certificate = SOME};
    struct authority_record authority_out;
    ROUND_TRIP(authority_record, &authority, &authority_out);
    assert_some(&authority_out.certificate);
    assert_int_equal(authority_out.sealed_key.length, 0);
    authority_record_deinit(&authority_out);

    struct audit_record audit = {"revoke", "uid 0", "spiffe://td/a", ""};
    struct audit_record audit_out;
    ROUND_TRIP(audit_record, &audit, &audit_out);
    assert_string_equal(audit_out.action, "revoke");
    assert_string_equal(audit_out.actor, "uid 0");
    assert_string_equal(audit_out.subject, "spiffe://td/a");
    assert_string_equal(audit_out.detail, "");
    audit_record_deinit(&audit_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token),
        cmocka_unit_test(lineage),
        cmocka_unit_test(certificate_and_rejoin),
        cmocka_unit_test(served),
        cmocka_unit_test(service_endpoint_and_withdrawal),
        cmocka_unit_test(authority_and_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
