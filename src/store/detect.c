/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/detect.h"

#include "src/io.h"
#include "src/store/dumb_line.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEAD_SIZE = 512, MAGIC_SIZE = 16 };

/*
 * gdbm: gdbm 1.23, src/gdbmconst.h. Berkeley DB: dbinc/db_page.h and version 1.85's db.h; from
 * version 2 on the magic is at offset 12. SQLite: its file format, section 1.3. TDB:
 * lib/tdb/common/tdb_private.h.
 */
static const struct magic {
    struct format format;
    uint8_t offset;
    struct bytes bytes;
} magics[] = {
    {{"sqlite", "an SQLite database"}, 0, {(const uint8_t *)"SQLite format 3", MAGIC_SIZE}},
    {{"tdb", "a tdb file"}, 0, BYTES("TDB file\n")},
    {{"gdbm", "a gdbm file"}, 0, BYTES("\xCF\x9A\x57\x13")},
    {{"gdbm", "a gdbm file (numsync)"}, 0, BYTES("\xD1\x9A\x57\x13")},
    {{"gdbm", "a gdbm file (32-bit)"}, 0, BYTES("\xCD\x9A\x57\x13")},
    {{"gdbm", "a gdbm file (32-bit, numsync)"}, 0, BYTES("\xD0\x9A\x57\x13")},
    {{"gdbm", "a gdbm file (old)"}, 0, BYTES("\xCE\x9A\x57\x13")},
    {{"gdbm", "a big-endian gdbm file"}, 0, BYTES("\x13\x57\x9A\xCF")},
    {{"gdbm", "a big-endian gdbm file (numsync)"}, 0, BYTES("\x13\x57\x9A\xD1")},
    {{"gdbm", "a big-endian gdbm file (32-bit)"}, 0, BYTES("\x13\x57\x9A\xCD")},
    {{"gdbm", "a big-endian gdbm file (32-bit, numsync)"}, 0, BYTES("\x13\x57\x9A\xD0")},
    {{"gdbm", "a big-endian gdbm file (old)"}, 0, BYTES("\x13\x57\x9A\xCE")},
    {{"ndbm", "a Berkeley DB hash file"}, 12, BYTES("\x61\x15\x06\x00")},
    {{"ndbm", "a big-endian Berkeley DB hash file"}, 12, BYTES("\x00\x06\x15\x61")},
    {{"ndbm", "a Berkeley DB btree file"}, 12, BYTES("\x62\x31\x05\x00")},
    {{"ndbm", "a big-endian Berkeley DB btree file"}, 12, BYTES("\x00\x05\x31\x62")},
    {{"ndbm", "a Berkeley DB 1.85 hash file"}, 0, BYTES("\x61\x15\x06\x00")},
    {{"ndbm", "a big-endian Berkeley DB 1.85 hash file"}, 0, BYTES("\x00\x06\x15\x61")},
    {{"ndbm", "a Berkeley DB 1.85 btree file"}, 0, BYTES("\x62\x31\x05\x00")},
    {{"ndbm", "a big-endian Berkeley DB 1.85 btree file"}, 0, BYTES("\x00\x05\x31\x62")},
};

static const struct format dumb = {"dumb", "a dbm.dumb database"};
static const struct format pag_pair = {"ndbm", "a .pag and .dir pair of ndbm or sdbm"};

/* Of a file that starts with `head`, its first 20 bytes or more; or NULL. */
static const struct format *format_of(struct bytes head)
{
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        if (bytes_start_with(bytes_part(head, magics[i].offset, SIZE_MAX), magics[i].bytes))
            return &magics[i].format;
    }
    return NULL;
}

static bool starts_quoted(struct bytes head)
{
    size_t at = 0;

    while (at < head.size && isspace(head.data[at]))
        at++;
    if (at < head.size && isalpha(head.data[at]))
        at++;
    return at < head.size && (head.data[at] == '\'' || head.data[at] == '"');
}

static bool has_dumb_record(struct bytes head)
{
    struct buffer key = BUFFER_INIT;
    struct bytes line;
    size_t position = 0, end;
    int64_t offset, size;
    bool found = false;

    while (!found && dumb_line_next(head, &position, &line, &end)) {
        buffer_clear(&key);
        found = dumb_line_parse(line, &key, &offset, &size) == DUMB_RECORD;
    }
    buffer_release(&key);
    return found;
}

bool detect_dumb_index(struct bytes head)
{
    return !head.size || starts_quoted(head) || has_dumb_record(head);
}

struct look {
    bool is_there; /* as a regular file */
    uint8_t head[HEAD_SIZE];
    size_t size; /* of the head */
};

/*
 * What is not a regular file, or can't be one, is not there: only a file that can't be read is an
 * error.
 */
static int look_at(const char *base, const char *suffix, struct look *out, struct failure *failure)
{
    struct look look = {.is_there = false};
    struct stat stat;
    char *path;
    int fd, status;

    if (asprintf(&path, "%s%s", base, suffix) < 0)
        return -ENOMEM;
    status = io_open_regular(path, O_RDONLY, &stat, &fd);
    if (!status) {
        look.is_there = true;
        status = io_read(fd, look.head, sizeof look.head, 0, &look.size);
        close(fd);
    }
    if (status == -ENOENT || status == -ENOTDIR || status == -EISDIR || status == -ENOTSUP ||
        status == -ENXIO || (status == -ENAMETOOLONG && *suffix))
        status = 0;
    if (status)
        failure_set(failure, status, 0, "can't read %s: %s", path, strerror(-status));
    else
        *out = look;
    free(path);
    return status;
}

static struct bytes look_head(const struct look *look)
{
    return bytes_of(look->head, look->size);
}

/* The format of NAME itself, or of NAME.db. */
static int probe_file(const char *base, const char *suffix, const struct format **format,
                      struct failure *failure)
{
    struct look look;
    int status = look_at(base, suffix, &look, failure);

    if (!status && look.is_there)
        *format = format_of(look_head(&look));
    return status;
}

/*
 * Python wants both files. We also take an index without values (the engine says what is missing),
 * and values whose index exists only as .bak: that is what a crash of Python's index rewrite leaves
 * behind. `wanted`: the user says that it is one, though it may begin with lines that nobody understands.
 */
static int probe_dumb(const char *base, bool wanted, const struct format **format,
                      struct failure *failure)
{
    struct look index, values, backup;
    int status = look_at(base, ".dir", &index, failure);

    if (!status)
        status = look_at(base, ".dat", &values, failure);
    if (!status)
        status = look_at(base, ".bak", &backup, failure);
    if (status)
        return status;
    if (index.is_there && (index.size || values.is_there) &&
        (detect_dumb_index(look_head(&index)) || (wanted && values.is_there)))
        *format = &dumb;
    if (!index.is_there && values.is_there && backup.is_there &&
        detect_dumb_index(look_head(&backup)))
        *format = &dumb;
    return 0;
}

/* gdbm's ndbm emulation keeps an ordinary gdbm file in NAME.pag. */
static int probe_pag(const char *base, const struct format **format, struct failure *failure)
{
    struct look pages, index;
    int status = look_at(base, ".pag", &pages, failure);

    if (!status)
        status = look_at(base, ".dir", &index, failure);
    if (status || !pages.is_there)
        return status;
    *format = format_of(look_head(&pages));
    if (!*format && index.is_there)
        *format = &pag_pair;
    return 0;
}

/*
 * NAME may also be one of the files of a dumb database: then the base is what comes before the
 * suffix.
 */
static int probe_dumb_part(const char *name, bool wanted, const struct format **format,
                           char **base, struct failure *failure)
{
    static const char *const parts[] = {".dir", ".dat"};
    size_t length = strlen(name);

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (length <= 4 || strcmp(name + length - 4, parts[i]) != 0)
            continue;
        *base = strndup(name, length - 4);
        return *base ? probe_dumb(*base, wanted, format, failure) : -ENOMEM;
    }
    return 0;
}

/* One step of the search: a format, and the path that its engine opens. */
static int probe(const char *name, const char *wanted, unsigned step, const struct format **format,
                 char **path, struct failure *failure)
{
    static const char *const suffixes[] = {"", "", ".db", "", ".pag"};
    bool wants_dumb = wanted && strcmp(wanted, dumb.engine) == 0;
    int status = 0;

    switch (step) {
    case 0:
        status = probe_file(name, "", format, failure);
        break;
    case 1:
        return probe_dumb_part(name, wants_dumb, format, path, failure);
    case 2:
        status = probe_file(name, ".db", format, failure);
        break;
    case 3:
        status = probe_dumb(name, wants_dumb, format, failure);
        break;
    case 4:
        status = probe_pag(name, format, failure);
        break;
    }
    if (!status && *format && asprintf(path, "%s%s", name, suffixes[step]) < 0) {
        *path = NULL;
        status = -ENOMEM;
    }
    return status;
}

static int detect_nothing(const char *name, const struct format *other, const char *wanted,
                          struct failure *failure)
{
    struct look look;
    int status = look_at(name, "", &look, failure);

    if (status)
        return status;
    if (other)
        return failure_set(failure, -EMEDIUMTYPE, 0, "%s is %s, not a %s database", name,
                           other->what, wanted);
    if (!look.is_there)
        return -ENOENT;
    if (!look.size)
        return failure_set(failure, -EMEDIUMTYPE, 0, "%s is an empty file, not a database", name);
    return failure_set(failure, -EMEDIUMTYPE, 0,
                       "%s is not a database of a kind that shelvefs knows", name);
}

int detect_database(const char *name, const char *wanted, struct detection *out,
                    struct failure *failure)
{
    const struct format *other = NULL;

    for (unsigned step = 0; step < 5; step++) {
        const struct format *format = NULL;
        char *path = NULL;
        int status = probe(name, wanted, step, &format, &path, failure);

        if (!status && format && (!wanted || strcmp(wanted, format->engine) == 0)) {
            *out = (struct detection){.format = format, .path = path};
            return 0;
        }
        free(path);
        if (status)
            return status;
        if (!other)
            other = format;
    }
    return detect_nothing(name, other, wanted, failure);
}
