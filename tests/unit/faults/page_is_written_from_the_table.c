// SPDX-License-Identifier: GPL-3.0-or-later
//
// ERRORS.md says what the table says, word for word. With --write it is made anew.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "faults/faults.h"

#define PAGE_MAX_BYTES (1U << 20)

static const char opening[] =
    "# Errors by name\n"
    "\n"
    "<!-- Written by unit_faults_page_is_written_from_the_table --write from "
    "common/faults/catalogue.def. -->\n"
    "\n"
    "Each name is the same wherever it is read: as `error` or `reason` in a log line, as `result` "
    "in "
    "the access\n"
    "log and in `remora_connections_total` and `remora_tls_handshakes_total`, and in a tunnel's "
    "answer to the other\n"
    "sidecar.\n"
    "\n"
    "**The end that judges names the fault exactly**, with what was wanted and what was found. "
    "Over "
    "TLS the other\n"
    "end learns only an alert: it says `refused_by_peer`, what the alert can mean, and what its "
    "own "
    "certificate,\n"
    "chain and clock say about it. Once a tunnel stands, the answer carries the exact name: the "
    "caller says\n"
    "`denied_by_peer` or `unreachable` with that name beside it. So when one end says that it was "
    "refused, read the\n"
    "other end's log.\n";

static void add(struct buffer *page, const char *text)
{
    assert_int_equal(buffer_append_text(page, text), RM_OK);
}

static void add_row(struct buffer *page, const struct fault_entry *entry)
{
    assert_int_equal(buffer_printf(page, "| `%s` | %s | %s | %s |\n", entry->name, entry->what,
                                   entry->cause, entry->remedy),
                     RM_OK);
}

static void add_group(struct buffer *page, enum fault_group group)
{
    add(page, "\n## ");
    add(page, fault_group_title(group));
    add(page,
        "\n\n| name | what happened | likely cause | what to do |\n| --- | --- | --- | --- |\n");
    for (int i = FAULT_OK + 1; i < FAULT_COUNT; i++) {
        const struct fault_entry *entry = fault_entry((enum fault)i);
        if (entry->group == group) {
            add_row(page, entry);
        }
    }
}

static void make_page(struct buffer *page)
{
    buffer_init(page, PAGE_MAX_BYTES);
    add(page, opening);
    for (int group = 0; group < FAULT_GROUP_COUNT; group++) {
        add_group(page, (enum fault_group)group);
    }
}

static void page_says_what_the_table_says(void **state)
{
    (void)state;
    struct buffer page;
    static char there[PAGE_MAX_BYTES];
    make_page(&page);
    FILE *file = fopen(PAGE_PATH, "r");
    assert_non_null(file);
    size_t length = fread(there, 1, sizeof(there), file);
    fclose(file);
    if (length != buffer_length(&page) || memcmp(there, buffer_data(&page), length) != 0) {
        fail_msg("ERRORS.md and common/faults/catalogue.def differ: run this program with --write");
    }
    buffer_deinit(&page);
}

static void write_page(void **state)
{
    (void)state;
    struct buffer page;
    make_page(&page);
    FILE *file = fopen(PAGE_PATH, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(buffer_data(&page), 1, buffer_length(&page), file),
                     buffer_length(&page));
    assert_int_equal(fclose(file), 0);
    buffer_deinit(&page);
}

int main(int argc, char **argv)
{
    bool is_writing = argc > 1 && strcmp(argv[1], "--write") == 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test(page_says_what_the_table_says)};
    const struct CMUnitTest writing[] = {cmocka_unit_test(write_page)};
    return is_writing ? cmocka_run_group_tests(writing, NULL, NULL)
                      : cmocka_run_group_tests(tests, NULL, NULL);
}
