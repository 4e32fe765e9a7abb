/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/sidecar.h"

#include "src/digest.h"
#include "src/io.h"
#include "src/io_draft.h"
#include "src/litter.h"
#include "src/patience.h"
#include "src/tdbfile.h"
#include "src/reservation.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * A record: a byte that says the format of what follows, a digest of name and content, the content. The digest's key is
 * constant: it tells damage, not malice.
 */
enum { RECORD_FORMAT = 1, RECORD_HEAD = 1 + sizeof(struct digest) };

static const struct digest_key checksum_key = {{0x7368656c76656673, 0x7369646563617273}};

enum {
    HASH_SIZE = 1021,  /* chains; 4 kB */
    WAIT_SECONDS = 3,  /* for another process to let go */
    READ_ATTEMPTS = 3, /* libtdb does not lock for who only reads: it may see half a commit */
    READ_WAIT_SECONDS = 1,
};

struct sidecar {
    char *path, *database, *old;
    struct tdbfile *file;  /* NULL: there is none, or none that is used */
    struct io_draft draft; /* `file` until its first commit gives it its name */
    bool fresh;            /* there is a draft */
    atomic_bool read_only; /* for good; asked by threads that don't hold our user's lock */
    int reservation;       /* to have the file, or make it; negative: another process may have it */
};

/* --- names --- */

int sidecar_path(const char *database, struct buffer *out)
{
    static const char data[] = ".dat"; /* dbm.dumb's NAME.dat is the database NAME */
    char *real = realpath(database, NULL);
    const char *name;
    struct bytes base;

    if (!real)
        return -errno;
    name = strrchr(real, '/') + 1;
    base = bytes_of_string(name);
    if (base.size > strlen(data) && bytes_end_with(base, bytes_of_string(data)))
        base.size -= strlen(data);
    buffer_add(out, bytes_of(real, (size_t)(name - real)));
    buffer_add_byte(out, '.');
    buffer_add(out, base);
    buffer_add(out, bytes_of(".shelvefs", sizeof ".shelvefs"));
    free(real);
    return buffer_status(out);
}

const char *sidecar_name(const struct sidecar *sidecar)
{
    return sidecar->path;
}

bool sidecar_writable(const struct sidecar *sidecar)
{
    return !sidecar->read_only;
}

int sidecar_new(const char *path, const char *database, bool read_only, struct sidecar **out)
{
    struct sidecar *sidecar = calloc(1, sizeof *sidecar);

    if (!sidecar)
        return -ENOMEM;
    sidecar->read_only = read_only;
    sidecar->reservation = -1;
    sidecar->path = strdup(path);
    sidecar->database = strdup(database);
    if (!sidecar->path || !sidecar->database ||
        asprintf(&sidecar->old, "%s.old", sidecar->path) < 0) {
        sidecar->old = NULL; /* asprintf() leaves it undefined */
        sidecar_free(sidecar);
        return -ENOMEM;
    }
    *out = sidecar;
    return 0;
}

/* Lets go of the file, and of a draft for good. */
static void close_file(struct sidecar *sidecar)
{
    tdbfile_close(sidecar->file);
    sidecar->file = NULL;
    if (sidecar->fresh)
        io_draft_discard(&sidecar->draft);
    sidecar->fresh = false;
}

void sidecar_free(struct sidecar *sidecar)
{
    if (!sidecar)
        return;
    close_file(sidecar);
    if (sidecar->reservation >= 0)
        close(sidecar->reservation);
    free(sidecar->path);
    free(sidecar->database);
    free(sidecar->old);
    free(sidecar);
}

/* --- opening --- */

/* Whom a file at the name must belong to, or we don't even open it. */
static int check_trust(const struct sidecar *sidecar, const struct stat *file,
                       struct failure *failure)
{
    struct stat database;

    if (S_ISLNK(file->st_mode))
        return failure_set(failure, -ELOOP, 0, "%s is not used: it is a symbolic link",
                           sidecar->path);
    if (!S_ISREG(file->st_mode))
        return failure_set(failure, -ENOTSUP, 0, "%s is not used: it is no regular file",
                           sidecar->path);
    if (file->st_nlink != 1)
        return failure_set(failure, -EMLINK, 0, "%s is not used: it has a second name",
                           sidecar->path);
    if (stat(sidecar->database, &database))
        database.st_uid = geteuid();
    if (file->st_uid != database.st_uid && file->st_uid != geteuid() && file->st_uid != 0)
        return failure_set(failure, -EPERM, 0, "%s is not used: it belongs to somebody else",
                           sidecar->path);
    return 0;
}

/* Opens what is at the name, if it may be trusted. Nothing is said about a missing file. */
static int open_file(struct sidecar *sidecar, struct failure *failure)
{
    unsigned flags = TDBFILE_NO_FOLLOW | (sidecar->read_only ? TDBFILE_READ_ONLY : 0);
    struct stat file;
    int status = lstat(sidecar->path, &file) ? -errno : 0;

    if (status == -ENOENT)
        return status;
    if (status == 0)
        status = check_trust(sidecar, &file, failure);
    if (status == 0)
        status = tdbfile_open(sidecar->path, flags, &sidecar->file);
    /* What was opened need not be what was looked at. */
    if (status == 0 && tdbfile_stat(sidecar->file, &file) == 0)
        status = check_trust(sidecar, &file, failure);
    if (status)
        close_file(sidecar);
    return status;
}

/* A mount that was just unmounted may need a moment to make the file, or write it. */
static void reserve(struct sidecar *sidecar)
{
    if (!sidecar->read_only && sidecar->reservation < 0)
        sidecar->reservation = reservation_take(sidecar->path, WAIT_SECONDS);
}

/* Whoever does not own the file goes on reading it. Who has the reservation waits for those that it does not keep out. */
static int claim(struct sidecar *sidecar, struct failure *failure)
{
    struct patience patience;
    int status;

    patience_start(&patience, sidecar->reservation < 0 ? 0 : WAIT_SECONDS);
    do
        status = tdbfile_claim(sidecar->file);
    while (status == -EBUSY && patience_wait(&patience));
    if (status == 0)
        return 0;
    sidecar->read_only = true;
    return failure_set(failure, status, 0,
                       status == -EBUSY
                           ? "%s is in use by another mount of this database: what this "
                             "one would keep there lasts until it is unmounted"
                           : "%s can't be locked",
                       sidecar->path);
}

int sidecar_set_aside(struct sidecar *sidecar)
{
    close_file(sidecar);
    if (sidecar->read_only)
        return 0;
    return rename(sidecar->path, sidecar->old) ? -errno : 0;
}

static int damaged(struct sidecar *sidecar, struct failure *failure)
{
    int status = sidecar_set_aside(sidecar);

    if (status) {
        sidecar->read_only = true;
        return failure_set(failure, status, 0, "%s is damaged, and not used: %s", sidecar->path,
                           strerror(-status));
    }
    if (sidecar->read_only)
        return failure_set(failure, -EUCLEAN, 0, "%s is damaged, and not used", sidecar->path);
    return failure_set(failure, -EUCLEAN, 0, "%s was damaged, and is %s now", sidecar->path,
                       sidecar->old);
}

/* Who may not write may still read. */
static int open_any_way(struct sidecar *sidecar, struct failure *failure)
{
    int status = open_file(sidecar, failure);

    if (sidecar->read_only || (status != -EACCES && status != -EROFS))
        return status;
    sidecar->read_only = true;
    failure_set(failure, status, 0, "%s can't be written: %s", sidecar->path, strerror(-status));
    return open_file(sidecar, failure) ? status : 0;
}

static int check_file(struct sidecar *sidecar)
{
    struct patience patience;
    int status;

    /* What can't be mended, the check finds. */
    if (!sidecar->read_only)
        tdbfile_mend(sidecar->file, 0);
    status = tdbfile_check(sidecar->file);
    patience_start(&patience, READ_WAIT_SECONDS);
    for (int i = 1; status && status != -ENOMEM && sidecar->read_only && i < READ_ATTEMPTS; i++) {
        patience_wait(&patience);
        status = tdbfile_check(sidecar->file);
    }
    return status;
}

/* The database may have got another owner or mode since. */
static int follow_owner(struct sidecar *sidecar, const struct stat *database)
{
    struct stat own;
    int status = tdbfile_stat(sidecar->file, &own);

    if (status || ((own.st_mode & 0777) == (database->st_mode & 0777) &&
                   own.st_uid == database->st_uid && own.st_gid == database->st_gid))
        return status;
    return tdbfile_own_as(sidecar->file, database);
}

/* Beside the database, its store has removed what is litter. */
static bool is_elsewhere(const struct sidecar *sidecar)
{
    const char *end = strrchr(sidecar->path, '/');
    const char *end_of_database = strrchr(sidecar->database, '/');
    size_t size = end ? (size_t)(end - sidecar->path) : 0;

    return !end || !end_of_database || (size_t)(end_of_database - sidecar->database) != size ||
           memcmp(sidecar->path, sidecar->database, size) != 0;
}

int sidecar_open(struct sidecar *sidecar, struct failure *failure)
{
    int status, claimed = 0;
    struct stat database;

    reserve(sidecar);
    if (!sidecar->read_only && is_elsewhere(sidecar))
        litter_remove(sidecar->path);
    status = open_any_way(sidecar, failure);
    if (status == -EUCLEAN)
        return damaged(sidecar, failure);
    if (status == -ENOENT || status == -ENOMEM)
        return status;
    if (status) {
        sidecar->read_only = true;
        return failure_set(failure, status, 0, "%s is not used: %s", sidecar->path,
                           strerror(-status));
    }
    if (!sidecar->read_only)
        claimed = claim(sidecar, failure);
    status = check_file(sidecar);
    if (status == -ENOMEM)
        return status;
    if (status)
        return damaged(sidecar, failure);
    if (!sidecar->read_only && stat(sidecar->database, &database) == 0)
        follow_owner(sidecar, &database);
    return claimed;
}

/* --- records --- */

static struct digest checksum(struct bytes name, struct bytes content, struct buffer *scratch)
{
    buffer_clear(scratch);
    buffer_add(scratch, name);
    buffer_add_byte(scratch, 0);
    buffer_add(scratch, content);
    return digest_bytes(&checksum_key, buffer_bytes(scratch));
}

struct visit {
    sidecar_visitor *visitor;
    void *context;
    size_t damaged;
    struct buffer scratch;
};

static bool visit_record(void *context, struct bytes name, struct bytes record)
{
    struct visit *visit = context;
    struct bytes content = bytes_part(record, RECORD_HEAD, SIZE_MAX);
    struct digest told, found = checksum(name, content, &visit->scratch);

    if (buffer_status(&visit->scratch))
        return false;
    if (record.size < RECORD_HEAD || record.data[0] != RECORD_FORMAT) {
        visit->damaged++;
        return true;
    }
    memcpy(&told, record.data + 1, sizeof told);
    if (digest_equal(told, found))
        visit->visitor(visit->context, name, content);
    else
        visit->damaged++;
    return true;
}

int sidecar_visit(struct sidecar *sidecar, sidecar_visitor *visitor, void *context, size_t *out)
{
    struct visit visit = {.visitor = visitor, .context = context, .scratch = BUFFER_INIT};
    int status = sidecar->file ? tdbfile_visit(sidecar->file, visit_record, &visit) : 0;

    if (status == 0)
        status = buffer_status(&visit.scratch);
    buffer_release(&visit.scratch);
    *out = visit.damaged;
    return status;
}

int sidecar_put(struct sidecar *sidecar, struct bytes name, struct bytes content)
{
    struct buffer record = BUFFER_INIT;
    struct digest sum = checksum(name, content, &record);
    int status = buffer_status(&record);

    buffer_clear(&record);
    buffer_add_byte(&record, RECORD_FORMAT);
    buffer_add(&record, bytes_of(&sum, sizeof sum));
    buffer_add(&record, content);
    if (status == 0)
        status = buffer_status(&record);
    if (status == 0)
        status = tdbfile_put(sidecar->file, name, buffer_bytes(&record), false);
    buffer_release(&record);
    return status;
}

int sidecar_remove(struct sidecar *sidecar, struct bytes name)
{
    int status = tdbfile_remove(sidecar->file, name);

    return status == -ENOENT ? 0 : status;
}

/* --- transactions --- */

/*
 * If somebody removed or replaced the file, what we have open is nobody's any more. Where a disk does not say, it is still ours: once closed, it
 * would be taken for another mount's.
 */
static int check_name(struct sidecar *sidecar)
{
    struct stat named, opened;
    int status;

    if (!sidecar->file)
        return 0;
    status = tdbfile_stat(sidecar->file, &opened);
    if (status)
        return status;
    if (lstat(sidecar->path, &named))
        status = -errno;
    if (status && status != -ENOENT && status != -ENOTDIR)
        return status;
    if (status || !io_is_same_file(&named, &opened))
        close_file(sidecar);
    return 0;
}

/* What another process put at the name meanwhile is not ours to fill, nor to be looked for again and again. */
static int taken(struct sidecar *sidecar, struct failure *failure)
{
    sidecar->read_only = true;
    return failure_set(failure, -EEXIST, 0,
                       "%s was made by another mount of this database meanwhile: what this one "
                       "would keep there lasts until it is unmounted",
                       sidecar->path);
}

/* A file without a name that anybody knows: nobody else can see it, so it needs no transaction. */
static int make_file(struct sidecar *sidecar, const struct stat *database, struct failure *failure)
{
    struct stat found;
    int status;

    if (lstat(sidecar->path, &found) == 0)
        return taken(sidecar, failure);
    status = io_draft_new(sidecar->path, database, &sidecar->draft);
    if (status)
        return status;
    sidecar->fresh = true;
    status = io_draft_name(&sidecar->draft);
    if (status == 0)
        status = tdbfile_make(sidecar->draft.temporary, HASH_SIZE);
    if (status == 0)
        status = tdbfile_open(sidecar->draft.temporary, TDBFILE_NO_FOLLOW, &sidecar->file);
    if (status)
        close_file(sidecar);
    return status;
}

/* Closing the draft drops all locks of the file, so it is claimed only then. */
static int publish(struct sidecar *sidecar, struct failure *failure)
{
    int status = io_draft_publish(&sidecar->draft, IO_CREATE);

    sidecar->fresh = false;
    if (status)
        close_file(sidecar);
    if (status == -EEXIST)
        return taken(sidecar, failure);
    return status ? status : claim(sidecar, failure);
}

static int begin_in_file(struct sidecar *sidecar, const struct stat *database)
{
    int status = follow_owner(sidecar, database);

    return status ? status : tdbfile_begin(sidecar->file, WAIT_SECONDS);
}

int sidecar_begin(struct sidecar *sidecar, struct failure *failure)
{
    struct stat database;
    int status;

    if (sidecar->read_only)
        return failure_set(failure, -EROFS, 0, "%s is not ours to change", sidecar->path);
    if (stat(sidecar->database, &database)) {
        status = -errno;
        return status == -ENOENT ? failure_set(failure, status, 0, "the database is gone")
                                 : failure_set(failure, status, 0, "%s: %s", sidecar->database,
                                               strerror(-status));
    }
    status = check_name(sidecar);
    if (status == 0 && sidecar->file)
        status = begin_in_file(sidecar, &database);
    else if (status == 0)
        status = make_file(sidecar, &database, failure);
    if (status)
        return failure_set(failure, status, 0, "%s: %s", sidecar->path, strerror(-status));
    return sidecar->fresh;
}

int sidecar_end(struct sidecar *sidecar, int status, bool durable, struct failure *failure)
{
    if (sidecar->fresh && status)
        close_file(sidecar);
    else if (sidecar->fresh)
        status = publish(sidecar, failure);
    else {
        tdbfile_wait_for_disk(sidecar->file, durable);
        status = tdbfile_end(sidecar->file, status);
        /* libtdb met something that makes no sense: all that is known is put into a new file. */
        if (status == -EIO)
            sidecar_set_aside(sidecar);
    }
    if (status)
        failure_set(failure, status, 0, "%s: %s", sidecar->path, strerror(-status));
    return status;
}
