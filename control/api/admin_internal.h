// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the Admin service: one call, its life, and what its handlers share.
#pragma once

#include "api/admin.h"
#include "api/admin_wire.h"
#include "base/machine.h"
#include "base/map.h"

#define ADMIN_READ_PAGE 500 // entries of one answer of the store while a list is made
#define ADMIN_RETRIES 1     // of a change whose record was changed by someone else meanwhile

struct admin_api {
    struct admin_api_options options; // rooms are borrowed
    size_t call_count;                // struct admin_call that live
    uint64_t next_id;                 // of calls, for traces
    bool is_backing_up;               // one at a time: the store takes no more
    bool is_freed;                    // by its owner; goes with the last call
};

enum admin_call_state {
    ADMIN_CALL_ACTIVE,   // ours to act
    ADMIN_CALL_WAITING,  // another room owes an answer
    ADMIN_CALL_SENDING,  // backup: goes on when the caller took some
    ADMIN_CALL_ANSWERED, // ended; waits for its close
    ADMIN_CALL_ORPHANED, // closed, and another room still owes an answer
};

struct admin_call {
    struct admin_api *api;         // counts this
    struct rpc_call *rpc;          // borrowed until its close
    struct sm sm;                  // enum admin_call_state, see admin.c
    enum admin_method method;      // which
    struct admin_request request;  // owned
    struct buffer response;        // of at most RPC_MAX_MESSAGE_BYTES; wiped
    char *actor;                   // for audit records; owned
    void *work;                    // the handler's own; owned
    void (*work_free)(void *work); // how `work` goes
    char *scan_next;               // key at which the next page begins; owned, NULL: no scan
    const char *scan_prefix;       // static
    enum rm_err (*scan_on_entry)(struct admin_call *call, const struct store_entry *entry);
    void (*scan_on_end)(struct admin_call *call);
};

// --- admin.c
// Another room took over: its callback begins with admin_call_resume().
void admin_call_wait(struct admin_call *call);
// False: the caller is gone, and now `call` is, too.
bool admin_call_resume(struct admin_call *call);
// Sends `response` and ends with OK.
void admin_call_answer(struct admin_call *call);
// `result` is that of filling `response`.
void admin_call_answer_if(struct admin_call *call, enum rm_err result);
void admin_call_refuse(struct admin_call *call, enum rpc_status status, const char *format, ...)
    RM_PRINTF(3, 4);
// The status that belongs to `result`; `sentence` NULL: the code's text.
void admin_call_fail(struct admin_call *call, enum rm_err result, const char *sentence);
// Takes `work`; NULL: out of memory, the call is ended and false returned.
bool admin_call_set_work(struct admin_call *call, void *work, void (*work_free)(void *work));
// Reads everything under `prefix` page by page. `on_entry` appends to `response`; its first error
// ends the call. Then `on_end`.
void admin_call_scan(struct admin_call *call, const char *prefix,
                     enum rm_err (*on_entry)(struct admin_call *call,
                                             const struct store_entry *entry),
                     void (*on_end)(struct admin_call *call));

// --- Handlers: each answers, refuses, fails or waits.
#define ADMIN_HANDLER(name, wire, handler) void handler(struct admin_call *call);
ADMIN_METHOD_LIST(ADMIN_HANDLER)
#undef ADMIN_HANDLER
// The caller took some of what was sent.
void admin_backup_on_writable(struct admin_call *call);
// What a crash left.
void admin_backup_clean(struct admin_api *api);

// --- admin_text.c
// "ns/<namespace>/sa/<account>" gets "spiffe://<trust domain>/" before it; all else stays. NULL
// when memory is exhausted; free with rm_free().
char *admin_full_identity(const struct admin_api *api, const char *text);
bool admin_strings_have(const struct record_strings *strings, const char *text);
// Appends a copy unless it is there. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err admin_strings_add(struct record_strings *strings, const char *text);
// False when it was not there.
bool admin_strings_remove(struct record_strings *strings, const char *text);

// --- admin_connected.c: what the connected sidecars said, to look up by instance or by serial.
struct admin_connected;
struct admin_connected *admin_connected_new(const struct push *push);
void admin_connected_free(struct admin_connected *connected);
struct admin_instance {
    char *instance_id;                       // owned
    uint64_t view_version;                   // acknowledged; 0: none
    uint8_t view_hash[MESH_WIRE_HASH_BYTES]; // when view_version is not 0
    int64_t next_renewal_s;                  // 0: unknown
    char *last_error;                        // owned; NULL: none
};
// NULL when it is not connected.
const struct admin_instance *admin_connected_instance(const struct admin_connected *connected,
                                                      const char *instance_id);
// By the serial of the certificate that it reported last.
const struct admin_instance *admin_connected_serial(const struct admin_connected *connected,
                                                    const uint8_t serial[ISSUE_SERIAL_BYTES]);

// --- admin_certificates.c
// "live", "renewed", "expired", "revoked" or "lapsed". `lineage` is NULL when its record is gone.
const char *admin_certificate_state(const struct certificate_record *certificate,
                                    const uint8_t serial[ISSUE_SERIAL_BYTES],
                                    const struct lineage_record *lineage, int64_t now_s);

// --- admin_status.c
// Certificates that are the newest of a live lineage and have not ended.
bool admin_lineage_is_live(const struct lineage_record *record, int64_t now_s);
