/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Texts: what files hold, immutable and shared by reference; and the cache of those that nobody has open.
 *
 * A text is either *canonical*, what the view makes of stored bytes (edition 0: equal bytes, equal text), or what a
 * user wrote (an edition number of its own). Digest and edition together are its id: equal ids, equal content.
 */
#ifndef SHELVEFS_TEXTS_H
#define SHELVEFS_TEXTS_H

#include "codecs/codec.h"
#include "src/digest.h"
#include "src/list.h"

#include <stdatomic.h>

struct text_id {
    struct digest stored;
    uint64_t edition; /* 0: canonical */
    bool valid;       /* false: no text */
};

static inline bool text_id_equal(struct text_id a, struct text_id b)
{
    return a.valid && b.valid && a.edition == b.edition && digest_equal(a.stored, b.stored);
}

struct text {
    atomic_uint references;
    struct text_id id;
    struct codec_note note; /* meaningful for canonical texts */
    struct buffer bytes;
};

/* Takes what `bytes` owns, also on failure (-ENOMEM). One reference. */
int text_new(struct buffer *bytes, struct text_id id, struct text **out);
struct text *text_reference(struct text *text);
void text_release(struct text *text); /* NULL is allowed */

/* A text in a node, perhaps in the cache's list. */
struct cached_text {
    struct list list; /* in texts.idle, else on its own */
    struct text *text;
    bool sized; /* `size` is that of the canonical text, also after the text was dropped */
    size_t size;
};

/* Part of struct tree, guarded by its lock. */
struct texts {
    struct list idle; /* oldest use first: what may be dropped */
    size_t bytes;     /* of the texts in `idle` */
    size_t limit;
    uint64_t editions; /* handed out so far */
};

void texts_init(struct texts *texts, size_t limit);
void cached_text_init(struct cached_text *cached);
/* Replaces the text by `text`, which gets a reference, or by nothing. It is not idle afterwards. */
void texts_set(struct texts *texts, struct cached_text *cached, struct text *text);
/* Nobody has it open: it may be dropped when room is needed. Also counts as a use. */
void texts_idle(struct texts *texts, struct cached_text *cached);
/* Somebody has it open: it stays. */
void texts_busy(struct texts *texts, struct cached_text *cached);

#endif
