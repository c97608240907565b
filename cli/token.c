// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora token ...
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "commands.h"
#include "show.h"

// --- Create.

struct creation {
    const struct args *args; // borrowed
    int descriptor;          // of --out; -1: none
    enum cli_exit status;    // CLI_REFUSED until it was shown
};

static enum rm_err write_all(int descriptor, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(descriptor, text, length);
        if (written < 0 && errno != EINTR) {
            return rm_err_from_errno(errno);
        }
        size_t step = written > 0 ? (size_t)written : 0;
        text += step;
        length -= step;
    }
    return RM_OK;
}

static enum rm_err keep_token(const struct creation *creation, const struct wire_token *token)
{
    RM_TRY(write_all(creation->descriptor, token->secret, strlen(token->secret)));
    RM_TRY(write_all(creation->descriptor, "\n", 1));
    return fsync(creation->descriptor) == 0 ? RM_OK : rm_err_from_errno(errno);
}

static enum cli_exit token_json(const struct creation *creation, const struct wire_token *token)
{
    struct json *object = json_object_new();
    bool is_whole = true;
    if (creation->descriptor < 0) {
        is_whole = json_set_string(object, "token", token->secret);
    } else {
        is_whole = json_set_string(object, "token_file", args_value(creation->args, "out"));
    }
    is_whole = is_whole && json_set_string(object, "id", token->id) &&
               show_set_time(object, "expires_at", "expires_at_s", token->expires_at_s);
    return show_json(object, is_whole);
}

static enum rm_err visit_created(void *context, const struct wire_token *token)
{
    struct creation *creation = context;
    char expires[CLOCK_RFC3339_BYTES];
    if (creation->descriptor >= 0) {
        RM_TRY(keep_token(creation, token));
    }
    if (creation->args->is_json) {
        creation->status = token_json(creation, token);
        return RM_OK;
    }
    show_time(token->expires_at_s, expires);
    // The token alone on standard output, so that a script can take it as it is.
    if (creation->descriptor < 0) {
        printf("%s\n", token->secret);
    }
    fprintf(stderr, "token %s: for one workload, to be used before %s\n", token->id, expires);
    creation->status = CLI_OK;
    return RM_OK;
}

static enum cli_exit create_with(struct creation *creation, struct wire_bytes *request)
{
    struct wire_bytes answer = {0};
    enum cli_exit status = exchange(creation->args, "CreateToken", request, &answer);
    if (status != CLI_OK) {
        return status;
    }
    enum rm_err result =
        wire_read_created_token(answer.bytes, answer.length, visit_created, creation);
    wire_bytes_deinit(&answer);
    return result == RM_OK ? creation->status : show_failure(result);
}

// The file is made before the token: a token that nobody sees would be lost.
static enum cli_exit create_into(const struct args *args, struct wire_bytes *request)
{
    const char *path = args_value(args, "out");
    struct creation creation = {.args = args, .descriptor = -1, .status = CLI_REFUSED};
    if (path == NULL) {
        return create_with(&creation, request);
    }
    creation.descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (creation.descriptor < 0) {
        fprintf(stderr, "remora: no token was made: %s cannot be created: %s\n", path,
                strerror(errno));
        wire_bytes_deinit(request);
        return CLI_REFUSED;
    }
    enum cli_exit status = create_with(&creation, request);
    if (close(creation.descriptor) != 0 && status == CLI_OK) {
        status = show_failure(RM_ERR_IO);
    }
    if (status != CLI_OK) {
        unlink(path);
    }
    return status;
}

static enum rm_err make_request(const struct args *args, uint32_t lifetime_s,
                                struct wire_bytes *out)
{
    struct wire_create_token token = {.identity = args_value(args, "identity"),
                                      .lifetime_s = lifetime_s};
    enum rm_err result = args_values(args, "service", &token.services.items, &token.services.count);
    if (result == RM_OK) {
        result = args_values(args, "address-range", &token.address_ranges.items,
                             &token.address_ranges.count);
    }
    if (result == RM_OK) {
        result = wire_create_token(&token, out);
    }
    rm_free(token.services.items);
    rm_free(token.address_ranges.items);
    return result;
}

enum cli_exit token_create(const struct args *args)
{
    struct wire_bytes request = {0};
    struct rm_error error = {0};
    int64_t lifetime_ms = 0;
    const char *ttl = args_value(args, "ttl");
    if (ttl != NULL && duration_parse(ttl, &lifetime_ms, &error) != RM_OK) {
        fprintf(stderr, "remora: --ttl: %s\n", rm_error_message(&error));
        return CLI_USAGE;
    }
    if (ttl != NULL && lifetime_ms < 1000) {
        fputs("remora: --ttl is at least 1s\n", stderr);
        return CLI_USAGE;
    }
    enum rm_err result = make_request(args, (uint32_t)(lifetime_ms / 1000), &request);
    return result == RM_OK ? create_into(args, &request) : show_unsendable(result);
}

// --- List.

static const char *token_state(const struct wire_token *token)
{
    if (token->used_at_s != 0) {
        return "used";
    }
    return token->expires_at_s <= clock_wall_s() ? "expired" : "unused";
}

static enum rm_err visit_row(void *context, const struct wire_token *token)
{
    struct table *table = context;
    char expires[CLOCK_RFC3339_BYTES];
    char used[CLOCK_RFC3339_BYTES];
    show_time(token->expires_at_s, expires);
    show_time(token->used_at_s, used);
    table_add(table, token->id);
    table_add(table, token->identity);
    table_add_list(table, token->services.items, token->services.count);
    table_add(table, token_state(token));
    table_add(table, expires);
    table_add(table, used);
    return RM_OK;
}

static enum rm_err visit_entry(void *context, const struct wire_token *token)
{
    struct json *object = json_object_new();
    bool is_whole = json_set_string(object, "id", token->id) &&
                    json_set_string(object, "identity", token->identity) &&
                    show_set_texts(object, "services", &token->services) &&
                    json_set_string(object, "state", token_state(token)) &&
                    show_set_time(object, "expires_at", "expires_at_s", token->expires_at_s) &&
                    show_set_time(object, "used_at", "used_at_s", token->used_at_s);
    return json_append(context, object) && is_whole ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err read_list(const struct wire_bytes *answer, bool is_json, void *target)
{
    return wire_read_tokens(answer->bytes, answer->length, is_json ? visit_entry : visit_row,
                            target);
}

enum cli_exit token_list(const struct args *args)
{
    static const char *const heading[] = {"ID", "IDENTITY", "SERVICES", "STATE", "EXPIRES", "USED"};
    static const struct list_view view = {
        .method = "ListTokens",
        .key = "tokens",
        .hint = "no tokens: 'remora token create' makes one",
        .heading = heading,
        .column_count = sizeof heading / sizeof *heading,
        .read = read_list,
    };
    struct wire_bytes request = {0};
    return show_list(args, &view, &request);
}

// --- Delete.

enum cli_exit token_delete(const struct args *args)
{
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum rm_err result = wire_delete_token(args->argument, &request);
    if (result != RM_OK) {
        return show_unsendable(result);
    }
    enum cli_exit status = exchange(args, "DeleteToken", &request, &answer);
    if (status != CLI_OK) {
        return status;
    }
    wire_bytes_deinit(&answer);
    return show_deleted(args, "token");
}
