// SPDX-License-Identifier: GPL-3.0-or-later
#include "disk_fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

int __real_rename(const char *from, const char *to);

struct fault {
    size_t calls;     // made so far
    size_t first;     // number of the first failing call; 0: none
    size_t last;      // number of the last failing call; 0: no end
    int system_error; // its errno, or KILL
};

#define KILL (-1)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct fault faults[DISK_CALL_COUNT];
static bool should_hold; // the next sync waits
static bool is_held;     // a sync waits

// True when this call fails; errno is set.
static bool meets_fault(enum disk_call call)
{
    pthread_mutex_lock(&mutex);
    struct fault *fault = &faults[call];
    size_t number = ++fault->calls;
    bool fails =
        fault->first != 0 && number >= fault->first && (fault->last == 0 || number <= fault->last);
    int system_error = fault->system_error;
    pthread_mutex_unlock(&mutex);
    if (fails && system_error == KILL) {
        raise(SIGKILL);
    }
    if (fails) {
        errno = system_error;
    }
    return fails;
}

static void wait_if_held(void)
{
    pthread_mutex_lock(&mutex);
    if (should_hold) {
        is_held = true;
        pthread_cond_broadcast(&changed);
        while (should_hold) {
            pthread_cond_wait(&changed, &mutex);
        }
        is_held = false;
    }
    pthread_mutex_unlock(&mutex);
}

void disk_fault_fail(enum disk_call call, size_t nth, size_t count, int system_error)
{
    pthread_mutex_lock(&mutex);
    struct fault *fault = &faults[call];
    fault->first = fault->calls + nth;
    fault->last = count > 0 ? fault->first + count - 1 : 0;
    fault->system_error = system_error;
    pthread_mutex_unlock(&mutex);
}

void disk_fault_kill(enum disk_call call, size_t nth)
{
    disk_fault_fail(call, nth, 1, KILL);
}

void disk_fault_clear(void)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < DISK_CALL_COUNT; i++) {
        faults[i].first = 0;
    }
    pthread_mutex_unlock(&mutex);
}

size_t disk_fault_calls(enum disk_call call)
{
    pthread_mutex_lock(&mutex);
    size_t calls = faults[call].calls;
    pthread_mutex_unlock(&mutex);
    return calls;
}

void disk_fault_hold_sync(void)
{
    pthread_mutex_lock(&mutex);
    should_hold = true;
    pthread_mutex_unlock(&mutex);
}

void disk_fault_wait_held(void)
{
    pthread_mutex_lock(&mutex);
    while (!is_held) {
        pthread_cond_wait(&changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
}

void disk_fault_release(void)
{
    pthread_mutex_lock(&mutex);
    should_hold = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

// --- What a power cut leaves. --------------------------------------------------------------------

static bool keeps_synced; // set before there are threads

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    FILE *source = fopen(from, "rb");
    FILE *target = fopen(to, "wb");
    size_t got = 0;
    while (source != NULL && target != NULL && (got = fread(bytes, 1, sizeof(bytes), source)) > 0) {
        fwrite(bytes, 1, got, target);
    }
    if (source != NULL) {
        fclose(source);
    }
    if (target != NULL) {
        fclose(target);
    }
}

static void keep_synced(int descriptor)
{
    char link[64];
    char path[512] = {0};
    char copy[600];
    struct stat status;
    if (!keeps_synced || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    if (readlink(link, path, sizeof(path) - 1) > 0) {
        snprintf(copy, sizeof(copy), "%s.synced", path);
        copy_file(path, copy);
    }
}

void disk_fault_keep_synced(void)
{
    keeps_synced = true;
}

void disk_fault_cut_power(const char *file)
{
    char copy[600];
    snprintf(copy, sizeof(copy), "%s.synced", file);
    if (__real_rename(copy, file) != 0) {
        unlink(file);
    }
}

// --- The wrapped calls. --------------------------------------------------------------------------

static bool skips_syncs; // set before there are threads

void disk_fault_skip_syncs(void)
{
    skips_syncs = true;
}

int __real_fdatasync(int descriptor);
int __wrap_fdatasync(int descriptor);
int __wrap_fdatasync(int descriptor)
{
    wait_if_held();
    if (meets_fault(DISK_SYNC)) {
        return -1;
    }
    keep_synced(descriptor);
    return skips_syncs ? 0 : __real_fdatasync(descriptor);
}

int __real_fsync(int descriptor);
int __wrap_fsync(int descriptor);
int __wrap_fsync(int descriptor)
{
    if (meets_fault(DISK_SYNC)) {
        return -1;
    }
    keep_synced(descriptor);
    return skips_syncs ? 0 : __real_fsync(descriptor);
}

ssize_t __real_pwrite64(int descriptor, const void *bytes, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int descriptor, const void *bytes, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int descriptor, const void *bytes, size_t length, off_t offset)
{
    return meets_fault(DISK_WRITE) ? -1 : __real_pwrite64(descriptor, bytes, length, offset);
}

ssize_t __real_write(int descriptor, const void *bytes, size_t length);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t length);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t length)
{
    struct stat status;
    // The loop's bell is a descriptor too.
    bool is_file = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    return is_file && meets_fault(DISK_WRITE) ? -1 : __real_write(descriptor, bytes, length);
}

int __real_ftruncate64(int descriptor, off_t length);
int __wrap_ftruncate64(int descriptor, off_t length);
int __wrap_ftruncate64(int descriptor, off_t length)
{
    return meets_fault(DISK_TRUNCATE) ? -1 : __real_ftruncate64(descriptor, length);
}

int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    return meets_fault(DISK_RENAME) ? -1 : __real_rename(from, to);
}
