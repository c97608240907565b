// SPDX-License-Identifier: GPL-3.0-or-later
#include "stream/descriptors.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

static atomic_int pledged_count;
static _Atomic uint64_t last_shortage_ms; // 0: never

void descriptors_pledge(int count)
{
    atomic_fetch_add_explicit(&pledged_count, count, memory_order_relaxed);
}

bool descriptors_are_scarce(int descriptor, bool has_reserve)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return false;
    }
    int64_t most = (int64_t)limit.rlim_cur;
    int64_t reserve = most / DESCRIPTORS_RESERVE_PART;
    reserve = reserve < DESCRIPTORS_RESERVE ? reserve : DESCRIPTORS_RESERVE;
    int64_t kept = has_reserve
                       ? reserve / 2
                       : reserve + atomic_load_explicit(&pledged_count, memory_order_relaxed);
    return (int64_t)descriptor + 1 >= most - kept;
}

bool descriptors_would_be_scarce(int descriptor, bool has_reserve)
{
    int next = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (next < 0) {
        return true;
    }
    (void)close(next);
    return descriptors_are_scarce(next, has_reserve);
}

bool descriptors_note_shortage(uint64_t now_ms)
{
    uint64_t last_ms = atomic_exchange_explicit(&last_shortage_ms, now_ms, memory_order_relaxed);
    // Another loop's time may be a little ahead of ours.
    return last_ms == 0 || (now_ms > last_ms && now_ms - last_ms >= DESCRIPTORS_QUIET_MS);
}
