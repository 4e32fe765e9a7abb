/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading what snapshot.c takes. */
#include "fs/listing.h"

#include "fs/tree_state.h"

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

int tree_readdir(struct tree_listing *listing, off_t position, const struct tree_room *room,
                 tree_entry *entry, void *context)
{
    struct glance glance;
    int code = 0;

    if (position < 0)
        return -EINVAL;
    if (!room)
        return read_page(listing, (size_t)position, false, entry, context);
    wait_until_complete(listing);
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
        take_glance(listing, (size_t)position, room, &glance);
        glance_park(&glance);
    }
    listing_leave(listing);
}

int tree_fsyncdir(struct tree_listing *listing)
{
    return store_sync(listing->tree->store);
}
