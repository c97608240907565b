// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/command.h"
#include "crypto/crypto.h"
#include "disk_fault.h"

struct place {
    char parent[64];              // private; removed at the end
    char data[80];                // data folder inside it
    char kek[96];                 // beside it, or inside
    char file[96];                // of whatever the test wants
    struct control_config config; // of the two
};

// What commands tell the operator is not for the test's output.
static void be_quiet(void)
{
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
}

static int setup(void **state)
{
    static struct place place;
    assert_int_equal(crypto_init(NULL), RM_OK);
    make_folder(place.parent, sizeof place.parent);
    snprintf(place.data, sizeof place.data, "%s/data", place.parent);
    snprintf(place.kek, sizeof place.kek, "%s/kek", place.data);
    snprintf(place.file, sizeof place.file, "%s/file", place.parent);
    place.config = (struct control_config){
        .trust_domain = "example.org",
        .data_dir = place.data,
        .kek_path = place.kek,
        .is_kek_in_data_dir = true,
        .path = "test.yaml",
    };
    *state = &place;
    be_quiet();
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    disk_fault_clear();
    remove_folder(place->parent);
    crypto_deinit();
    return 0;
}

static size_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;
    if (folder == NULL) {
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(folder);
    return count;
}

static void init_makes_folder_key_store_and_bundle(void **state)
{
    struct place *place = *state;
    struct stat facts;
    assert_int_equal(command_init(&place->config), 0);
    assert_int_equal(stat(place->data, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    assert_int_equal(stat(place->kek, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    char bundle[128];
    snprintf(bundle, sizeof bundle, "%s/bundle.pem", place->data);
    assert_int_equal(access(bundle, R_OK), 0);
    // Again: refused, and nothing is lost.
    size_t before = count_entries(place->data);
    assert_int_equal(command_init(&place->config), 1);
    assert_int_equal(count_entries(place->data), before);
    assert_int_equal(access(place->kek, R_OK), 0);
}

static void failing_disk_leaves_no_folder(void **state)
{
    struct place *place = *state;
    for (size_t nth = 1; nth <= 3; nth++) {
        disk_fault_fail(DISK_SYNC, nth, 0, EIO);
        assert_int_equal(command_init(&place->config), 1);
        disk_fault_clear();
        assert_int_equal(access(place->data, F_OK), -1);
    }
    assert_int_equal(command_init(&place->config), 0);
}

static void what_was_there_before_stays(void **state)
{
    struct place *place = *state;
    char mine[128];
    snprintf(mine, sizeof mine, "%s/mine", place->data);
    assert_int_equal(mkdir(place->data, 0700), 0);
    close(open(mine, O_CREAT | O_WRONLY, 0600));
    disk_fault_fail(DISK_SYNC, 2, 0, EIO);
    assert_int_equal(command_init(&place->config), 1);
    disk_fault_clear();
    assert_int_equal(count_entries(place->data), 1);
    assert_int_equal(access(mine, F_OK), 0);
}

static void unusable_folders_are_refused(void **state)
{
    struct place *place = *state;
    place->config.data_dir = place->file;
    close(open(place->file, O_CREAT | O_WRONLY, 0600)); // a file where a folder should be
    assert_int_equal(command_init(&place->config), 1);
    assert_int_equal(access(place->file, F_OK), 0);
}

static void offline_root_waits_for_its_chain(void **state)
{
    struct place *place = *state;
    char request[128];
    place->config.mode = CONTROL_MODE_OFFLINE_ROOT;
    int saved = dup(STDOUT_FILENO);
    int nowhere = open("/dev/null", O_WRONLY);
    fflush(stdout);
    dup2(nowhere, STDOUT_FILENO);
    int status = command_init(&place->config);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(nowhere);
    assert_int_equal(status, 0);
    snprintf(request, sizeof request, "%s/intermediate.csr", place->data);
    assert_int_equal(access(request, R_OK), 0);
    assert_int_equal(command_import_chain(&place->config, place->file), 1); // no such file
    assert_int_equal(command_import_chain(&place->config, request), 1);     // no certificate
}

static void backup_and_restore_without_a_server(void **state)
{
    struct place *place = *state;
    char backup[128];
    char copy[128];
    snprintf(backup, sizeof backup, "%s/backup.db", place->parent);
    snprintf(copy, sizeof copy, "%s/copy", place->parent);
    char socket[128];
    snprintf(socket, sizeof socket, "unix:%s/admin.sock", place->data);
    assert_int_equal(socket_address_parse(socket, &place->config.admin_address, NULL), RM_OK);
    place->config.admin_path = "admin.sock";
    assert_int_equal(command_init(&place->config), 0);
    assert_int_equal(command_backup(&place->config, backup), 0);
    assert_int_equal(command_backup(&place->config, backup), 1); // it exists
    char *data = place->config.data_dir;
    place->config.data_dir = copy;
    assert_int_equal(command_restore(&place->config, backup), 0);
    assert_int_equal(command_restore(&place->config, backup), 1); // not empty any more
    place->config.data_dir = data;
    assert_int_equal(count_entries(place->parent), 3); // data, copy, backup; nothing partial
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(init_makes_folder_key_store_and_bundle),
        TEST(failing_disk_leaves_no_folder),
        TEST(what_was_there_before_stays),
        TEST(unusable_folders_are_refused),
        TEST(offline_root_waits_for_its_chain),
        TEST(backup_and_restore_without_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
