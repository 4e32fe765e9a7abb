/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/dis.h"

#include "codecs/pickle_dis.h"
#include "fs/startup.h"
#include "src/keyname.h"

#include <errno.h>
#include <stdlib.h>

static int fetch(struct store *store, enum keyname_style style, const char *name,
                 struct buffer *value, struct failure *failure)
{
    struct buffer key = BUFFER_INIT;
    int status = keyname_decode(style, bytes_of_string(name), &key);

    if (status == -ENOENT)
        failure_set(failure, status, 0, "no key has the file name '%s'", name);
    else if (status == 0)
        status = store_fetch(store, buffer_bytes(&key), value);
    if (status == -ENOENT)
        failure_set(failure, status, 0, "no such key: '%s'", name);
    buffer_release(&key);
    return status;
}

int dis_show(const struct options *options, struct buffer *text, struct failure *failure)
{
    struct store_options how = options->store;
    struct store *store;
    struct buffer value;
    int status;

    how.flags |= STORE_READ_ONLY;
    status = store_open(options->database, &how, &store, failure);
    if (status)
        return status == -EBUSY ? EXIT_LOCKED : EXIT_DATABASE;
    buffer_init(&value, options->rules.max_value);
    status = fetch(store, options->names, options->key, &value, failure);
    text->limit = options->rules.max_value;
    if (status == 0)
        status = pickle_dis(buffer_bytes(&value), text);
    buffer_release(&value);
    store_close(store);
    if (status)
        failure_set(failure, status, 0, "cannot list '%s': %s", options->key, strerror(-status));
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
