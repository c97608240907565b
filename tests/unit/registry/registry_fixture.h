// SPDX-License-Identifier: GPL-3.0-or-later
//
// A registry over a real store in a private folder. Calls wait for their answer.
#pragma once

#include "store_fixture.h"

#include "disk_fault.h"
#include "fake_time.h"
#include "registry/registry.h"

#define TD "td"
#define WEB_ID "spiffe://td/ns/shop/sa/web"
#define CACHE_ID "spiffe://td/ns/shop/sa/cache"
#define LIST(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define FIRST_PROCESS "00000000000000a1"
#define SECOND_PROCESS "00000000000000b2"

struct registry_fixture {
    struct fixture *base;              // loop and store
    struct registry *registry;         // loaded, or NULL
    struct trust_snapshot *trust;      // one root of TD
    uint8_t root_key_id[KEY_ID_BYTES]; // of that root
    size_t changes;                    // on_change calls
};

int registry_fixture_setup(void **state);
int registry_fixture_teardown(void **state);
struct registry_fixture *registry_fixture_new(void);
void registry_fixture_free(struct registry_fixture *fixture);
// The registry ends and begins again, as in a restart; the store stays.
void registry_stop(struct registry_fixture *fixture);
void registry_start(struct registry_fixture *fixture);

// The lineage of workload `number` (0..255).
const uint8_t *lineage(unsigned number);

// On the loop's thread, again and again until it is true.
typedef bool (*fixture_condition)(struct registry_fixture *fixture, const void *context);
void wait_until(struct registry_fixture *fixture, fixture_condition condition, const void *context);
// Timers that become due by it have expired when it returns.
void jump(struct registry_fixture *fixture, uint64_t ms);
void jump_only(struct registry_fixture *fixture, uint64_t ms); // they expire in the next turns

// Lists end with NULL. `revision` 0 creates.
enum rm_err put_service(struct registry_fixture *fixture, const char *name,
                        const char *const *identities, const char *const *allow, uint64_t revision);
// Creates; or replaces whatever revision there is.
void set_service(struct registry_fixture *fixture, const char *name, const char *const *identities,
                 const char *const *allow);
enum rm_err delete_service(struct registry_fixture *fixture, const char *name);
void withdraw(struct registry_fixture *fixture, enum trust_withdrawal_kind kind,
              const uint8_t subject[LINEAGE_BYTES]);
void put_lineage(struct registry_fixture *fixture, const uint8_t id[LINEAGE_BYTES],
                 const char *identity, const char *const *services, const char *const *ranges);

// An endpoint of workload `number` with WEB_ID, its address and zone "".
struct registry_endpoint endpoint_of(unsigned number, const char *service, const char *instance_id,
                                     const char *address);
enum rm_err register_one(struct registry_fixture *fixture,
                         const struct registry_endpoint *endpoint);
// The sentence of the last refusal.
const char *last_sentence(void);
void unregister(struct registry_fixture *fixture, unsigned number, const char *instance_id,
                uint32_t grace_ms);

size_t endpoint_count(struct registry_fixture *fixture, const char *service);
void wait_endpoints(struct registry_fixture *fixture, const char *service, size_t count);
// "" when there is none.
const char *address_in_view(struct registry_fixture *fixture, const char *key);
size_t count_stored(struct registry_fixture *fixture, const char *prefix);
void wait_stored(struct registry_fixture *fixture, const char *prefix, size_t count);
