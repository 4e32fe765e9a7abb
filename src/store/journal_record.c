/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/journal_record.h"

struct digest record_digest(const struct record_head *head, struct bytes ranges)
{
    static const struct digest_key unkeyed;
    struct digest digest =
        digest_bytes(&unkeyed, bytes_of(head, offsetof(struct record_head, digest)));
    struct digest_key key = {.words = {digest.words[0], digest.words[1]}};

    return digest_bytes(&key, ranges);
}

int64_t record_mtime(const struct stat *stat)
{
    return stat->st_mtim.tv_sec * INT64_C(1000000000) + stat->st_mtim.tv_nsec;
}

bool record_next(struct bytes content, size_t *position, struct record_head *head,
                 struct bytes *ranges)
{
    struct bytes rest = bytes_part(content, *position, SIZE_MAX);
    uint64_t sequence = head->sequence + 1;
    bool first = *position == 0;

    if (rest.size < sizeof *head)
        return false;
    memcpy(head, rest.data, sizeof *head);
    if (head->magic != JOURNAL_MAGIC || (!first && head->sequence != sequence) ||
        head->size > rest.size - sizeof *head)
        return false;
    *ranges = bytes_part(rest, sizeof *head, head->size);
    *position += sizeof *head + head->size;
    return true;
}

struct bytes records_whole(struct bytes content)
{
    struct record_head head = {0};
    struct bytes ranges;
    size_t position = 0, end = 0;

    while (record_next(content, &position, &head, &ranges) &&
           digest_equal(record_digest(&head, ranges), head.digest))
        end = position;
    return bytes_part(content, 0, end);
}

bool record_last(struct bytes content, struct record_head *head, struct bytes *ranges,
                 size_t *start)
{
    struct record_head next = {0};
    struct bytes next_ranges;
    size_t position = 0, before = 0;
    bool found = false;

    for (; record_next(content, &position, &next, &next_ranges); before = position) {
        *head = next;
        *ranges = next_ranges;
        *start = before;
        found = true;
    }
    return found;
}
