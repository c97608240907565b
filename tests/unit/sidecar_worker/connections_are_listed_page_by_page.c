// SPDX-License-Identifier: GPL-3.0-or-later
//
// A listing goes on where its last page ended, whatever began or ended meanwhile: no connection
// comes twice, none that stays is missed.
#include "sidecar_parts.h"
#include "tls_fixture.h"

#include "base/alloc.h"
#include "worker/listing.h"

#define COUNT (2 * LISTING_PAGE + 10)

struct crowd {
    struct worker worker;                 // only its list and snapshot
    struct snapshot snapshot;             // without an identity
    struct connection connections[COUNT]; // in its list
    struct listing listing;               // under test
};

static struct connection_progress progress(const struct connection *connection)
{
    return (struct connection_progress){"relay", connection->number, 0};
}

static int setup(void **state)
{
    struct crowd *crowd = rm_calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    crowd->worker.loop = loop_new("crowd");
    crowd->worker.snapshot = &crowd->snapshot;
    list_init(&crowd->worker.connections);
    for (size_t i = 0; i < COUNT; i++) {
        struct connection *connection = &crowd->connections[i];
        connection->worker = &crowd->worker;
        connection->number = i + 1;
        connection->service = i % 2 == 0 ? (char *)"even" : NULL;
        connection->progress = progress;
        list_append(&crowd->worker.connections, &connection->node);
    }
    *state = crowd;
    return 0;
}

static int teardown(void **state)
{
    struct crowd *crowd = *state;
    listing_deinit(&crowd->listing);
    loop_free(crowd->worker.loop);
    rm_free(crowd);
    return 0;
}

static void pages_go_on_where_the_last_one_ended(void **state)
{
    struct crowd *crowd = *state;
    struct listing *listing = &crowd->listing;
    assert_int_equal(listing_init(listing, "", NULL), RM_OK);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
    assert_int_equal(listing->count, LISTING_PAGE);
    assert_int_equal(listing->records[0].number, 1);
    assert_true(listing->has_more);
    // The last one that was told ends, as does the next one that would be.
    list_remove(&crowd->connections[LISTING_PAGE - 1].node);
    list_remove(&crowd->connections[LISTING_PAGE].node);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
    assert_int_equal(listing->count, LISTING_PAGE);
    assert_int_equal(listing->records[0].number, LISTING_PAGE + 2);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
    assert_int_equal(listing->count, 9);
    assert_int_equal(listing->records[8].number, COUNT);
    assert_false(listing->has_more);
    listing_rewind(listing);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
    assert_int_equal(listing->records[0].number, 1);
}

static void only_what_is_wanted_fills_a_page(void **state)
{
    struct crowd *crowd = *state;
    struct listing *listing = &crowd->listing;
    assert_int_equal(listing_init(listing, "even", NULL), RM_OK);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
    assert_int_equal(listing->count, LISTING_PAGE);
    assert_string_equal(listing->records[1].service, "even");
    assert_int_equal(listing->records[1].number, 3);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
    assert_int_equal(listing->count, 5);
    assert_false(listing->has_more);
    listing_deinit(listing);
    // Nobody has proven to be anyone yet.
    assert_int_equal(listing_init(listing, NULL, "spiffe://td.test/ns/a/sa/b"), RM_OK);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
    assert_int_equal(listing->count, 0);
}

static void exhausted_memory_is_an_error(void **state)
{
    struct crowd *crowd = *state;
    struct listing *listing = &crowd->listing;
    for (uint64_t n = 1; n <= 2; n++) {
        rm_alloc_fail_at(n);
        assert_int_equal(listing_init(listing, "a", "b"), RM_ERR_NO_MEMORY);
    }
    rm_alloc_fail_at(0);
    assert_int_equal(listing_init(listing, NULL, NULL), RM_OK);
    rm_alloc_fail_at(3);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_int_equal(listing_fill(listing, &crowd->worker), RM_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pages_go_on_where_the_last_one_ended),
        TEST(only_what_is_wanted_fills_a_page),
        TEST(exhausted_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
