/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading what snapshot.c takes. */
#include "fs/listing.h"

#include "fs/tree_state.h"
#include "src/clock.h"

#include <errno.h>

/* The id that a look-up would tell. */
static uint64_t entry_id(struct tree *tree, struct place place, const char *name)
{
    struct node *node;
    uint64_t id;

    pthread_mutex_lock(&tree->lock);
    node = nodes_find(&tree->nodes, place, name);
    id = node ? node->id : node_hash(place, name);
    pthread_mutex_unlock(&tree->lock);
    return id;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The directory's own id, or that of the one above. */
static uint64_t dots_id(struct tree_listing *listing, const char *name)
{
    struct tree *tree = listing->tree;
    const struct node *node = listing->directory;
    struct place above = {node->home, node->fold};

    if (!name[1])
        return node->id;
    if (!above.fold)
        return tree->nodes.directories[above.home].id;
    return entry_id(tree, (struct place){above.home, above.fold->parent}, above.fold->name);
}

/* What somebody is looking at just now need not be looked at twice. */
static void wait_until_complete(struct tree_listing *listing)
{
    pthread_mutex_lock(&listing->lock);
    while (!listing->complete || listing->looking)
        pthread_cond_wait(&listing->grown, &listing->lock);
    pthread_mutex_unlock(&listing->lock);
}

bool tree_listing_complete(struct tree_listing *listing)
{
    bool complete;

    pthread_mutex_lock(&listing->lock);
    complete = listing->complete;
    pthread_mutex_unlock(&listing->lock);
    return complete;
}

/* Valid while the lock is held, and for good once the listing is complete. */
static const char *entry_at(const struct tree_listing *listing, size_t i, mode_t *type)
{
    size_t start;

    memcpy(&start, listing->offsets.data + i * sizeof start, sizeof start);
    *type = (mode_t)listing->names.data[start] << 12;
    return (const char *)listing->names.data + start + 1;
}

/*
 * Copies the entry to `name`, which has room for NAME_LONGEST and a NUL. 1: there it is; 0: it is not there (yet); negative errno:
 * there may be such an entry. `wait`: until that is known.
 */
static int copy_entry(struct tree_listing *listing, size_t i, bool wait, char *name, mode_t *type)
{
    int found;

    pthread_mutex_lock(&listing->lock);
    while (wait && !listing->complete && i >= listing_count(listing))
        pthread_cond_wait(&listing->grown, &listing->lock);
    found = i < listing_count(listing) ? 1 : listing->complete ? listing->status : 0;
    if (found == 1)
        strcpy(name, entry_at(listing, i, type));
    pthread_mutex_unlock(&listing->lock);
    return found;
}

/* The names that probably fit into a page from `at` on. */
struct page_names {
    const struct tree_listing *listing; /* complete */
    size_t at;
    struct tree_room room;
};

static const char *next_name(void *context)
{
    struct page_names *names = context;

    while (names->at < listing_count(names->listing)) {
        mode_t type;
        const char *name = entry_at(names->listing, names->at, &type);
        size_t size = names->room.each + strlen(name);

        if (size > names->room.bytes)
            return NULL;
        names->room.bytes -= size;
        names->at++;
        if (type == S_IFREG && !is_dots(name))
            return name;
    }
    return NULL;
}

static int take_glance(struct tree_listing *listing, size_t position, const struct tree_room *room,
                       struct glance *out)
{
    struct page_names names = {listing, position, *room};

    return glance_take(listing->tree, listing->directory->opens, next_name, &names, out);
}

/* `plus`: with attributes, and a reference. */
static int find_entry(struct tree_listing *listing, const char *name, bool plus, struct stat *stat)
{
    struct place place = listing->directory->opens;

    if (is_dots(name))
        stat->st_ino = dots_id(listing, name);
    else if (plus)
        return tree_lookup_in(listing->tree, place, name, stat);
    else
        stat->st_ino = entry_id(listing->tree, place, name);
    return 0;
}

static int read_page(struct tree_listing *listing, size_t position, bool plus, tree_entry *entry,
                     void *context)
{
    char name[NAME_LONGEST + 1];
    bool given = false; /* an answer without entries would be the end */
    struct stat stat = {0};
    int found;

    for (size_t i = position;
         (found = copy_entry(listing, i, !given, name, &stat.st_mode)) == 1; i++) {
        int code = find_entry(listing, name, plus, &stat);

        if (code && code != -ENOENT)
            return code;
        if (code == 0 && !entry(context, name, &stat, (off_t)i + 1)) {
            if (plus && !is_dots(name))
                tree_forget(listing->tree, stat.st_ino, 1);
            return 0;
        }
        given = given || code == 0;
        stat = (struct stat){0};
    }
    return given ? 0 : found;
}

/* --- what is ready --- */

struct entry {
    struct stat stat;
    size_t name; /* where it starts in the names */
    off_t next;
};

static const struct entry *prepared_at(const struct prepared *prepared, size_t i)
{
    return (const struct entry *)(const void *)prepared->entries.data + i;
}

static size_t prepared_count(const struct prepared *prepared)
{
    return prepared->entries.size / sizeof(struct entry);
}

static const char *prepared_name(const struct prepared *prepared, const struct entry *entry)
{
    return (const char *)prepared->names.data + entry->name;
}

/* From this one on, nobody gets them. */
static void forget_from(struct tree *tree, struct prepared *prepared, size_t first)
{
    for (size_t i = first; i < prepared_count(prepared); i++) {
        const struct entry *entry = prepared_at(prepared, i);

        if (!is_dots(prepared_name(prepared, entry)))
            tree_forget(tree, entry->stat.st_ino, 1);
    }
    buffer_release(&prepared->entries);
    buffer_release(&prepared->names);
}

static struct prepared begin_to_prepare(struct tree *tree, off_t position)
{
    struct prepared prepared = {
        .position = position,
        .entries = BUFFER_INIT,
        .names = BUFFER_INIT,
        .touches = atomic_load(&tree->touches),
        .ms = clock_ms(),
    };

    prepared.stamped = store_stamp(tree->store, &prepared.stamp) == 0;
    return prepared;
}

static bool is_still_true(struct tree *tree, const struct prepared *prepared)
{
    struct store_stamp stamp;

    return prepared->touches == atomic_load(&tree->touches) &&
           clock_ms() - prepared->ms <= GLANCE_MS &&
           (!prepared->stamped || (store_stamp(tree->store, &stamp) == 0 &&
                                   memcmp(&stamp, &prepared->stamp, sizeof stamp) == 0));
}

/* Takes what is prepared from the listing. */
static struct prepared take_prepared(struct tree_listing *listing)
{
    struct prepared prepared;

    pthread_mutex_lock(&listing->lock);
    prepared = listing->prepared;
    listing->prepared = (struct prepared){.entries = BUFFER_INIT, .names = BUFFER_INIT};
    pthread_mutex_unlock(&listing->lock);
    return prepared;
}

void listing_drop_prepared(struct tree_listing *listing)
{
    struct prepared prepared = take_prepared(listing);

    forget_from(listing->tree, &prepared, 0);
}

/* Who does something else between two pages does so again: to prepare the next ones would be work for nothing. */
static void prepare_no_more(struct tree_listing *listing)
{
    pthread_mutex_lock(&listing->lock);
    listing->unprepared = true;
    pthread_mutex_unlock(&listing->lock);
}

/*
 * Gives what is prepared, with its references, to `entry`, until there is no room any more: false. Else `*position` is where it ends, the same as
 * before if nothing was ready.
 */
static bool give_prepared(struct tree_listing *listing, off_t *position, tree_entry *entry,
                          void *context)
{
    struct prepared prepared = take_prepared(listing);
    bool ready = prepared.position && prepared.position == *position &&
                 is_still_true(listing->tree, &prepared);
    bool room = true;
    size_t i = 0;

    if (prepared.position && !ready)
        prepare_no_more(listing);
    while (ready && room && i < prepared_count(&prepared)) {
        const struct entry *at = prepared_at(&prepared, i);

        room = entry(context, prepared_name(&prepared, at), &at->stat, at->next);
        if (room) {
            *position = at->next;
            i++;
        }
    }
    forget_from(listing->tree, &prepared, i);
    return room;
}

/* Entries that are being prepared, as many as there is room for and one more. */
struct preparation {
    struct prepared *prepared;
    struct tree_room room;
};

static bool prepare_entry(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct preparation *preparation = context;
    struct prepared *prepared = preparation->prepared;
    struct entry entry = {.stat = *stat, .name = prepared->names.size, .next = next};
    size_t length = strlen(name), size = preparation->room.each + length;

    /* Who takes longer than what is seen holds, for large values, does that when he is asked, or it might be for nobody. */
    if (!preparation->room.bytes || clock_ms() - prepared->ms > GLANCE_MS / 2)
        return false;
    buffer_add(&prepared->names, bytes_of(name, length + 1));
    if (buffer_status(&prepared->names) == 0)
        buffer_add(&prepared->entries, bytes_of(&entry, sizeof entry));
    if (buffer_status(&prepared->names) || buffer_status(&prepared->entries))
        return false;
    preparation->room.bytes -= size < preparation->room.bytes ? size : preparation->room.bytes;
    return true;
}

static bool may_prepare(const struct tree_listing *listing)
{
    return !listing->unprepared && !atomic_load(&listing->tree->touching);
}

/* What is found of them so far is ready, also if the rest can't be. */
static void prepare(struct tree_listing *listing, struct prepared *prepared,
                    const struct tree_room *room)
{
    struct preparation preparation = {prepared, *room};

    read_page(listing, (size_t)prepared->position, true, prepare_entry, &preparation);
    pthread_mutex_lock(&listing->lock);
    listing->prepared = *prepared;
    pthread_mutex_unlock(&listing->lock);
}

/* --- reading --- */

int tree_readdir(struct tree_listing *listing, off_t position, const struct tree_room *room,
                 tree_entry *entry, void *context)
{
    struct glance glance;
    off_t at = position;
    int code = 0;

    if (position < 0)
        return -EINVAL;
    if (!room)
        return read_page(listing, (size_t)position, false, entry, context);
    wait_until_complete(listing);
    if (!give_prepared(listing, &at, entry, context))
        return 0;
    if (at != position)
        return read_page(listing, (size_t)at, true, entry, context);
    code = take_glance(listing, (size_t)position, room, &glance);
    if (code == 0)
        code = read_page(listing, (size_t)position, true, entry, context);
    glance_release(&glance);
    return code;
}

void tree_keep_listing(struct tree_listing *listing)
{
    pthread_mutex_lock(&listing->lock);
    listing->uses++;
    listing->looking = true;
    pthread_mutex_unlock(&listing->lock);
}

void tree_look_ahead(struct tree_listing *listing, off_t position, const struct tree_room *room)
{
    struct glance glance;

    if (position > 0 && (size_t)position < listing_count(listing)) {
        struct prepared prepared = begin_to_prepare(listing->tree, position);
        bool may = may_prepare(listing); /* in this order: who begins in between is counted */
        int code = take_glance(listing, (size_t)position, room, &glance);

        if (code == 0 && may)
            prepare(listing, &prepared, room);
        glance_park(&glance);
    }
    listing_leave(listing);
}

int tree_fsyncdir(struct tree_listing *listing)
{
    return store_sync(listing->tree->store);
}
