// SPDX-License-Identifier: GPL-3.0-or-later
//
// Names to addresses through c-ares, asynchronously on a loop. Reads the system's configuration
// (resolv.conf, hosts), again when it has changed. One per loop; belongs to its thread.
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"
#include "loop/loop.h"

#define RESOLVER_MAX_ADDRESSES 64 // per answer; the rest is dropped
#define RESOLVER_TIMEOUT_MS 5000  // whole look-up, all servers and tries

struct resolver;
struct resolver_lookup;

// Errors: RM_ERR_IO (configuration unreadable), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err resolver_open(struct loop *loop, struct resolver **out,
                                       struct rm_error *error);
// Cancels what is pending (their callbacks get RM_ERR_CANCELLED), then frees itself.
void resolver_close(struct resolver *resolver);

// `addresses` is borrowed for the call; ports are filled in.
typedef void (*resolver_fn)(void *context, enum rm_err result,
                            const struct sockaddr_storage *addresses, size_t count);
// Called exactly once, later, from the loop; literal addresses too. Errors: RM_ERR_NO_MEMORY (then
// the callback is not called). *lookup (may be NULL) is for resolver_cancel.
RM_NODISCARD enum rm_err resolver_lookup(struct resolver *resolver, const char *name, uint16_t port,
                                         resolver_fn on_answer, void *context,
                                         struct resolver_lookup **lookup);
// The callback is not called afterwards.
void resolver_cancel(struct resolver_lookup *lookup);
