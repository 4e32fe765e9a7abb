/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    WALK = 8,      /* so many in a row are one */
    GAP = 4,       /* of which some may be missing: large files, or other threads were faster */
    LEAD = 16,     /* files that a reader gets by itself before others are pushed to it */
    PUSHED = 64 << 20, /* bytes */
    PAGE = 4096,   /* what the kernel takes for each text at least */
    LOOKS = 128,   /* files that are looked at together */
    REST = 3,      /* ticks without a step of a walk, after which it is over */
    STEP = 32,     /* texts that are pushed before anything else gets its turn */
};

enum order { BY_LISTING, BY_NODE, BY_NAME, ORDERS };

struct entry {
    uint64_t node;
    size_t name; /* where it starts in the roll's names */
    uint32_t ranks[ORDERS];
};

/* What one listing told. */
struct roll {
    uint64_t directory;
    struct buffer entries;    /* struct entry each */
    struct buffer names;      /* with their NULs */
    uint32_t *orders[ORDERS]; /* by rank: the number of an entry; NULL: not found out yet */
    uint32_t count;
};

/* How somebody goes through `ready`. */
struct walker {
    uint32_t last[ORDERS], runs[ORDERS]; /* the last rank, and how many in a row led to it */
    enum order order;                    /* that is followed */
    uint32_t next, goal;                 /* ranks in that order */
    size_t pushed;                       /* bytes since the last one */
};

struct ahead {
    const struct ahead_ops *ops;
    void *context;
    uint32_t window; /* constant */
    pthread_mutex_t lock;
    struct roll *filling; /* the listing that began last; NULL: it is `ready`, or there was none */
    struct roll *ready;   /* its orders are known */
    bool wanted;          /* somebody took a step while there was something in `filling` */
    unsigned rests;       /* ticks since the last step */
    struct walker opens;  /* next, goal: what is to be pushed */
    struct walker looks;  /* goal: before it, all was looked at */
};

static struct roll *roll_new(uint64_t directory)
{
    struct roll *roll = calloc(1, sizeof *roll);

    if (roll) {
        roll->directory = directory;
        buffer_init(&roll->entries, SIZE_MAX);
        buffer_init(&roll->names, SIZE_MAX);
    }
    return roll;
}

static void roll_free(struct roll *roll)
{
    if (!roll)
        return;
    for (int order = 0; order < ORDERS; order++)
        free(roll->orders[order]);
    buffer_release(&roll->entries);
    buffer_release(&roll->names);
    free(roll);
}

static struct entry *roll_at(const struct roll *roll, uint32_t i)
{
    return (struct entry *)(void *)roll->entries.data + i;
}

static int compare_listing(const void *a, const void *b, void *context)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

    return one < other ? -1 : one > other;
}

static int compare_nodes(const void *a, const void *b, void *context)
{
    const struct entry *one = roll_at(context, *(const uint32_t *)a);
    const struct entry *other = roll_at(context, *(const uint32_t *)b);

    return one->node < other->node ? -1 : one->node > other->node;
}

static int compare_names(const void *a, const void *b, void *context)
{
    const struct roll *roll = context;
    const char *names = (const char *)roll->names.data;

    return strcmp(names + roll_at(roll, *(const uint32_t *)a)->name,
                  names + roll_at(roll, *(const uint32_t *)b)->name);
}

/* Finds out all orders. Whether there was memory for it. */
static bool roll_index(struct roll *roll)
{
    static int (*const compare[ORDERS])(const void *, const void *, void *) = {
        [BY_LISTING] = compare_listing, [BY_NODE] = compare_nodes, [BY_NAME] = compare_names};

    if (buffer_status(&roll->entries) || buffer_status(&roll->names))
        return false;
    for (int order = 0; order < ORDERS; order++) {
        uint32_t *ranked = calloc(roll->count, sizeof *ranked);

        if (!ranked)
            return false;
        roll->orders[order] = ranked;
        for (uint32_t i = 0; i < roll->count; i++)
            ranked[i] = i;
        qsort_r(ranked, roll->count, sizeof *ranked, compare[order], roll);
        for (uint32_t rank = 0; rank < roll->count; rank++)
            roll_at(roll, ranked[rank])->ranks[order] = rank;
    }
    return true;
}

static const struct entry *roll_find(const struct roll *roll, uint64_t node)
{
    uint32_t low = 0, high = roll->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct entry *entry = roll_at(roll, roll->orders[BY_NODE][middle]);

        if (entry->node == node)
            return entry;
        if (entry->node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int ahead_new(const struct ahead_ops *ops, void *context, uint32_t window, struct ahead **out)
{
    struct ahead *ahead = calloc(1, sizeof *ahead);

    if (!ahead)
        return -ENOMEM;
    ahead->ops = ops;
    ahead->context = context;
    ahead->window = window;
    pthread_mutex_init(&ahead->lock, NULL);
    *out = ahead;
    return 0;
}

void ahead_free(struct ahead *ahead)
{
    if (!ahead)
        return;
    roll_free(ahead->filling);
    roll_free(ahead->ready);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}

/* --- what happens --- */

void ahead_begin(struct ahead *ahead, uint64_t directory)
{
    struct roll *roll = roll_new(directory), *before;

    pthread_mutex_lock(&ahead->lock);
    before = ahead->filling;
    ahead->filling = roll;
    pthread_mutex_unlock(&ahead->lock);
    roll_free(before);
}

void ahead_add(struct ahead *ahead, uint64_t node, const char *name)
{
    struct roll *roll;

    pthread_mutex_lock(&ahead->lock);
    roll = ahead->filling;
    if (roll && roll->count < AHEAD_MOST) {
        struct entry entry = {.node = node, .name = roll->names.size};

        buffer_add(&roll->entries, bytes_of(&entry, sizeof entry));
        buffer_add(&roll->names, bytes_of(name, strlen(name) + 1));
        roll->count++;
        ahead->rests = 0;
    }
    pthread_mutex_unlock(&ahead->lock);
}

/* Whether this one continues a walk; in which order is then known. Lock held. */
static bool is_step(struct walker *walker, const struct entry *entry)
{
    bool found = false;

    for (int order = 0; order < ORDERS; order++) {
        uint32_t rank = entry->ranks[order];
        bool follows = rank > walker->last[order] && rank - walker->last[order] <= GAP;

        walker->runs[order] = follows ? walker->runs[order] + 1 : 0;
        walker->last[order] = rank;
    }
    for (int order = 0; order < ORDERS && !found; order++) {
        found = walker->runs[order] >= WALK;
        if (found && walker->order != (enum order)order) {
            walker->order = (enum order)order;
            walker->next = walker->goal = 0;
        }
    }
    return found;
}

/* What is to be pushed after this one was opened; whether that is worth a wake-up. Lock held. */
static bool plan(struct ahead *ahead, const struct entry *entry)
{
    struct walker *opens = &ahead->opens;
    uint32_t count = ahead->ready->count, rank = entry->ranks[opens->order], window = ahead->window;

    if (opens->next <= rank)
        opens->next = rank + LEAD;
    opens->goal = count - rank > window ? rank + window : count;
    opens->pushed = 0;
    return opens->goal - rank >= window / 2 ? opens->goal >= opens->next + window / 2
                                            : opens->goal > opens->next;
}

/* The entry of `ready`, or NULL. Whoever is not there may be in what is being filled: `wake` is set if its orders are to be found out. Lock held. */
static const struct entry *find_step(struct ahead *ahead, uint64_t node, bool *wake)
{
    const struct entry *entry = ahead->ready ? roll_find(ahead->ready, node) : NULL;

    ahead->rests = 0;
    if (!entry && ahead->filling && ahead->filling->count >= WALK) {
        *wake = !ahead->wanted;
        ahead->wanted = true;
    }
    return entry;
}

void ahead_opened(struct ahead *ahead, uint64_t node)
{
    const struct entry *entry;
    bool wake = false;

    pthread_mutex_lock(&ahead->lock);
    entry = find_step(ahead, node, &wake);
    if (entry && is_step(&ahead->opens, entry))
        wake = plan(ahead, entry);
    pthread_mutex_unlock(&ahead->lock);
    if (wake)
        ahead->ops->wake(ahead->context);
}

/* The names behind this one, if it is the first that nobody has looked at. Lock held. */
static void add_names(struct ahead *ahead, const struct entry *entry, struct buffer *names)
{
    const struct roll *roll = ahead->ready;
    struct walker *looks = &ahead->looks;
    uint32_t rank = entry->ranks[looks->order];

    if (rank < looks->goal)
        return;
    looks->goal = roll->count - rank > LOOKS ? rank + LOOKS : roll->count;
    for (uint32_t at = rank + 1; at < looks->goal; at++) {
        uint32_t i = roll->orders[looks->order][at];
        const char *name = (const char *)roll->names.data + roll_at(roll, i)->name;

        buffer_add(names, bytes_of(name, strlen(name) + 1));
    }
}

void ahead_looked(struct ahead *ahead, uint64_t directory, uint64_t node, struct buffer *names)
{
    const struct entry *entry;
    bool wake = false;

    pthread_mutex_lock(&ahead->lock);
    entry = find_step(ahead, node, &wake);
    if (entry && ahead->ready->directory == directory && is_step(&ahead->looks, entry))
        add_names(ahead, entry, names);
    pthread_mutex_unlock(&ahead->lock);
    if (wake)
        ahead->ops->wake(ahead->context);
}

void ahead_tick(struct ahead *ahead)
{
    struct roll *filling = NULL, *ready = NULL;

    pthread_mutex_lock(&ahead->lock);
    if (++ahead->rests > REST) {
        filling = ahead->filling;
        ready = ahead->ready;
        ahead->filling = ahead->ready = NULL;
        ahead->wanted = false;
    }
    pthread_mutex_unlock(&ahead->lock);
    roll_free(filling);
    roll_free(ready);
}

/* --- in the notifier's thread --- */

/* The roll whose orders somebody needs, which is nobody else's from now on. */
static struct roll *take_wanted(struct ahead *ahead)
{
    struct roll *roll = NULL;

    pthread_mutex_lock(&ahead->lock);
    if (ahead->wanted) {
        roll = ahead->filling;
        ahead->filling = NULL;
        ahead->wanted = false;
    }
    pthread_mutex_unlock(&ahead->lock);
    return roll;
}

static void make_ready(struct ahead *ahead, struct roll *roll)
{
    struct roll *before;

    if (!roll_index(roll)) {
        roll_free(roll);
        return;
    }
    pthread_mutex_lock(&ahead->lock);
    before = ahead->ready;
    ahead->ready = roll;
    ahead->opens = ahead->looks = (struct walker){0};
    pthread_mutex_unlock(&ahead->lock);
    roll_free(before);
}

static unsigned take_nodes(struct ahead *ahead, uint64_t nodes[STEP], bool *more)
{
    struct walker *opens = &ahead->opens;
    unsigned count = 0;

    pthread_mutex_lock(&ahead->lock);
    while (ahead->ready && opens->next < opens->goal && count < STEP) {
        const struct roll *roll = ahead->ready;

        nodes[count++] = roll_at(roll, roll->orders[opens->order][opens->next++])->node;
    }
    *more = ahead->ready && opens->next < opens->goal;
    pthread_mutex_unlock(&ahead->lock);
    return count;
}

/* Nobody was heard of meanwhile: that is enough. */
static void note_pushed(struct ahead *ahead, size_t bytes)
{
    struct walker *opens = &ahead->opens;

    pthread_mutex_lock(&ahead->lock);
    opens->pushed += bytes;
    if (opens->pushed > PUSHED)
        opens->goal = opens->next;
    pthread_mutex_unlock(&ahead->lock);
}

bool ahead_step(struct ahead *ahead)
{
    struct roll *roll = take_wanted(ahead);
    uint64_t nodes[STEP];
    size_t bytes = 0;
    unsigned count;
    bool more;

    if (roll)
        make_ready(ahead, roll);
    count = take_nodes(ahead, nodes, &more);
    for (unsigned i = 0; i < count; i++) {
        size_t size = ahead->ops->push(ahead->context, nodes[i]);

        if (size)
            bytes += size > PAGE ? size : PAGE;
    }
    if (bytes)
        note_pushed(ahead, bytes);
    return more;
}
