/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as the two files of a dbm.dumb database: the index, and behind the first NUL the values. */
#include "tests/fuzz/database.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *folder = database_folder();
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t index = nul ? (size_t)(nul - data) : size;
    struct buffer quoted = BUFFER_INIT;
    char name[96], path[128];

    /* A quotation mark tells a dbm.dumb database from other files. */
    if (index && data[0] != '\'' && data[0] != '"')
        buffer_add_byte(&quoted, '\'');
    buffer_add(&quoted, bytes_of(data, index));
    snprintf(name, sizeof name, "%s/dumb", folder);
    snprintf(path, sizeof path, "%s.dir", name);
    database_write(path, buffer_bytes(&quoted));
    snprintf(path, sizeof path, "%s.dat", name);
    database_write(path, nul ? bytes_of(nul + 1, size - index - 1) : bytes_of("", 0));
    database_check(name, "dumb");
    buffer_release(&quoted);
    return 0;
}
