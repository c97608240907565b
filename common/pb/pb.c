// SPDX-License-Identifier: GPL-3.0-or-later
#include "pb/pb.h"

#include <stdbool.h>

#include "base/alloc.h"

// What one pb_unpack() may still take, and why it stopped.
struct budget {
    size_t left_bytes;     // memory not yet taken
    bool is_spent;         // an allocation went over it
    bool is_out_of_memory; // the system had none
};

static void *plain_alloc(void *data, size_t size)
{
    (void)data;
    return rm_malloc(size);
}

static void plain_free(void *data, void *block)
{
    (void)data;
    rm_free(block);
}

// Sums what is taken, not what is held at once: protobuf-c does not tell sizes when it frees.
static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left_bytes) {
        budget->is_spent = true;
        return NULL;
    }
    budget->left_bytes -= size;
    void *block = rm_malloc(size);
    budget->is_out_of_memory = block == NULL;
    return block;
}

ProtobufCAllocator *pb_allocator(void)
{
    static ProtobufCAllocator allocator = {plain_alloc, plain_free, NULL};
    return &allocator;
}

// On error *out is freed and NULL.
static enum rm_err check_repacks(const ProtobufCMessageDescriptor *type, size_t length,
                                 ProtobufCMessage **out, struct rm_error *error)
{
    if (protobuf_c_message_get_packed_size(*out) == length) {
        return RM_OK;
    }
    pb_free(*out);
    *out = NULL;
    return rm_error_set(
        error, RM_ERR_MALFORMED,
        "the %s is encoded ambiguously: a NUL byte in a string, a repeated field or "
        "an overlong number",
        type->short_name);
}

enum rm_err pb_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t length,
                      size_t max_bytes, ProtobufCMessage **out, struct rm_error *error)
{
    *out = NULL;
    if (length > max_bytes || length > (SIZE_MAX - PB_MEMORY_BASE_BYTES) / PB_MEMORY_PER_BYTE) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "%s of %zu bytes is over the limit of %zu",
                            type->short_name, length, max_bytes);
    }
    struct budget budget = {.left_bytes = PB_MEMORY_BASE_BYTES + type->sizeof_message +
                                          length * PB_MEMORY_PER_BYTE};
    ProtobufCAllocator allocator = {budget_alloc, plain_free, &budget};
    *out = protobuf_c_message_unpack(type, &allocator, length, bytes);
    if (*out != NULL) {
        return check_repacks(type, length, out, error);
    }
    if (budget.is_out_of_memory) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to read a %s", type->short_name);
    }
    if (budget.is_spent) {
        return rm_error_set(error, RM_ERR_TOO_LARGE,
                            "%s of %zu bytes takes memory out of proportion", type->short_name,
                            length);
    }
    return rm_error_set(error, RM_ERR_MALFORMED, "%zu bytes are no valid %s", length,
                        type->short_name);
}

void pb_free(ProtobufCMessage *message)
{
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, pb_allocator());
    }
}

enum rm_err pb_pack(const ProtobufCMessage *message, size_t max_bytes, uint8_t **bytes,
                    size_t *length)
{
    *bytes = NULL;
    *length = 0;
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > max_bytes) {
        return RM_ERR_TOO_LARGE;
    }
    *bytes = rm_malloc(size);
    if (*bytes == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    *length = protobuf_c_message_pack(message, *bytes);
    return RM_OK;
}
