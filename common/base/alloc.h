// SPDX-License-Identifier: GPL-3.0-or-later
//
// The one place memory comes from. Every room, and every library that accepts an allocator
// (wolfSSL, libuv, nghttp2, SQLite, c-ares, jansson, protobuf-c), allocates through these, so that
// limits and fault tests reach inside them. Thread-safe.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// NULL when memory is exhausted or a fault was injected. Size 0 gives a unique pointer.
void *rm_malloc(size_t size);
void *rm_calloc(size_t count, size_t size);
void *rm_realloc(void *block, size_t size);
char *rm_strdup(const char *text);
char *rm_strndup(const char *text, size_t length);
void *rm_memdup(const void *bytes, size_t length);
// `block` may be NULL.
void rm_free(void *block);

// Gives the pages of freed memory back to the system, also those between blocks in use, which
// free() keeps. Milliseconds when there is much; without glibc nothing.
void rm_give_back(void);

// Overwrites memory so that the compiler cannot leave it out.
void rm_wipe(void *block, size_t size);
// Wipes `size` bytes, then frees. `block` may be NULL.
void rm_free_wiped(void *block, size_t size);
// Wipes and frees a NUL-terminated string. `text` may be NULL.
void rm_free_wiped_string(char *text);

// Constant-time comparison of two equally long blocks.
bool rm_equal_secret(const void *a, const void *b, size_t size);

// Fault injection for tests. The n-th allocation from now (1 = the next) fails, once; 0 disarms.
// Counts allocations of the calling thread only.
void rm_alloc_fail_at(uint64_t n);
// Allocations made by the calling thread since the last rm_alloc_fail_at().
uint64_t rm_alloc_count(void);
