// SPDX-License-Identifier: GPL-3.0-or-later
//
// Ten thousand random transactions, many in flight, against a table in memory. The seed is printed
// and may be given as the first argument.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store_fixture.h"

#define TRANSACTIONS 10000
#define KEYS 60
#define IN_FLIGHT 64
#define ROUNDS (TRANSACTIONS / IN_FLIGHT)
#define MAX_PARTS 4

struct model {
    uint64_t revisions[KEYS]; // 0: absent
    uint32_t values[KEYS];    // while present
    uint64_t revision;        // of the whole
};

struct expectation {
    struct simulation *simulation; // borrowed
    enum rm_err result;            // that the model gives
    uint64_t revision;             // that the model gives
};

struct simulation {
    struct fixture *fixture;                    // borrowed
    struct model model;                         // what must be true
    uint64_t random;                            // state of the generator
    struct expectation expectations[IN_FLIGHT]; // of this round
    size_t answered;                            // in all
};

static uint64_t seed;

// xorshift64*: the same numbers for the same seed everywhere.
static uint32_t draw(struct simulation *simulation, uint32_t below)
{
    simulation->random ^= simulation->random >> 12;
    simulation->random ^= simulation->random << 25;
    simulation->random ^= simulation->random >> 27;
    return (uint32_t)((simulation->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

// Ten folders of six keys.
static void name_key(uint32_t index, char out[16])
{
    snprintf(out, 16, "k%u/%u", index / 6, index % 6);
}

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct expectation *expectation = context;
    assert_int_equal(result, expectation->result);
    assert_int_equal(revision, expectation->revision);
    fixture_count(expectation->simulation->fixture, &expectation->simulation->answered);
}

// --- One random transaction, in the model and in the store. --------------------------------------

struct transaction {
    struct store_condition conditions[MAX_PARTS];
    struct store_operation operations[MAX_PARTS];
    char condition_keys[MAX_PARTS][16];
    char operation_keys[MAX_PARTS][16];
    uint32_t indexes[MAX_PARTS]; // key or folder of each operation
    uint32_t values[MAX_PARTS];  // of puts
    size_t condition_count;
    size_t operation_count;
    bool holds; // all conditions
};

static void draw_condition(struct simulation *simulation, struct transaction *transaction)
{
    size_t i = transaction->condition_count++;
    uint32_t index = draw(simulation, KEYS);
    uint64_t revision = simulation->model.revisions[index];
    if (draw(simulation, 6) == 0) {
        revision++;
        transaction->holds = false;
    }
    name_key(index, transaction->condition_keys[i]);
    transaction->conditions[i] = (struct store_condition){transaction->condition_keys[i], revision};
}

static void draw_operation(struct simulation *simulation, struct transaction *transaction)
{
    size_t i = transaction->operation_count++;
    struct store_operation *operation = &transaction->operations[i];
    char *key = transaction->operation_keys[i];
    uint32_t kind = draw(simulation, 20);
    uint32_t index = draw(simulation, KEYS);
    transaction->indexes[i] = index;
    name_key(index, key);
    *operation = (struct store_operation){.kind = STORE_DELETE, .key = key};
    if (kind == 0) {
        operation->kind = STORE_DELETE_PREFIX;
        transaction->indexes[i] = index / 6;
        snprintf(key, 16, "k%u/", index / 6);
    } else if (kind < 14) {
        transaction->values[i] = draw(simulation, UINT32_MAX);
        operation->kind = STORE_PUT;
        operation->value = &transaction->values[i];
        operation->value_length = sizeof(transaction->values[i]);
    }
}

static void apply_to_model(struct model *model, const struct transaction *transaction)
{
    model->revision++;
    for (size_t i = 0; i < transaction->operation_count; i++) {
        uint32_t index = transaction->indexes[i];
        switch (transaction->operations[i].kind) {
        case STORE_PUT:
            model->revisions[index] = model->revision;
            model->values[index] = transaction->values[i];
            break;
        case STORE_DELETE:
            model->revisions[index] = 0;
            break;
        case STORE_DELETE_PREFIX:
            memset(&model->revisions[(size_t)index * 6], 0, 6 * sizeof(model->revisions[0]));
            break;
        }
    }
}

static void run_transaction(struct simulation *simulation, struct expectation *expectation)
{
    struct transaction transaction = {.holds = true};
    uint32_t conditions = draw(simulation, MAX_PARTS);
    uint32_t operations = 1 + draw(simulation, MAX_PARTS);
    for (uint32_t i = 0; i < conditions; i++) {
        draw_condition(simulation, &transaction);
    }
    for (uint32_t i = 0; i < operations; i++) {
        draw_operation(simulation, &transaction);
    }
    if (transaction.holds) {
        apply_to_model(&simulation->model, &transaction);
    }
    *expectation = (struct expectation){.simulation = simulation,
                                        .result = transaction.holds ? RM_OK : RM_ERR_CONFLICT,
                                        .revision = simulation->model.revision};
    assert_int_equal(store_commit(simulation->fixture->store, transaction.conditions,
                                  transaction.condition_count, transaction.operations,
                                  transaction.operation_count, on_commit, expectation),
                     RM_OK);
}

static void run_round(struct fixture *fixture, void *context)
{
    struct simulation *simulation = context;
    (void)fixture;
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        run_transaction(simulation, &simulation->expectations[i]);
    }
}

// --- Comparison. ---------------------------------------------------------------------------------

static void assert_same(struct simulation *simulation)
{
    const struct model *model = &simulation->model;
    struct answer answer = {0};
    size_t at = 0;
    fixture_read_prefix(simulation->fixture, "k", NULL, 0, &answer);
    assert_int_equal(answer.result, RM_OK);
    assert_int_equal(answer.revision, model->revision);
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        if (model->revisions[i] == 0) {
            continue;
        }
        name_key(i, key);
        assert_true(at < answer.count);
        assert_string_equal(answer.entries[at].key, key);
        assert_int_equal(answer.entries[at].revision, model->revisions[i]);
        assert_int_equal(answer.entries[at].value_length, sizeof(model->values[i]));
        assert_memory_equal(answer.entries[at].value, &model->values[i], sizeof(model->values[i]));
        at++;
    }
    assert_int_equal(at, answer.count);
    answer_free(&answer);
}

static void store_and_model_agree(void **state)
{
    struct simulation simulation = {.fixture = *state, .random = seed};
    for (size_t round = 0; round < ROUNDS; round++) {
        fixture_run(*state, run_round, &simulation);
        if (round % 8 == 0) {
            fixture_wait(*state, &simulation.answered, (round + 1) * IN_FLIGHT);
            assert_same(&simulation);
        }
        if (round % 40 == 39) {
            fixture_wait(*state, &simulation.answered, (round + 1) * IN_FLIGHT);
            fixture_reopen(*state);
            assert_same(&simulation);
        }
        fixture_wait(*state, &simulation.answered, (round + 1) * IN_FLIGHT);
    }
    assert_same(&simulation);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(store_and_model_agree, fixture_setup, fixture_teardown),
    };
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) * 2654435761U + 1;
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
