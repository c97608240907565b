// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reads the paths of all methods from a serialised FileDescriptorSet (descriptor.proto): file 1;
// of a file: package 2, service 6; of a service: name 1, method 2; of a method: name 1.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct piece {
    const uint8_t *bytes; // borrowed
    size_t length;        // of bytes
};

static inline uint64_t piece_varint(struct piece *piece)
{
    uint64_t value = 0;
    for (unsigned shift = 0; piece->length > 0; shift += 7) {
        uint8_t byte = *piece->bytes++;
        piece->length--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    return value;
}

// The next length-delimited field; others are stepped over. False at the end.
static inline bool piece_next(struct piece *piece, uint64_t *field, struct piece *content)
{
    while (piece->length > 0) {
        uint64_t tag = piece_varint(piece);
        size_t skip = 0;
        switch (tag & 7) {
        case 0:
            (void)piece_varint(piece);
            break;
        case 1:
            skip = 8;
            break;
        case 5:
            skip = 4;
            break;
        default:
            *field = tag >> 3;
            content->length = (size_t)piece_varint(piece);
            content->bytes = piece->bytes;
            piece->bytes += content->length;
            piece->length -= content->length;
            return true;
        }
        piece->bytes += skip;
        piece->length -= skip;
    }
    return false;
}

static inline struct piece piece_find(struct piece piece, uint64_t wanted)
{
    struct piece content = {0};
    uint64_t field = 0;
    while (piece_next(&piece, &field, &content)) {
        if (field == wanted) {
            return content;
        }
    }
    return (struct piece){0};
}

typedef void (*method_fn)(void *context, const char *path);

static inline void service_methods(struct piece package, struct piece service, method_fn visit,
                                   void *context)
{
    struct piece name = piece_find(service, 1);
    struct piece method;
    uint64_t field = 0;
    while (piece_next(&service, &field, &method)) {
        if (field == 2) {
            struct piece method_name = piece_find(method, 1);
            char path[256];
            snprintf(path, sizeof path, "/%.*s.%.*s/%.*s", (int)package.length,
                     (const char *)package.bytes, (int)name.length, (const char *)name.bytes,
                     (int)method_name.length, (const char *)method_name.bytes);
            visit(context, path);
        }
    }
}

static inline void descriptor_methods(const uint8_t *set, size_t length, method_fn visit,
                                      void *context)
{
    struct piece all = {set, length};
    struct piece file;
    uint64_t field = 0;
    while (piece_next(&all, &field, &file)) {
        struct piece package = piece_find(file, 2);
        struct piece rest = file;
        struct piece service;
        while (piece_next(&rest, &field, &service)) {
            if (field == 6) {
                service_methods(package, service, visit, context);
            }
        }
    }
}
