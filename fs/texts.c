/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/texts.h"

#include <errno.h>
#include <stdlib.h>

int text_new(struct buffer *bytes, struct text_id id, struct text **out)
{
    struct text *text = malloc(sizeof *text);

    if (!text) {
        buffer_release(bytes);
        return -ENOMEM;
    }
    *text = (struct text){.id = id};
    atomic_init(&text->references, 1);
    buffer_init(&text->bytes, bytes->limit);
    buffer_take(&text->bytes, bytes);
    *out = text;
    return 0;
}

struct text *text_reference(struct text *text)
{
    atomic_fetch_add_explicit(&text->references, 1, memory_order_relaxed);
    return text;
}

void text_release(struct text *text)
{
    if (!text || atomic_fetch_sub_explicit(&text->references, 1, memory_order_acq_rel) != 1)
        return;
    buffer_release(&text->bytes);
    free(text);
}

void texts_init(struct texts *texts, size_t limit)
{
    *texts = (struct texts){.limit = limit};
    list_init(&texts->idle);
}

void cached_text_init(struct cached_text *cached)
{
    *cached = (struct cached_text){0};
    list_init(&cached->list);
}

void texts_busy(struct texts *texts, struct cached_text *cached)
{
    if (list_empty(&cached->list))
        return;
    list_leave(&cached->list);
    texts->bytes -= cached->text->bytes.size;
}

void texts_set(struct texts *texts, struct cached_text *cached, struct text *text)
{
    texts_busy(texts, cached);
    if (text)
        text_reference(text);
    text_release(cached->text);
    cached->text = text;
    if (text && text->id.edition == 0) {
        cached->sized = true;
        cached->size = text->bytes.size;
    } else if (text) {
        cached->sized = false;
    }
}

void texts_idle(struct texts *texts, struct cached_text *cached)
{
    if (!cached->text)
        return;
    texts_busy(texts, cached);
    list_append(&texts->idle, &cached->list);
    texts->bytes += cached->text->bytes.size;
    while (texts->bytes > texts->limit)
        texts_set(texts, CONTAINER_OF(texts->idle.next, struct cached_text, list), NULL);
}
