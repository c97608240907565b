// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "loop/resolver_internal.h"
#include "name_server.h"

struct question {
    const char *name;             // asked for
    enum rm_err result;           // answered
    size_t count;                 // addresses
    char first[INET6_ADDRSTRLEN]; // text of the first of its family
    bool has_v4;                  // one of the addresses
    bool has_v6;                  // the same
    bool is_asking;               // inside resolver_lookup(): no answer may come now
    bool is_answered;             // once
    struct resolver *resolver;    // closed after the answer
    struct name_server *server;   // the same
};

static void on_answer(void *context, enum rm_err result, const struct sockaddr_storage *addresses,
                      size_t count)
{
    struct question *question = context;
    assert_false(question->is_asking);
    assert_false(question->is_answered);
    question->is_answered = true;
    question->result = result;
    question->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct sockaddr_in *v4 = (const void *)&addresses[i];
        const struct sockaddr_in6 *v6 = (const void *)&addresses[i];
        bool is_v4 = addresses[i].ss_family == AF_INET;
        question->has_v4 |= is_v4;
        question->has_v6 |= !is_v4;
        assert_int_equal(ntohs(is_v4 ? v4->sin_port : v6->sin6_port), 8443);
    }
    if (count > 0) {
        const void *first = &((const struct sockaddr_in *)(const void *)addresses)->sin_addr;
        if (addresses[0].ss_family == AF_INET6) {
            first = &((const struct sockaddr_in6 *)(const void *)addresses)->sin6_addr;
        }
        inet_ntop(addresses[0].ss_family, first, question->first, sizeof(question->first));
    }
    resolver_close(question->resolver);
    name_server_close(question->server);
}

static void ask(struct question *question, const char *name)
{
    struct loop *loop = loop_new("resolver");
    struct name_server server;
    *question = (struct question){.name = name, .server = &server, .is_asking = true};
    assert_int_equal(resolver_open(loop, &question->resolver, NULL), RM_OK);
    name_server_open(&server, loop);
    assert_int_equal(resolver_use_servers(question->resolver, server.address), RM_OK);
    assert_int_equal(resolver_lookup(question->resolver, name, 8443, on_answer, question, NULL),
                     RM_OK);
    question->is_asking = false;
    loop_stop(loop);
    loop_run(loop);
    assert_true(question->is_answered);
    loop_free(loop);
}

static void literals_need_no_look_up(void **state)
{
    (void)state;
    struct question question;
    ask(&question, "192.0.2.77");
    assert_int_equal(question.result, RM_OK);
    assert_int_equal(question.count, 1);
    assert_string_equal(question.first, "192.0.2.77");
    ask(&question, "2001:db8::5");
    assert_int_equal(question.count, 1);
    assert_string_equal(question.first, "2001:db8::5");
}

static void localhost_is_known(void **state)
{
    (void)state;
    struct question question;
    ask(&question, "localhost");
    assert_int_equal(question.result, RM_OK);
    assert_true(question.count >= 1);
    assert_true(strcmp(question.first, "127.0.0.1") == 0 || strcmp(question.first, "::1") == 0);
}

static void both_families_are_asked_for(void **state)
{
    (void)state;
    struct question question;
    ask(&question, "both.test");
    assert_int_equal(question.result, RM_OK);
    assert_int_equal(question.count, 3);
    assert_true(question.has_v4);
    assert_true(question.has_v6);
}

static void too_many_addresses_are_cut(void **state)
{
    (void)state;
    struct question question;
    ask(&question, "many.test");
    assert_int_equal(question.result, RM_OK);
    assert_int_equal(question.count, RESOLVER_MAX_ADDRESSES);
}

static void failures_have_their_names(void **state)
{
    (void)state;
    struct question question;
    ask(&question, "unknown.test");
    assert_int_equal(question.result, RM_ERR_NOT_FOUND);
    assert_int_equal(question.count, 0);
    ask(&question, "broken.test");
    assert_int_equal(question.result, RM_ERR_UNAVAILABLE);
    ask(&question, "not..a..name");
    assert_int_equal(question.result, RM_ERR_MALFORMED);
    ask(&question, "");
    assert_int_not_equal(question.result, RM_OK);
}

int __real_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out);
int __real_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);
int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);

static time_t written_s; // when the configuration was, as the test says; 0: as it is
static unsigned inits;   // channels made
static int init_status;  // of the next ones

int __wrap_stat(const char *path, struct stat *out)
{
    int result = __real_stat(path, out);
    if (strcmp(path, RESOLVER_CONFIGURATION) == 0 && written_s != 0) {
        out->st_mtim = (struct timespec){.tv_sec = written_s};
        return 0;
    }
    return result;
}

int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask)
{
    inits++;
    return init_status != ARES_SUCCESS ? init_status
                                       : __real_ares_init_options(channel, options, mask);
}

static unsigned plain_answers;

static void on_plain_answer(void *context, enum rm_err result,
                            const struct sockaddr_storage *addresses, size_t count)
{
    (void)context;
    (void)addresses;
    plain_answers += result == RM_OK && count > 0;
}

static void ask_localhost(struct resolver *resolver)
{
    assert_int_equal(resolver_lookup(resolver, "localhost", 1, on_plain_answer, NULL, NULL), RM_OK);
}

static void a_changed_configuration_is_read_again(void **state)
{
    (void)state;
    struct loop *loop = loop_new("resolver");
    struct resolver *resolver = NULL;
    struct name_server server;
    written_s = 1000;
    inits = 0;
    assert_int_equal(resolver_open(loop, &resolver, NULL), RM_OK);
    ask_localhost(resolver);
    assert_int_equal(inits, 1);
    written_s = 2000;
    ask_localhost(resolver);
    ask_localhost(resolver);
    assert_int_equal(inits, 2);

    // Not while something is being asked, and not when it cannot be read: then the old one stays.
    written_s = 3000;
    init_status = ARES_EFILE;
    ask_localhost(resolver);
    assert_int_equal(inits, 3);
    init_status = ARES_SUCCESS;
    name_server_open(&server, loop);
    assert_int_equal(resolver_use_servers(resolver, server.address), RM_OK);
    written_s = 2000;
    assert_int_equal(resolver_lookup(resolver, "silent.test", 1, on_plain_answer, NULL, NULL),
                     RM_OK);
    written_s = 4000;
    ask_localhost(resolver);
    assert_int_equal(inits, 3);
    resolver_close(resolver);
    name_server_close(&server);
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
    // Closing cancelled what was not delivered yet, but answered nothing twice.
    assert_int_equal(plain_answers, 0);
    written_s = 0;
}

static void an_unreadable_configuration_is_an_error(void **state)
{
    (void)state;
    struct loop *loop = loop_new("resolver");
    struct resolver *resolver = NULL;
    struct rm_error error = {0};
    init_status = ARES_EFILE;
    assert_int_equal(resolver_open(loop, &resolver, &error), RM_ERR_IO);
    assert_non_null(strstr(error.message, "/etc/resolv.conf"));
    init_status = ARES_ENOMEM;
    assert_int_equal(resolver_open(loop, &resolver, NULL), RM_ERR_NO_MEMORY);
    init_status = ARES_SUCCESS;
    assert_int_equal(loop_open_count(loop), 0);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_need_no_look_up),
        cmocka_unit_test(localhost_is_known),
        cmocka_unit_test(both_families_are_asked_for),
        cmocka_unit_test(too_many_addresses_are_cut),
        cmocka_unit_test(failures_have_their_names),
        cmocka_unit_test(a_changed_configuration_is_read_again),
        cmocka_unit_test(an_unreadable_configuration_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
