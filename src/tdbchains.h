/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a TDB's chains through memory (mapped.h): libtdb asks the kernel four times for each record that it finds, and copies what it only looks at.
 *
 * The caller has all of the file locked by libtdb. Every number is checked, and what makes no sense is left to libtdb to explain; so is a file
 * whose hash function or order of bytes is not known here.
 */
#ifndef SHELVEFS_TDBCHAINS_H
#define SHELVEFS_TDBCHAINS_H

#include "src/bytes.h"
#include "src/mapped.h"
#include "src/tdblayout.h"

typedef uint32_t tdbchains_hash(struct bytes key);

/* A way along a chain. */
struct tdbchains_way {
    uint32_t chain;
    uint32_t at, next; /* at: 0: it has not begun, or is at its end */
    uint32_t mark; /* where it was when it had gone `steps` that are a power of two: who comes there again goes in a circle */
    uint64_t steps;
    struct tdb_record record;
};

struct tdbchains {
    struct mapped mapped;
    off_t base;    /* from where offsets count: 0, but in a file with mutexes */
    uint64_t size; /* of the file from there on */
    uint32_t count;
    tdbchains_hash *hash; /* NULL: not known */
    /* To the record that was found last: the keys of a listing come chain by chain, so the next one is probably behind it. */
    struct tdbchains_way way;
};

/* `jenkins`: libtdb's other hash function, tdb_jenkins_hash(). */
void tdbchains_init(struct tdbchains *chains, const struct tdb_header *header, tdbchains_hash *jenkins);
/*
 * This open file, of which fstat() says `stat`, is about to be read: it is mapped, unless it is larger than `most`, until mapped_end() or until it is
 * of another length. To be called each time that it was locked.
 */
void tdbchains_hurry(struct tdbchains *chains, int fd, const struct stat *stat, off_t most);

/* Appends the value. -ENOENT: there is none; -EAGAIN: ask libtdb; what buffer_status() says. */
int tdbchains_find(struct tdbchains *chains, struct bytes key, struct buffer *value);

/* Return false to stop. */
typedef bool tdbchains_visitor(void *context, struct bytes key);
struct tdbchains_walk {
    tdbchains_visitor *visitor;
    void *context;
    uint32_t chain;    /* the next one */
    struct buffer key; /* the one at hand */
    bool damaged;      /* there may be keys that can't be reached */
    bool stopped;
};
/* The keys of some chains, as many as take a millisecond or two. Hash function known. 0 or -ENOMEM. */
int tdbchains_visit(struct tdbchains *chains, struct tdbchains_walk *walk);

#endif
