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
// The `nth` call from now kills the process before it reaches the disk.
void disk_fault_kill(enum disk_call call, size_t nth);
void disk_fault_clear(void);
// From now on syncs succeed without reaching the disk: for tests that make very many.
void disk_fault_skip_syncs(void);
// From now on each file that is synced leaves a copy beside it, "<file>.synced": what a power cut
// would leave of it at worst. disk_fault_cut_power() puts that in the place of `file`; a file that
// was never synced goes.
void disk_fault_keep_synced(void);
void disk_fault_cut_power(const char *file);
// Calls made since the start.
size_t disk_fault_calls(enum disk_call call);
// The next sync waits until disk_fault_release(); disk_fault_wait_held() returns once it does.
void disk_fault_hold_sync(void);
void disk_fault_wait_held(void);
void disk_fault_release(void);
