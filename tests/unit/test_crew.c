/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crew.h"

#include "src/base.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { MOST = 4, END = -1, SLOW = -2, REST = -3 };

/* Requests are numbers; a slow one is answered when the gate opens. None comes while threads rest. */
struct desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const int *script; /* up to END */
    size_t asked;
    int end; /* what receive() returns then */
    unsigned answered, waiting;
    bool open;       /* the gate */
    unsigned needed; /* answers beside the slow ones, which then go on */
    bool leisure;    /* the slow ones have replied */
};

static int receive(void *context, void **room)
{
    struct desk *desk = context;
    int *request = *room ? *room : malloc(sizeof *request), got;

    *room = request;
    assert_non_null(request);
    pthread_mutex_lock(&desk->lock);
    *request = desk->script[desk->asked];
    got = *request == END ? desk->end : 1;
    if (got > 0)
        desk->asked++;
    pthread_mutex_unlock(&desk->lock);
    return got;
}

static void answer(void *context, void *room)
{
    struct desk *desk = context;

    pthread_mutex_lock(&desk->lock);
    if (*(int *)room == SLOW) {
        desk->waiting++;
        pthread_cond_broadcast(&desk->changed);
        while (!desk->open)
            pthread_cond_wait(&desk->changed, &desk->lock);
    } else {
        desk->answered++;
        if (desk->needed && desk->answered == desk->needed)
            desk->open = true;
        pthread_cond_broadcast(&desk->changed);
    }
    pthread_mutex_unlock(&desk->lock);
}

static int ended(void *context)
{
    return 0;
}

static bool at_leisure(void *context)
{
    return ((struct desk *)context)->leisure;
}

static const struct crew_ops ops = {.receive = receive,
                                    .answer = answer,
                                    .free_room = free,
                                    .ended = ended,
                                    .at_leisure = at_leisure};

static int serve(struct desk *desk)
{
    int status;

    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->changed, NULL);
    status = crew_serve(&ops, desk, MOST);
    pthread_cond_destroy(&desk->changed);
    pthread_mutex_destroy(&desk->lock);
    return status;
}

static void test_ends(void **state)
{
    static const int none[] = {END}, some[] = {1, 2, 3, END};
    struct desk desk = {.script = none, .end = -ENODEV};

    assert_int_equal(serve(&desk), -ENODEV);
    desk = (struct desk){.script = some, .end = -ECANCELED};
    assert_int_equal(serve(&desk), -ECANCELED);
    assert_int_equal(desk.answered, 3);
}

/* What comes behind three slow requests is answered before them. */
static void test_slow_ones_hold_up_nobody(void **state)
{
    static const int script[] = {1, SLOW, 2, SLOW, SLOW, 3, 4, END};
    struct desk desk = {.script = script, .end = -ENODEV, .needed = 4};

    assert_int_equal(serve(&desk), -ENODEV);
    assert_int_equal(desk.answered, 4);
    assert_int_equal(desk.waiting, 3);
    desk = (struct desk){.script = script, .end = -ENODEV, .needed = 4, .leisure = true};
    assert_int_equal(serve(&desk), -ENODEV);
    assert_int_equal(desk.answered, 4);
    assert_int_equal(desk.waiting, 3);
}

/* Cancelled while it waits, a thread leaves nothing behind. */
static int receive_until_over(void *context, void **room)
{
    struct desk *desk = context;
    int got = receive(context, room);

    pthread_mutex_lock(&desk->lock);
    desk->open = got < 0;
    pthread_mutex_unlock(&desk->lock);
    while (got < 0) {
        static const struct timespec long_time = {.tv_sec = 1000};

        nanosleep(&long_time, NULL);
    }
    return got;
}

static int is_open(void *context)
{
    struct desk *desk = context;
    int open;

    pthread_mutex_lock(&desk->lock);
    open = desk->open;
    pthread_mutex_unlock(&desk->lock);
    return open;
}

static void test_ends_who_waits(void **state)
{
    static const int script[] = {1, 2, END};
    const struct crew_ops waiting = {
        .receive = receive_until_over, .answer = answer, .free_room = free, .ended = is_open, .at_leisure = at_leisure};
    struct desk desk = {.script = script, .end = -ENODEV};

    pthread_mutex_init(&desk.lock, NULL);
    pthread_cond_init(&desk.changed, NULL);
    assert_int_equal(crew_serve(&waiting, &desk, MOST), 0);
    assert_int_equal(desk.answered, 2);
    pthread_cond_destroy(&desk.changed);
    pthread_mutex_destroy(&desk.lock);
}

static atomic_uint freed;

static void count_freed(void *room)
{
    freed += room != NULL;
    free(room);
}

/* Waits until one more thread has ended, and closes the gate. */
static int receive_after_rest(void *context, void **room)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    struct desk *desk = context;
    bool rests;

    pthread_mutex_lock(&desk->lock);
    rests = desk->script[desk->asked] == REST;
    pthread_mutex_unlock(&desk->lock);
    if (rests) {
        while (freed < desk->needed)
            nanosleep(&moment, NULL);
        pthread_mutex_lock(&desk->lock);
        desk->asked++;
        desk->needed++;
        desk->open = false;
        pthread_mutex_unlock(&desk->lock);
    }
    return receive(context, room);
}

/* Who does not lead for a while ends, and another one takes its place when there is need. */
static void test_who_rests_ends(void **state)
{
    static const int script[] = {SLOW, 1, REST, SLOW, 2, REST, END};
    const struct crew_ops resting = {
        .receive = receive_after_rest, .answer = answer, .free_room = count_freed, .ended = ended, .at_leisure = at_leisure};
    struct desk desk = {.script = script, .end = -ENODEV, .needed = 1};

    pthread_mutex_init(&desk.lock, NULL);
    pthread_cond_init(&desk.changed, NULL);
    assert_int_equal(crew_serve(&resting, &desk, MOST), -ENODEV);
    assert_int_equal(desk.answered, 2);
    assert_int_equal(desk.waiting, 2);
    assert_int_equal(freed, 3);
    pthread_cond_destroy(&desk.changed);
    pthread_mutex_destroy(&desk.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_slow_ones_hold_up_nobody),
        cmocka_unit_test(test_ends_who_waits),
        cmocka_unit_test(test_who_rests_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
