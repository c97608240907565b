// SPDX-License-Identifier: GPL-3.0-or-later
//
// A disk that fails on command: the calls below are wrapped at link time (--wrap), so that SQLite
// and the store meet the error where the kernel would give it. Thread-safe.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum disk_call { DISK_SYNC, DISK_WRITE, DISK_TRUNCATE, DISK_RENAME, DISK_CALL_COUNT };

// The `nth` call from now (1: the next) and the `count` - 1 after it fail with `system_error`;
// count 0: until disk_fault_clear().
void disk_fault_fail(enum disk_call call, size_t nth, size_t count, int system_error);
void disk_fault_clear(void);
// Calls made since the start.
size_t disk_fault_calls(enum disk_call call);
// The next sync waits until disk_fault_release(); disk_fault_wait_held() returns once it does.
void disk_fault_hold_sync(void);
void disk_fault_wait_held(void);
void disk_fault_release(void);
