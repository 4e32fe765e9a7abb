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

/* Whether this call is the one that fails. */
static bool traced_count(struct traced *traced)
{
    return traced->trace->calls++ == traced->trace->fail_at;
}

static void traced_log(struct traced *traced, const char *call, struct bytes key,
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
}

static int traced_close(struct store *store)
{
    struct traced *traced = traced_of(store);
    bool fails = traced_count(traced);
    int status = store_close(traced->inner);

    if (fails)
        status = traced->trace->fail_code;
    traced_log(traced, "close", (struct bytes){NULL, 0}, NULL, status);
    return status;
}

static int traced_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    struct traced *traced = traced_of(store);
    int status =
        traced_count(traced) ? traced->trace->fail_code : store_fetch(traced->inner, key, value);

    traced_log(traced, "fetch", key, NULL, status);
    return status;
}

static int traced_exists(struct store *store, struct bytes key)
{
    struct traced *traced = traced_of(store);
    int status = traced_count(traced) ? traced->trace->fail_code : store_exists(traced->inner, key);

    traced_log(traced, "exists", key, NULL, status);
    return status;
}

static int traced_store(struct store *store, struct bytes key, struct bytes value,
                        enum store_mode mode)
{
    struct traced *traced = traced_of(store);
    int status = traced_count(traced) ? traced->trace->fail_code
                                      : store_store(traced->inner, key, value, mode);

    traced_log(traced, mode == STORE_INSERT ? "insert" : "store", key, NULL, status);
    return status;
}

static int traced_remove(struct store *store, struct bytes key)
{
    struct traced *traced = traced_of(store);
    int status = traced_count(traced) ? traced->trace->fail_code : store_remove(traced->inner, key);

    traced_log(traced, "remove", key, NULL, status);
    return status;
}

static int traced_rename(struct store *store, struct bytes from, struct bytes to,
                         enum store_mode mode)
{
    struct traced *traced = traced_of(store);
    int status = traced_count(traced) ? traced->trace->fail_code
                                      : store_rename(traced->inner, from, to, mode);

    traced_log(traced, "rename", from, &to, status);
    return status;
}

static int traced_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct traced *traced = traced_of(store);
    int status = traced_count(traced) ? traced->trace->fail_code
                                      : store_visit(traced->inner, visitor, context);

    traced_log(traced, "visit", (struct bytes){NULL, 0}, NULL, status);
    return status;
}

static int traced_sync(struct store *store)
{
    struct traced *traced = traced_of(store);
    int status = traced_count(traced) ? traced->trace->fail_code : store_sync(traced->inner);

    traced_log(traced, "sync", (struct bytes){NULL, 0}, NULL, status);
    return status;
}

static int traced_stamp(struct store *store, struct store_stamp *out)
{
    struct traced *traced = traced_of(store);
    int status = traced_count(traced) ? traced->trace->fail_code : store_stamp(traced->inner, out);

    traced_log(traced, "stamp", (struct bytes){NULL, 0}, NULL, status);
    return status;
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
