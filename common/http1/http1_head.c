// SPDX-License-Identifier: GPL-3.0-or-later
//
// Judging a request head (RFC 9112). Strict where parsers differ: a bare CR or LF, folded lines,
// white space before a colon, two Hosts or any body are refused, so that nobody can hide a second
// request.
#include <string.h>
#include <strings.h>

#include "http1/http1_internal.h"

enum rm_err http1_head_find(const uint8_t *bytes, size_t length, size_t *head_bytes)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = bytes[i];
        bool is_text = byte >= 0x20 ? byte != 0x7f : byte == '\t' || byte == '\r' || byte == '\n';
        bool is_bare_lf = byte == '\n' && (i == 0 || bytes[i - 1] != '\r');
        bool is_bare_cr = byte != '\n' && i > 0 && bytes[i - 1] == '\r';
        if (!is_text || is_bare_lf || is_bare_cr) {
            return RM_ERR_MALFORMED;
        }
        if (byte == '\n' && i >= 3 && memcmp(bytes + i - 3, "\r\n\r\n", 4) == 0) {
            *head_bytes = i + 1;
            return RM_OK;
        }
    }
    return RM_ERR_WOULD_BLOCK;
}

// Cuts the next line off, NUL in place of its CR. There is always one: the head ends with CRLF.
static char *take_line(char **rest)
{
    char *line = *rest;
    char *end = strstr(line, "\r\n");
    *end = '\0';
    *rest = end + 2;
    return line;
}

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(const char *text)
{
    size_t length = 0;
    while (is_token_char(text[length])) {
        length++;
    }
    return length > 0 && text[length] == '\0';
}

// "/path?query", or the absolute form, of which the authority is dropped (RFC 9112 3.2.2).
static int parse_target(char *target, struct http1_request *request)
{
    if (strncasecmp(target, "http://", 7) == 0) {
        char *path = strchr(target + 7, '/');
        if (path == NULL || path == target + 7) {
            return 400;
        }
        target = path;
    }
    if (target[0] != '/') {
        return 400;
    }
    for (const char *c = target; *c != '\0'; c++) {
        if (*c <= 0x20 || *c >= 0x7f || *c == '#') {
            return 400;
        }
    }
    char *question = strchr(target, '?');
    request->path = target;
    request->query = "";
    if (question != NULL) {
        *question = '\0';
        request->query = question + 1;
    }
    return 0;
}

static int parse_request_line(char *line, struct http1_head *head)
{
    char *target = strchr(line, ' ');
    char *version = target == NULL ? NULL : strchr(target + 1, ' ');
    if (version == NULL) {
        return 400;
    }
    *target++ = '\0';
    *version++ = '\0';
    if (!is_token(line) || strncmp(version, "HTTP/", 5) != 0) {
        return 400;
    }
    head->keeps_alive = strcmp(version, "HTTP/1.1") == 0;
    if (!head->keeps_alive && strcmp(version, "HTTP/1.0") != 0) {
        return 505;
    }
    head->is_head_method = strcmp(line, "HEAD") == 0;
    if (!head->is_head_method && strcmp(line, "GET") != 0) {
        return 405;
    }
    head->request.method = line;
    return parse_target(target, &head->request);
}

static char *trim(char *value)
{
    value += strspn(value, " \t");
    size_t length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t')) {
        value[--length] = '\0';
    }
    return value;
}

static bool has_token(const char *list, const char *token)
{
    size_t length = strlen(token);
    while (*list != '\0') {
        list += strspn(list, " \t,");
        size_t item = strcspn(list, " \t,");
        if (item == length && strncasecmp(list, token, length) == 0) {
            return true;
        }
        list += item;
    }
    return false;
}

// One field. 0, or the status to refuse with.
static int parse_field(char *line, struct http1_head *head, int *host_count)
{
    char *colon = strchr(line, ':');
    if (colon == NULL) {
        return 400;
    }
    *colon = '\0';
    if (!is_token(line)) { // also a folded line, which begins with white space
        return 400;
    }
    const char *value = trim(colon + 1);
    if (strcasecmp(line, "host") == 0) {
        (*host_count)++;
    } else if (strcasecmp(line, "transfer-encoding") == 0) {
        return 400;
    } else if (strcasecmp(line, "content-length") == 0 && strcmp(value, "0") != 0) {
        return 413;
    } else if (strcasecmp(line, "connection") == 0 && has_token(value, "close")) {
        head->keeps_alive = false;
    } else if (strcasecmp(line, "expect") == 0) {
        return 417;
    }
    return 0;
}

// `bytes` holds `length` bytes that http1_head_find() accepted: no NUL, ends with CRLF CRLF.
int http1_head_parse(char *bytes, size_t length, struct http1_head *head)
{
    *head = (struct http1_head){.keeps_alive = false};
    char *rest = bytes;
    char *end = bytes + length - 2; // the final empty line
    bool is_http11 = false;
    int host_count = 0;
    int status = parse_request_line(take_line(&rest), head);
    is_http11 = head->keeps_alive;
    while (status == 0 && rest < end) {
        status = parse_field(take_line(&rest), head, &host_count);
    }
    if (status == 0 && (host_count > 1 || (is_http11 && host_count == 0))) {
        status = 400;
    }
    return status;
}
