/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hostiletool SIZE: the rows of hostile.c of a size, for tests/mount/test_hostile.py. Each is a line "CODEC KIND BYTES NAME" (KIND: stored
 * or text) and so many bytes.
 */
#include "tests/unit/hostile.h"

#include <stdio.h>
#include <stdlib.h>

static void print(const struct hostile_row *row, size_t size)
{
    struct hostile_value value;
    const struct buffer *made;

    hostile_value_init(&value, row, size);
    made = row->is_text ? &value.text : &value.stored;
    printf("%s %s %zu %s\n", row->dialect.codec == CODEC_MARSHAL ? "marshal" : "pickle",
           row->is_text ? "text" : "stored", made->size, row->name);
    fwrite(made->data, 1, made->size, stdout);
    hostile_value_release(&value);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (size_t i = 0; i < hostile_row_count; i++)
        print(&hostile_rows[i], strtoul(argv[1], NULL, 10));
    return ferror(stdout) ? 1 : 0;
}
