/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/engine.h"

#include <errno.h>

struct traced {
    struct store store;
    struct store *inner; /* owned */
    struct store_trace *trace;
};

static struct traced *traced_of(struct store *store)
{
    return (struct traced *)store;
}

/* Counts a call. Negative: it is the one that fails. */
static int traced_turn(struct traced *traced)
{
    return traced->trace->calls++ == traced->trace->fail_at ? traced->trace->fail_code : 0;
}

static int traced_log(struct traced *traced, const char *call, struct bytes key,
                      const struct bytes *to, int status)
{
    struct buffer *log = &traced->trace->log;

    buffer_add_string(log, call);
    if (key.data) {
        buffer_add_byte(log, ' ');
        buffer_add(log, key);
    }
    if (to) {
        buffer_add_string(log, " -> ");
        buffer_add(log, *to);
    }
    buffer_printf(log, " = %d\n", status);
    return status;
}

static int traced_close(struct store *store)
{
    struct traced *traced = traced_of(store);
    int turn = traced_turn(traced), status = store_close(traced->inner);

    return traced_log(traced, "close", (struct bytes){NULL, 0}, NULL, turn ? turn : status);
}

static int traced_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_fetch(traced->inner, key, value);
    return traced_log(traced, "fetch", key, NULL, status);
}

static int traced_exists(struct store *store, struct bytes key)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_exists(traced->inner, key);
    return traced_log(traced, "exists", key, NULL, status);
}

static int traced_store(struct store *store, struct bytes key, struct bytes value,
                        enum store_mode mode)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_store(traced->inner, key, value, mode);
    return traced_log(traced, mode == STORE_INSERT ? "insert" : "store", key, NULL, status);
}

static int traced_remove(struct store *store, struct bytes key)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_remove(traced->inner, key);
    return traced_log(traced, "remove", key, NULL, status);
}

static int traced_rename(struct store *store, struct bytes from, struct bytes to,
                         enum store_mode mode)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_rename(traced->inner, from, to, mode);
    return traced_log(traced, "rename", from, &to, status);
}

static int traced_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_visit(traced->inner, visitor, context);
    return traced_log(traced, "visit", (struct bytes){NULL, 0}, NULL, status);
}

static int traced_sync(struct store *store)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_sync(traced->inner);
    return traced_log(traced, "sync", (struct bytes){NULL, 0}, NULL, status);
}

static int traced_stamp(struct store *store, struct store_stamp *out)
{
    struct traced *traced = traced_of(store);
    int status = traced_turn(traced);

    if (!status)
        status = store_stamp(traced->inner, out);
    return traced_log(traced, "stamp", (struct bytes){NULL, 0}, NULL, status);
}

static const struct store_ops traced_ops = {
    .close = traced_close,
    .fetch = traced_fetch,
    .exists = traced_exists,
    .store = traced_store,
    .remove = traced_remove,
    .rename = traced_rename,
    .visit = traced_visit,
    .sync = traced_sync,
    .stamp = traced_stamp,
};

struct store *store_new_trace(struct store *inner, struct store_trace *trace)
{
    struct traced *traced = engine_new(sizeof *traced, store_engine(inner), &traced_ops,
                                       store_path(inner), store_read_only(inner));

    if (!traced)
        return NULL;
    traced->inner = inner;
    traced->trace = trace;
    return &traced->store;
}
