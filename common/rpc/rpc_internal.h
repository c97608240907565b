// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the rpc room: the call that both sides share, metadata, and the built-in services.
#pragma once

#include <string.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/map.h"
#include "loop/loop.h"
#include "rpc/rpc.h"

// --- rpc_status.c ---
enum rpc_status rpc_status_from_http(const char *http_status);
enum rpc_status rpc_status_from_h2(uint32_t code);

// --- rpc_metadata.c ---
#define RPC_USER_AGENT "remora/0.1.0"
#define RPC_TIMEOUT_TEXT_BYTES 16
#define RPC_STATUS_TEXT_WIRE_BYTES (3 * RPC_MAX_STATUS_TEXT_BYTES + 1)

// NULL when there is none.
const struct h2_header *rpc_header_find(const struct h2_header *headers, size_t count,
                                        const char *name);
// `header` may be NULL.
bool rpc_header_is(const struct h2_header *header, const char *value);
struct h2_header rpc_header(const char *name, const char *value);
bool rpc_content_type_is_grpc(const struct h2_header *header);
// "100m", "5S" ... to milliseconds, rounded up. Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err rpc_timeout_parse(const char *text, uint64_t *timeout_ms);
void rpc_timeout_format(uint32_t timeout_ms, char out[RPC_TIMEOUT_TEXT_BYTES]);
// grpc-message: percent-encoding both ways; longer text is cut.
void rpc_text_encode(const char *text, char out[RPC_STATUS_TEXT_WIRE_BYTES]);
void rpc_text_decode(const char *wire, char out[RPC_MAX_STATUS_TEXT_BYTES + 1]);
enum rpc_status rpc_status_parse(const char *text);

// --- rpc_message.c ---
#define RPC_PREFIX_BYTES 5

// Cuts a body into messages.
struct rpc_reader {
    uint8_t prefix[RPC_PREFIX_BYTES]; // of the current message
    size_t prefix_bytes;              // of it received; 0 between messages
    size_t needed_bytes;              // the current message's length, once the prefix is whole
    size_t limit_bytes;               // largest message
    size_t reserved_bytes;            // of *assembling_bytes taken by the current message
    size_t *assembling_bytes;         // borrowed: sum over the connection
    struct buffer message;            // what came of the current message
};

// One message, borrowed. False: no more is wanted.
typedef bool (*rpc_message_fn)(void *context, const uint8_t *bytes, size_t length);

void rpc_reader_init(struct rpc_reader *reader, size_t limit, size_t *assembling_bytes);
void rpc_reader_deinit(struct rpc_reader *reader);
// False while a message is incomplete.
bool rpc_reader_is_between(const struct rpc_reader *reader);
// Errors: RM_ERR_TOO_LARGE, RM_ERR_UNSUPPORTED (compressed), RM_ERR_PROTOCOL, RM_ERR_NO_MEMORY,
// RM_ERR_CLOSED (the receiver wanted no more).
RM_NODISCARD enum rm_err rpc_reader_feed(struct rpc_reader *reader, const uint8_t *bytes,
                                         size_t length, rpc_message_fn on_message, void *context);
// Queues one message with its prefix. Errors: as h2_stream_send.
RM_NODISCARD enum rm_err rpc_message_send(struct h2_stream *stream, const uint8_t *bytes,
                                          size_t length);

// --- rpc_call.c ---
// NEW (server: headers awaited) -> OPEN -> ENDED (the status is decided) -> freed after on_close
enum rpc_call_state { RPC_CALL_NEW, RPC_CALL_OPEN, RPC_CALL_ENDED };

struct rpc_call {
    bool is_server;                           // which side we are
    enum rpc_call_state state;                // see above
    struct h2_session *session;               // borrowed
    struct h2_stream *stream;                 // borrowed; NULL once it closed
    struct rpc_reader reader;                 // what comes in
    struct timer deadline;                    // grpc-timeout, or the client's own
    struct timer receive;                     // server: a message that began must end
    enum rpc_status status;                   // ENDED: the verdict
    void *context;                            // the user's
    struct rpc_connection *connection;        // server: borrowed
    const struct rpc_method *method;          // server: NULL until found
    bool is_open_told;                        // server: on_open said RPC_OK, so on_close is owed
    bool is_head_sent;                        // server: response headers left
    bool is_compression_named;                // server: grpc-encoding was other than identity
    struct buffer request;                    // server, unary: held until the client's end
    bool has_request;                         // server, unary: `request` is whole
    const struct rpc_client_handler *handler; // client: borrowed, static
    char *text;                               // client: the server's message; owned, may be NULL
};

// NULL when memory is exhausted.
struct rpc_call *rpc_call_new(struct h2_session *session, bool is_server);
void rpc_call_free(struct rpc_call *call);

// --- rpc_server.c ---
struct rpc_entry {
    const struct rpc_method *method; // borrowed
    void *context;                   // for its on_open
};

// A service with methods, or one whose health was set.
struct rpc_service {
    struct list node;    // in server->services
    char *name;          // owned
    bool has_methods;    // false: only its health is known
    bool has_own_health; // false: follows the whole server
    bool is_serving;     // its own health
};

struct rpc_connection {
    struct list node;           // in server->connections
    struct rpc_server *server;  // borrowed
    struct h2_session *session; // owned by itself until on_end
    size_t assembling_bytes;    // announced by unfinished messages
};

struct rpc_server {
    struct loop *loop;                 // borrowed
    struct map *methods;               // path -> struct rpc_entry, owned
    struct list services;              // struct rpc_service
    struct list connections;           // struct rpc_connection
    size_t connection_count;           // in it
    bool is_serving;                   // health of the whole server
    bool is_draining;                  // no new connections
    struct timer drain_timer;          // the drain's deadline
    struct deferred drained;           // tells of the drain's end
    rpc_done_fn on_drained;            // may be NULL
    void *drained_context;             // for on_drained
    struct list watches;               // struct rpc_watch: health watchers
    struct rpc_descriptors *contracts; // owned; NULL without reflection
};

const struct rpc_entry *rpc_server_find(const struct rpc_server *server, const char *path,
                                        size_t length);
// NULL when unknown.
struct rpc_service *rpc_service_find(const struct rpc_server *server, const char *name);

// --- rpc_server_call.c ---
// A session handler's on_stream; `context` is the rpc_connection.
enum rm_err rpc_server_call_open(void *context, struct h2_stream *stream,
                                 const struct h2_stream_handler **handler, void **handler_context);

// --- rpc_health.c ---
// The health of one service or of all changed: watchers are told. With the drain they are ended.
void rpc_health_changed(struct rpc_server *server);

// --- rpc_descriptors.c: a serialised FileDescriptorSet, looked at in place ---
struct rpc_view {
    const uint8_t *bytes; // borrowed
    size_t length;        // of bytes
};

struct rpc_descriptor_file {
    struct rpc_view name;    // "remora/mesh/v1/mesh.proto"
    struct rpc_view package; // "remora.mesh.v1"
    struct rpc_view bytes;   // the serialised FileDescriptorProto
};

struct rpc_descriptors {
    size_t count;                       // of files
    struct rpc_descriptor_file files[]; // in the set's order
};

#define RPC_DESCRIPTOR_NONE SIZE_MAX
// Errors: RM_ERR_MALFORMED, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err rpc_descriptors_new(const uint8_t *set, size_t length,
                                             struct rpc_descriptors **out);
// Index of a file, or RPC_DESCRIPTOR_NONE.
size_t rpc_descriptors_find_file(const struct rpc_descriptors *set, struct rpc_view name);
// The file that declares a service, method, message, field, enum or value by its full name.
size_t rpc_descriptors_find_symbol(const struct rpc_descriptors *set, const char *symbol);
// The file and all it imports, each once, the file first. `indices` holds set->count.
size_t rpc_descriptors_closure(const struct rpc_descriptors *set, size_t file, size_t *indices);

// --- rpc_wire.c: health and reflection messages ---
enum rpc_health_status { RPC_HEALTH_SERVING = 1, RPC_HEALTH_NOT_SERVING, RPC_HEALTH_UNKNOWN };

#define RPC_HEALTH_RESPONSE_BYTES 16
#define RPC_MAX_SERVICE_NAME_BYTES 255
// Errors: RM_ERR_MALFORMED, RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err rpc_wire_read_health(const uint8_t *bytes, size_t length,
                                              char service[RPC_MAX_SERVICE_NAME_BYTES + 1]);
size_t rpc_wire_write_health(enum rpc_health_status status, uint8_t out[RPC_HEALTH_RESPONSE_BYTES]);

enum rpc_question_kind {
    RPC_ASK_NOTHING,    // none of those below
    RPC_ASK_FILE,       // by name
    RPC_ASK_SYMBOL,     // the file that declares it
    RPC_ASK_EXTENSION,  // the file that declares an extension of `text`
    RPC_ASK_EXTENSIONS, // numbers of all extensions of `text`
    RPC_ASK_SERVICES,   // all services
};
struct rpc_question {
    enum rpc_question_kind kind; // which
    const char *text;            // borrowed; never NULL
};
// One of: files, service names, an empty list of extension numbers, an error.
struct rpc_reflection_answer {
    struct rpc_view *files;     // owned array of borrowed views; may be NULL
    size_t file_count;          // in files
    char **services;            // owned array of borrowed names; may be NULL
    size_t service_count;       // in services
    bool has_services;          // also when there are none
    bool has_extension_numbers; // the type is known and has none
    enum rpc_status error;      // RPC_OK: none
    const char *error_text;     // static
};
// Fills *answer, whose arrays the caller frees. Errors: RM_ERR_NO_MEMORY.
typedef enum rm_err (*rpc_reflect_fn)(void *context, const struct rpc_question *question,
                                      struct rpc_reflection_answer *answer);
// Decodes a ServerReflectionRequest, asks, encodes the response: *out is the caller's. v1 and
// v1alpha share one wire form. Errors: RM_ERR_MALFORMED, RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err rpc_wire_reflect(const uint8_t *bytes, size_t length,
                                          rpc_reflect_fn reflect, void *context, uint8_t **out,
                                          size_t *out_length);
