/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/inplace.h"

#include "src/io.h"
#include "src/store/holders.h"
#include "src/store/presence.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

enum {
    UNSURE_TRIES = 5,
    MOST_KEPT = 1 << 20,
    MOVED_TRIES = 5, /* of a change, in one file after the other */
};

static struct inplace *inplace_of(struct store *store)
{
    return (struct inplace *)store;
}

static bool is_unsure(const struct inplace *i)
{
    return i->turn.no_lock || i->ops->ignored_by_others;
}

/* --- turns --- */

void inplace_damaged(struct inplace *i, const char *how)
{
    if (!i->store.damaged && stat(i->store.path, &i->condemned))
        i->condemned = i->turn.stat;
    engine_damaged(&i->store, how);
}

static bool is_as_condemned(const struct inplace *i)
{
    struct stat now;

    return fstat(i->turn.fd, &now) || io_is_unchanged(&i->condemned, &now);
}

static int look(struct inplace *i, struct failure *failure)
{
    int status = i->turn.changed_hands ? i->ops->look(i, failure) : 0;

    if (status == -EMEDIUMTYPE || !is_unsure(i))
        presence_lost(&i->store, status);
    if (status)
        return status == -EMEDIUMTYPE && !failure ? -EIO : status;
    i->turn.changed_hands = false;
    if (i->turn.replaced || i->turn.stat.st_size < i->size)
        i->checked = false;
    i->size = i->turn.stat.st_size;
    if (i->turn.replaced || i->store.lost)
        presence_found(&i->store, i->turn.replaced);
    i->turn.replaced = false;
    if (i->store.damaged && !is_as_condemned(i)) {
        i->store.damaged = i->checked = false;
        buffer_add_string(&i->store.notes,
                          "somebody has written to the damaged database: it is looked at again\n");
    }
    return 0;
}

static int begin_reading(struct inplace *i, struct failure *failure)
{
    int status = turn_read(&i->turn);

    return status ? status : look(i, failure);
}

static int check(struct inplace *i)
{
    int status = i->checked ? 0 : i->ops->check(i);

    i->checked = !status;
    return status;
}

static int begin_writing(struct inplace *i)
{
    int status = turn_write(&i->turn);

    if (!status)
        status = look(i, NULL);
    if (!status && i->ops->prepare)
        status = i->ops->prepare(i);
    if (!status)
        status = look(i, NULL);
    return status ? status : check(i);
}

/* --- looking --- */

static int fetch(struct inplace *i, struct bytes key, struct buffer *value)
{
    int status = i->ops->fetch(i, key, value);

    if (status != -EUCLEAN)
        return status;
    if (!is_unsure(i))
        inplace_damaged(i, "a part of its hash table makes no sense");
    return -EIO;
}

static int look_up(struct inplace *i, struct bytes key, struct buffer *value)
{
    int status = begin_reading(i, NULL);

    if (!status)
        status = fetch(i, key, value);
    if (!i->burst)
        turn_done(&i->turn);
    return status;
}

static int look_up_patiently(struct inplace *i, struct bytes key, struct buffer *value)
{
    struct patience patience;
    int status = look_up(i, key, value);

    patience_start(&patience, 1);
    for (int try = 1; is_unsure(i) && (status == -EIO || status == -EUCLEAN) && try < UNSURE_TRIES;
         try++) {
        patience_wait(&patience);
        i->turn.changed_hands = true;
        status = look_up(i, key, value);
    }
    if (status == -EUCLEAN)
        presence_lost(&i->store, status);
    return status;
}

static int inplace_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    return look_up_patiently(inplace_of(store), key, value);
}

static int inplace_exists(struct store *store, struct bytes key)
{
    int status = look_up_patiently(inplace_of(store), key, NULL);

    if (status == -ENOENT)
        return 0;
    return status ? status : 1;
}

static int inplace_burst(struct store *store, bool begins)
{
    struct inplace *i = inplace_of(store);
    int status = begins ? begin_reading(i, NULL) : 0;

    i->burst = begins && !status;
    if (i->burst && i->ops->hurry)
        i->ops->hurry(i);
    if (!i->burst)
        turn_done(&i->turn);
    return status;
}

static void inplace_rest(struct store *store)
{
    struct inplace *i = inplace_of(store);

    if (i->ops->rest)
        i->ops->rest(i);
}

static int inplace_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct inplace *i = inplace_of(store);
    struct walk walk;
    int status = begin_reading(i, NULL);

    walk_init(&walk, visitor, context);
    if (!status)
        status = i->ops->visit(i, &walk);
    if (walk.damaged && !is_unsure(i))
        inplace_damaged(i, "some of its keys can't be reached");
    turn_done(&i->turn);
    walk_release(&walk);
    return status || !walk_verdict(&walk) ? status : -EIO;
}

/* --- changing --- */

/* More than the libraries' own numbers hold. */
static bool is_too_large(const struct step *step)
{
    return step->key.size > INT_MAX ||
           (step->value && step->value->size > INT_MAX - step->key.size);
}

static int carry_out(struct inplace *i, const struct update *update)
{
    int status;

    for (size_t at = 0; at < update->count; at++) {
        if (is_too_large(&update->steps[at]))
            return -EFBIG;
    }
    status = i->ops->plan(i, update, &i->changes);

    if (status == -EUCLEAN)
        inplace_damaged(i, "its library refuses to change it");
    if (!status)
        status = turn_commit(&i->turn, &i->changes);
    i->turn.changed_hands = true;
    if (i->changes.ranges.capacity > MOST_KEPT)
        changes_release(&i->changes);
    return status;
}

/* 1: it is there, 0: it is not. */
static int is_there(struct inplace *i, struct bytes key)
{
    int status = fetch(i, key, NULL);

    if (status == -ENOENT)
        return 0;
    return status ? status : 1;
}

static int store_in_turn(struct inplace *i, struct bytes key, struct bytes value,
                         enum store_mode mode)
{
    struct update update = {{{key, &value}}, 1};
    int status = mode == STORE_INSERT ? is_there(i, key) : 0;

    if (status)
        return status > 0 ? -EEXIST : status;
    return carry_out(i, &update);
}

/* Whether to do a change again, in the file that has the name now. */
static bool again(int *status, int *tries)
{
    if (*status == -ESTALE && ++*tries < MOVED_TRIES)
        return true;
    if (*status == -ESTALE)
        *status = -EBUSY;
    return false;
}

static int inplace_store(struct store *store, struct bytes key, struct bytes value,
                         enum store_mode mode)
{
    struct inplace *i = inplace_of(store);
    int status, tries = 0;

    do {
        status = begin_writing(i);
        if (!status)
            status = store_in_turn(i, key, value, mode);
        turn_done(&i->turn);
    } while (again(&status, &tries));
    return status;
}

static int remove_in_turn(struct inplace *i, struct bytes key)
{
    struct update update = {{{key, NULL}}, 1};
    int status = is_there(i, key);

    if (status > 0)
        return carry_out(i, &update);
    return status ? status : -ENOENT;
}

static int inplace_remove(struct store *store, struct bytes key)
{
    struct inplace *i = inplace_of(store);
    int status, tries = 0;

    do {
        status = begin_writing(i);
        if (!status)
            status = remove_in_turn(i, key);
        turn_done(&i->turn);
    } while (again(&status, &tries));
    return status;
}

static int rename_in_turn(struct inplace *i, struct bytes from, struct bytes to,
                          enum store_mode mode, struct buffer *value)
{
    int status = fetch(i, from, value);
    struct bytes moved = buffer_bytes(value);
    struct update update = {{{to, &moved}, {from, NULL}}, 2};

    if (!status && mode == STORE_INSERT)
        status = is_there(i, to);
    if (status)
        return status > 0 ? -EEXIST : status;
    return carry_out(i, &update);
}

static int exchange_in_turn(struct inplace *i, struct bytes one, struct bytes other,
                            struct buffer *value)
{
    struct buffer second = BUFFER_INIT;
    struct bytes of_one, of_other;
    struct update update = {{{one, &of_other}, {other, &of_one}}, 2};
    int status = fetch(i, one, value);

    if (!status)
        status = fetch(i, other, &second);
    of_one = buffer_bytes(value);
    of_other = buffer_bytes(&second);
    if (!status)
        status = carry_out(i, &update);
    buffer_release(&second);
    return status;
}

static int inplace_rename(struct store *store, struct bytes from, struct bytes to,
                          enum store_mode mode)
{
    struct inplace *i = inplace_of(store);
    struct buffer value = BUFFER_INIT;
    int status, tries = 0;

    do {
        buffer_clear(&value);
        status = begin_writing(i);
        if (!status && mode == STORE_EXCHANGE)
            status = exchange_in_turn(i, from, to, &value);
        else if (!status)
            status = rename_in_turn(i, from, to, mode, &value);
        turn_done(&i->turn);
    } while (again(&status, &tries));
    buffer_release(&value);
    return status;
}

/* The turn goes on from here, however long the disk took: to end it would cost who syncs file after file another wait for each. */
static int inplace_sync(struct store *store)
{
    struct inplace *i = inplace_of(store);
    int status = i->store.read_only ? 0 : turn_sync(&i->turn);

    turn_done(&i->turn);
    return status;
}

static int inplace_stamp(struct store *store, struct store_stamp *out)
{
    struct inplace *i = inplace_of(store);

    if (i->ops->has_stamp && !i->ops->has_stamp(i))
        return -ENOTSUP;
    return turn_stamp(&i->turn, out);
}

/* --- opening and closing --- */

static void release(struct inplace *i)
{
    i->ops->release(i);
    changes_release(&i->changes);
}

static int inplace_close(struct store *store)
{
    struct inplace *i = inplace_of(store);
    int status = turn_release(&i->turn);

    release(i);
    return status;
}

const struct store_ops inplace_store_ops = {
    .close = inplace_close,
    .fetch = inplace_fetch,
    .exists = inplace_exists,
    .burst = inplace_burst,
    .rest = inplace_rest,
    .store = inplace_store,
    .remove = inplace_remove,
    .rename = inplace_rename,
    .visit = inplace_visit,
    .sync = inplace_sync,
    .stamp = inplace_stamp,
};

static int explain(struct inplace *i, int status, struct failure *failure)
{
    const char *path = i->store.path;

    if (status == -EBUSY)
        return holders_refuse(i->ops->engine, path, "wait until it ends, or look with -o ro,nolock",
                              failure);
    if (status == -EACCES && !i->store.read_only)
        return failure_set(failure, status, 0, "%s may not be written to: mount it read-only",
                           path);
    /* What is in the way is in the notes. */
    if (status == -EPERM && i->store.notes.size)
        return failure_set(failure, status, 0, "%.*s", (int)i->store.notes.size - 1,
                           (char *)i->store.notes.data);
    if (status == -EUCLEAN)
        return failure_set(failure, status, 0,
                           "%s is damaged: look with -o ro, and save what is left from there",
                           path);
    return status;
}

/* What a crash left is put right now; then nobody has to be kept out until there is something to save. */
static int start(struct inplace *i, struct failure *failure)
{
    int status;

    pthread_mutex_lock(&i->store.mutex);
    status = begin_reading(i, failure);
    if (!status && !i->store.read_only && access(i->store.path, W_OK))
        status = -errno;
    if (!status && !i->store.read_only && i->ops->needs_writing && i->ops->needs_writing(i))
        status = begin_writing(i);
    turn_done(&i->turn);
    pthread_mutex_unlock(&i->store.mutex);
    return status ? explain(i, status, failure) : 0;
}

int inplace_open(struct inplace *i, const struct inplace_ops *ops,
                 const struct store_options *options, struct failure *failure)
{
    int status;

    i->ops = ops;
    i->changes = CHANGES_INIT;
    status = turn_init(&i->turn, &i->store, options);
    if (!status) {
        status = start(i, failure);
        if (status)
            turn_release(&i->turn);
    }
    if (status) {
        release(i);
        engine_free(&i->store);
    }
    return status;
}
