/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/notifier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* What the notifier's thread did, and the gate that holds it inside a delivery. */
struct record {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned deliveries, ticks;
    uint64_t nodes[8], parents[8];
    char names[8][16];
    bool closed, waiting;
    unsigned next_tick;
};

static void record_delivery(void *context, uint64_t node, uint64_t parent, const char *name)
{
    struct record *record = context;
    unsigned i;

    pthread_mutex_lock(&record->lock);
    record->waiting = true;
    pthread_cond_broadcast(&record->changed);
    while (record->closed)
        pthread_cond_wait(&record->changed, &record->lock);
    record->waiting = false;
    i = record->deliveries++ % 8;
    record->nodes[i] = node;
    record->parents[i] = parent;
    strncpy(record->names[i], name ? name : "(none)", sizeof record->names[i] - 1);
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
}

static unsigned record_tick(void *context)
{
    struct record *record = context;
    unsigned seconds;

    pthread_mutex_lock(&record->lock);
    record->ticks++;
    seconds = record->next_tick;
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
    return seconds;
}

static const struct notifier_ops ops = {.deliver = record_delivery, .tick = record_tick};

static struct record *record_reset(struct record *record)
{
    memset(record, 0, sizeof *record);
    pthread_mutex_init(&record->lock, NULL);
    pthread_cond_init(&record->changed, NULL);
    record->next_tick = 3600;
    return record;
}

/* Waits, at most ten seconds, until `counter` reached `count`. */
static void await(struct record *record, const unsigned *counter, unsigned count)
{
    struct timespec until;
    int status = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&record->lock);
    while (*counter < count && status == 0)
        status = pthread_cond_timedwait(&record->changed, &record->lock, &until);
    pthread_mutex_unlock(&record->lock);
    assert_int_equal(status, 0);
}

static void set_closed(struct record *record, bool closed)
{
    pthread_mutex_lock(&record->lock);
    record->closed = closed;
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
}

static void test_delivers_in_order(void **state)
{
    struct notifier *notifier;
    struct record record;

    assert_int_equal(notifier_new(&ops, record_reset(&record), &notifier), 0);
    notifier_add(notifier, 7, 0, NULL);
    assert_int_equal(notifier_start(notifier), 0);
    notifier_add(notifier, 0, 1, "greeting");
    notifier_add(notifier, 9, 1, "");
    await(&record, &record.deliveries, 3);
    assert_int_equal(record.nodes[0], 7);
    assert_string_equal(record.names[0], "(none)");
    assert_int_equal(record.parents[1], 1);
    assert_string_equal(record.names[1], "greeting");
    assert_int_equal(record.nodes[2], 9);
    assert_string_equal(record.names[2], "");
    notifier_free(notifier);
}

static void test_ticks_at_once_and_when_asked(void **state)
{
    struct notifier *notifier;
    struct record record;

    assert_int_equal(notifier_new(&ops, record_reset(&record), &notifier), 0);
    record.next_tick = 1;
    assert_int_equal(notifier_start(notifier), 0);
    await(&record, &record.ticks, 2);
    notifier_free(notifier);
    assert_true(record.ticks < 4);
}

static void test_stop_drops_what_is_queued(void **state)
{
    struct notifier *notifier;
    struct record record;

    assert_int_equal(notifier_new(&ops, record_reset(&record), &notifier), 0);
    record.closed = true;
    notifier_add(notifier, 1, 0, NULL);
    notifier_add(notifier, 2, 0, NULL);
    assert_int_equal(notifier_start(notifier), 0);
    pthread_mutex_lock(&record.lock);
    while (!record.waiting)
        pthread_cond_wait(&record.changed, &record.lock);
    pthread_mutex_unlock(&record.lock);
    /* It hangs in the first delivery, as it may in the kernel. */
    assert_false(notifier_stop(notifier));
    set_closed(&record, false);
    while (!notifier_stop(notifier))
        ;
    assert_int_equal(record.deliveries, 1);
    notifier_add(notifier, 3, 0, NULL);
    notifier_free(notifier);
    assert_int_equal(record.deliveries, 1);
}

static void test_free_without_start(void **state)
{
    struct notifier *notifier;
    struct record record;

    assert_int_equal(notifier_new(&ops, record_reset(&record), &notifier), 0);
    notifier_add(notifier, 1, 1, "a");
    assert_true(notifier_stop(notifier));
    notifier_free(notifier);
    notifier_free(NULL);
    assert_int_equal(record.deliveries + record.ticks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivers_in_order),
        cmocka_unit_test(test_ticks_at_once_and_when_asked),
        cmocka_unit_test(test_stop_drops_what_is_queued),
        cmocka_unit_test(test_free_without_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
