// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_need_no_look_up),    cmocka_unit_test(localhost_is_known),
        cmocka_unit_test(both_families_are_asked_for), cmocka_unit_test(too_many_addresses_are_cut),
        cmocka_unit_test(failures_have_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
