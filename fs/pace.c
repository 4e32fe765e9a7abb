/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/pace.h"

#include "fs/scratch.h"

enum {
    FREE_KEYS = 64,    /* that may be looked at for any question */
    ASKING_PAYS = 4,   /* more for each question that was asked */
    REST_SECONDS = 1,  /* after which it is time anyway, */
    REST_FOR_LOOK = 8, /* or so many times what the last look took: one part of nine of the time */
};

static int64_t nanoseconds_since(struct timespec start)
{
    struct timespec now = scratch_clock();

    return (now.tv_sec - start.tv_sec) * INT64_C(1000000000) + now.tv_nsec - start.tv_nsec;
}

bool pace_ask(struct pace *pace)
{
    int64_t rest = REST_SECONDS * INT64_C(1000000000);

    if (pace->took * REST_FOR_LOOK > rest)
        rest = pace->took * REST_FOR_LOOK;
    pace->asked++;
    return pace->asked * ASKING_PAYS + FREE_KEYS >= pace->cost ||
           nanoseconds_since(pace->rests_since) >= rest;
}

void pace_looked(struct pace *pace, struct timespec began, size_t cost)
{
    *pace = (struct pace){
        .rests_since = scratch_clock(), .took = nanoseconds_since(began), .cost = cost};
}
