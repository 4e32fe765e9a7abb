/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a key and as a path: key -> path -> key is the same key, and no other path leads to it. */
#include "src/keyname.h"
#include "tests/fuzz/demand.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_component(struct bytes name)
{
    demand(name.size > 0 && name.size <= KEYNAME_MAX);
    demand(!bytes_equal(name, BYTES(".")) && !bytes_equal(name, BYTES("..")));
    demand(!memchr(name.data, 0, name.size));
}

static void check_path(struct bytes path)
{
    size_t start = 0;

    for (size_t i = 0; i <= path.size; i++) {
        struct bytes name = bytes_of(path.data + start, i - start);

        if (i < path.size && path.data[i] != '/')
            continue;
        check_component(name);
        demand(keyname_is_fold(name) == (i < path.size));
        start = i + 1;
    }
}

static void check_key(enum keyname_style style, struct bytes key)
{
    struct buffer path = BUFFER_INIT, again = BUFFER_INIT;

    demand(keyname_encode(style, key, &path) == 0);
    check_path(buffer_bytes(&path));
    demand(keyname_decode(style, buffer_bytes(&path), &again) == 0);
    demand(bytes_equal(buffer_bytes(&again), key));
    buffer_release(&path);
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum keyname_style styles[] = {KEYNAME_EXACT, KEYNAME_NUL_HIDDEN};

    for (size_t i = 0; i < ARRAY_SIZE(styles); i++) {
        struct buffer key = BUFFER_INIT, path = BUFFER_INIT;
        int status = keyname_decode(styles[i], bytes_of(data, size), &key);

        demand(status == 0 || status == -ENOENT);
        if (status == 0) {
            demand(keyname_encode(styles[i], buffer_bytes(&key), &path) == 0);
            demand(bytes_equal(buffer_bytes(&path), bytes_of(data, size)));
        }
        check_key(styles[i], bytes_of(data, size));
        buffer_release(&key);
        buffer_release(&path);
    }
    return 0;
}
