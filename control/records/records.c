// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/records.h"

#include "base/alloc.h"

enum rm_err record_strings_dup(const char *const *items, size_t count, struct record_strings *out)
{
    *out = (struct record_strings){0};
    if (count == 0) {
        return RM_OK;
    }
    out->items = rm_calloc(count, sizeof *out->items);
    if (out->items == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (; out->count < count; out->count++) {
        out->items[out->count] = rm_strdup(items[out->count]);
        if (out->items[out->count] == NULL) {
            record_strings_deinit(out);
            return RM_ERR_NO_MEMORY;
        }
    }
    return RM_OK;
}

void record_strings_deinit(struct record_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++) {
        rm_free(strings->items[i]);
    }
    rm_free(strings->items);
    *strings = (struct record_strings){0};
}

enum rm_err record_bytes_dup(const void *bytes, size_t length, struct record_bytes *out)
{
    *out = (struct record_bytes){0};
    if (length == 0) {
        return RM_OK;
    }
    out->bytes = rm_memdup(bytes, length);
    if (out->bytes == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    out->length = length;
    return RM_OK;
}

void record_bytes_deinit(struct record_bytes *bytes)
{
    rm_free(bytes->bytes);
    *bytes = (struct record_bytes){0};
}

void authority_record_deinit(struct authority_record *record)
{
    record_bytes_deinit(&record->certificate);
    record_bytes_deinit(&record->sealed_key);
    *record = (struct authority_record){0};
}

void served_record_deinit(struct served_record *record)
{
    *record = (struct served_record){0};
}

void token_record_deinit(struct token_record *record)
{
    rm_free(record->identity);
    record_strings_deinit(&record->services);
    record_strings_deinit(&record->address_ranges);
    *record = (struct token_record){0};
}

void lineage_record_deinit(struct lineage_record *record)
{
    rm_free(record->identity);
    record_strings_deinit(&record->services);
    record_strings_deinit(&record->address_ranges);
    rm_free(record->evidence);
    record_bytes_deinit(&record->rejoin_key);
    *record = (struct lineage_record){0};
}

void certificate_record_deinit(struct certificate_record *record)
{
    rm_free(record->identity);
    *record = (struct certificate_record){0};
}

void service_record_deinit(struct service_record *record)
{
    record_strings_deinit(&record->identities);
    record_strings_deinit(&record->allow);
    record_strings_deinit(&record->dns_names);
    *record = (struct service_record){0};
}

void endpoint_record_deinit(struct endpoint_record *record)
{
    rm_free(record->identity);
    rm_free(record->address);
    rm_free(record->zone);
    *record = (struct endpoint_record){0};
}

void withdrawal_record_deinit(struct withdrawal_record *record)
{
    record_bytes_deinit(&record->subject);
    rm_free(record->reason);
    *record = (struct withdrawal_record){0};
}

void rejoin_record_deinit(struct rejoin_record *record)
{
    rm_free(record->identity);
    record_bytes_deinit(&record->public_key);
    *record = (struct rejoin_record){0};
}

void audit_record_deinit(struct audit_record *record)
{
    rm_free(record->action);
    rm_free(record->actor);
    rm_free(record->subject);
    rm_free(record->detail);
    *record = (struct audit_record){0};
}
