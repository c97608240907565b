// SPDX-License-Identifier: GPL-3.0-or-later
//
// A serialised google.protobuf.FileDescriptorSet, looked at in place: reflection hands the files
// out as the bytes they are, so only names need reading. Field numbers are descriptor.proto's.
#include "base/alloc.h"
#include "rpc/rpc_internal.h"

#define WIRE_VARINT 0
#define WIRE_64BIT 1
#define WIRE_LENGTH 2
#define WIRE_32BIT 5

enum { SET_FILE = 1 };
enum {
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7
};
enum { DECLARATION_NAME = 1 }; // the same in every kind of descriptor
enum {
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_EXTENSION = 6,
    MESSAGE_ONEOF = 8
};
enum { ENUM_VALUE = 2 };
enum { SERVICE_METHOD = 2 };

enum kind { KIND_MESSAGE, KIND_ENUM, KIND_SERVICE, KIND_LEAF };

struct field {
    uint64_t number;      // of the field
    struct rpc_view view; // its bytes; empty when it is not length-delimited
};

static bool read_varint(struct rpc_view *rest, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && rest->length > 0; shift += 7) {
        uint8_t byte = *rest->bytes++;
        rest->length--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

static bool skip(struct rpc_view *rest, uint64_t length)
{
    if (length > rest->length) {
        return false;
    }
    rest->bytes += length;
    rest->length -= (size_t)length;
    return true;
}

// Takes the next field off `rest`. False at the end and at a fault.
static bool next_field(struct rpc_view *rest, struct field *field)
{
    uint64_t tag = 0;
    uint64_t value = 0;
    if (!read_varint(rest, &tag)) {
        return false;
    }
    *field = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(rest, &value);
    case WIRE_64BIT:
        return skip(rest, 8);
    case WIRE_32BIT:
        return skip(rest, 4);
    case WIRE_LENGTH:
        if (!read_varint(rest, &value)) {
            return false;
        }
        field->view = (struct rpc_view){rest->bytes, (size_t)value};
        return skip(rest, value);
    default:
        return false;
    }
}

static bool is_equal(struct rpc_view a, struct rpc_view b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

static struct rpc_view view_of(const char *text)
{
    return (struct rpc_view){(const uint8_t *)text, strlen(text)};
}

// The first field of that number, or an empty view.
static struct rpc_view find_field(struct rpc_view message, uint64_t number)
{
    struct field field;
    while (next_field(&message, &field)) {
        if (field.number == number) {
            return field.view;
        }
    }
    return (struct rpc_view){NULL, 0};
}

// Errors: RM_ERR_MALFORMED.
static enum rm_err count_files(struct rpc_view set, size_t *count)
{
    struct field field;
    *count = 0;
    while (set.length > 0) {
        if (!next_field(&set, &field)) {
            return RM_ERR_MALFORMED;
        }
        *count += field.number == SET_FILE ? 1 : 0;
    }
    return RM_OK;
}

enum rm_err rpc_descriptors_new(const uint8_t *set, size_t length, struct rpc_descriptors **out)
{
    struct rpc_view rest = {set, length};
    size_t count = 0;
    RM_TRY(count_files(rest, &count));
    struct rpc_descriptors *descriptors =
        rm_malloc(sizeof(*descriptors) + count * sizeof(descriptors->files[0]));
    if (descriptors == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    descriptors->count = 0;
    struct field field;
    while (next_field(&rest, &field)) {
        if (field.number == SET_FILE) {
            descriptors->files[descriptors->count++] =
                (struct rpc_descriptor_file){find_field(field.view, FILE_NAME),
                                             find_field(field.view, FILE_PACKAGE), field.view};
        }
    }
    *out = descriptors;
    return RM_OK;
}

size_t rpc_descriptors_find_file(const struct rpc_descriptors *set, struct rpc_view name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (is_equal(set->files[i].name, name)) {
            return i;
        }
    }
    return RPC_DESCRIPTOR_NONE;
}

static enum kind kind_in_file(uint64_t number, bool *is_declaration)
{
    *is_declaration = number >= FILE_MESSAGE && number <= FILE_EXTENSION;
    return number == FILE_MESSAGE   ? KIND_MESSAGE
           : number == FILE_ENUM    ? KIND_ENUM
           : number == FILE_SERVICE ? KIND_SERVICE
                                    : KIND_LEAF;
}

static enum kind kind_in(enum kind parent, uint64_t number, bool *is_declaration)
{
    if (parent != KIND_MESSAGE) { // values of an enum, methods of a service
        *is_declaration = parent != KIND_LEAF && number == ENUM_VALUE;
        return KIND_LEAF;
    }
    *is_declaration = number == MESSAGE_FIELD || number == MESSAGE_NESTED ||
                      number == MESSAGE_ENUM || number == MESSAGE_EXTENSION ||
                      number == MESSAGE_ONEOF;
    return number == MESSAGE_NESTED ? KIND_MESSAGE : number == MESSAGE_ENUM ? KIND_ENUM : KIND_LEAF;
}

static bool declares(struct rpc_view descriptor, enum kind kind, struct rpc_view symbol);

// Does something inside this declaration have the name `symbol` ("Inner.field")?
static bool declares_inside(struct rpc_view descriptor, enum kind kind, struct rpc_view symbol)
{
    struct field field;
    while (next_field(&descriptor, &field)) {
        bool is_declaration = false;
        enum kind inner = kind_in(kind, field.number, &is_declaration);
        if (is_declaration && declares(field.view, inner, symbol)) {
            return true;
        }
    }
    return false;
}

// Is it this declaration, or one inside?
static bool declares(struct rpc_view descriptor, enum kind kind, struct rpc_view symbol)
{
    struct rpc_view name = find_field(descriptor, DECLARATION_NAME);
    if (is_equal(name, symbol)) {
        return true;
    }
    // The values of an enum are also names of the scope around it.
    if (kind == KIND_ENUM && declares_inside(descriptor, kind, symbol)) {
        return true;
    }
    if (symbol.length <= name.length || symbol.bytes[name.length] != '.' ||
        memcmp(symbol.bytes, name.bytes, name.length) != 0) {
        return false;
    }
    const struct rpc_view rest = {symbol.bytes + name.length + 1, symbol.length - name.length - 1};
    return declares_inside(descriptor, kind, rest);
}

static bool file_declares(const struct rpc_descriptor_file *file, struct rpc_view symbol)
{
    size_t prefix = file->package.length;
    if (prefix > 0) {
        if (symbol.length <= prefix || symbol.bytes[prefix] != '.' ||
            memcmp(symbol.bytes, file->package.bytes, prefix) != 0) {
            return false;
        }
        symbol = (struct rpc_view){symbol.bytes + prefix + 1, symbol.length - prefix - 1};
    }
    struct rpc_view rest = file->bytes;
    struct field field;
    while (next_field(&rest, &field)) {
        bool is_declaration = false;
        enum kind kind = kind_in_file(field.number, &is_declaration);
        if (is_declaration && declares(field.view, kind, symbol)) {
            return true;
        }
    }
    return false;
}

size_t rpc_descriptors_find_symbol(const struct rpc_descriptors *set, const char *symbol)
{
    for (size_t i = 0; i < set->count; i++) {
        if (file_declares(&set->files[i], view_of(symbol))) {
            return i;
        }
    }
    return RPC_DESCRIPTOR_NONE;
}

static bool is_listed(const size_t *indices, size_t count, size_t index)
{
    for (size_t i = 0; i < count; i++) {
        if (indices[i] == index) {
            return true;
        }
    }
    return false;
}

// Breadth first: the list is the queue.
size_t rpc_descriptors_closure(const struct rpc_descriptors *set, size_t file, size_t *indices)
{
    size_t count = 0;
    indices[count++] = file;
    for (size_t next = 0; next < count; next++) {
        struct rpc_view rest = set->files[indices[next]].bytes;
        struct field field;
        while (next_field(&rest, &field)) {
            if (field.number != FILE_DEPENDENCY) {
                continue;
            }
            size_t import = rpc_descriptors_find_file(set, field.view);
            if (import != RPC_DESCRIPTOR_NONE && !is_listed(indices, count, import)) {
                indices[count++] = import;
            }
        }
    }
    return count;
}
