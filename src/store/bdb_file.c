/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/bdb_file.h"

#include "src/io.h"

#include <errno.h>
#include <sys/stat.h>

enum {
    META_SIZE = 512, /* more than its fields take, and less than the smallest page */
    META_MAGIC = 12,
    META_VERSION = 16,
    META_PAGE_SIZE = 20,
    META_ENCRYPTED = 24, /* a byte */
    META_TYPE = 25,      /* a byte */
    META_CHECKSUMS = 26, /* a byte */
    META_FREE = 28,
    META_LAST_PAGE = 32,
    META_FLAGS = 48, /* several values for a key, several databases */
    META_MAX_BUCKET = 72,
    META_HIGH_MASK = 76,
    META_LOW_MASK = 80,
    META_CHECK = 92, /* the hash of a certain key */
    META_SPARES = 96,

    MAGIC = 0x061561,
    MAGIC_BTREE = 0x053162,
    OLDEST_VERSION = 7,
    NEWEST_VERSION = 9,

    PAGE_NUMBER = 8,
    PAGE_PREVIOUS = 12,
    PAGE_NEXT = 16,
    PAGE_ENTRIES = 20, /* two bytes */
    PAGE_LENGTH =
        22,         /* two bytes: of what a page of a long item holds; of items: where they begin */
    PAGE_TYPE = 25, /* a byte */
    PAGE_HEAD = 26, /* the offsets of the items follow, two bytes each */

    TYPE_UNUSED = 0,
    TYPE_UNSORTED = 2,
    TYPE_LONG = 7,
    TYPE_META = 8,
    TYPE_HASH = 13,

    ITEM_SHORT = 1,
    ITEM_LONG = 3,
    LONG_PAGE = 4, /* where the item begins */
    LONG_SIZE = 8,
    LONG_ITEM_SIZE = 12,
};

void bdb_file_release(struct bdb_file *file)
{
    buffer_release(&file->page);
    buffer_release(&file->long_page);
}

static uint32_t number_at(const struct bdb_file *file, const uint8_t *data)
{
    uint32_t number;

    memcpy(&number, data, sizeof number);
    return file->swapped ? __builtin_bswap32(number) : number;
}

static uint32_t short_at(const struct bdb_file *file, const uint8_t *data)
{
    uint16_t number;

    memcpy(&number, data, sizeof number);
    return file->swapped ? __builtin_bswap16(number) : number;
}

/* --- the first page --- */

static uint32_t hash_of(struct bytes key)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < key.size; i++) {
        hash *= 16777619;
        hash ^= key.data[i];
    }
    return hash;
}

static bool order_is_known(struct bdb_file *file, const uint8_t *meta)
{
    file->swapped = false;
    for (int i = 0; i < 2; i++) {
        uint32_t magic = number_at(file, meta + META_MAGIC);

        if (magic == MAGIC || magic == MAGIC_BTREE)
            return true;
        file->swapped = !file->swapped;
    }
    return false;
}

/* What is a Berkeley DB file, but not one of dbm.ndbm's. */
static const char *foreign_kind(const struct bdb_file *file, const uint8_t *meta)
{
    uint32_t version = number_at(file, meta + META_VERSION);

    if (number_at(file, meta + META_MAGIC) == MAGIC_BTREE)
        return "is a Berkeley DB btree file";
    if (version < OLDEST_VERSION || version > NEWEST_VERSION)
        return "is of a version of Berkeley DB that 5.3 doesn't open";
    if (meta[META_ENCRYPTED] || meta[META_CHECKSUMS])
        return "is a Berkeley DB hash file with encryption, checksums or partitions";
    if (number_at(file, meta + META_FLAGS))
        return "is a Berkeley DB hash file of several databases, or with several values for a key";
    return NULL;
}

static void read_fields(struct bdb_file *file, const uint8_t *meta)
{
    file->page_size = number_at(file, meta + META_PAGE_SIZE);
    file->last_page = number_at(file, meta + META_LAST_PAGE);
    file->free_page = number_at(file, meta + META_FREE);
    file->max_bucket = number_at(file, meta + META_MAX_BUCKET);
    file->high_mask = number_at(file, meta + META_HIGH_MASK);
    file->low_mask = number_at(file, meta + META_LOW_MASK);
    for (int i = 0; i < BDB_SPARES; i++)
        file->spares[i] = number_at(file, meta + META_SPARES + 4 * i);
}

static bool meta_makes_sense(const struct bdb_file *file, const uint8_t *meta)
{
    static const struct bytes check = {(const uint8_t *)"%$sniglet^&", 12}; /* with its NUL */

    return meta[META_TYPE] == TYPE_META && number_at(file, meta + META_CHECK) == hash_of(check) &&
           file->page_size >= META_SIZE && file->page_size <= 1 << 16 &&
           (file->page_size & (file->page_size - 1)) == 0 && file->pages &&
           file->last_page < file->pages && file->max_bucket < file->pages &&
           (file->high_mask & (file->high_mask + 1)) == 0 &&
           file->low_mask == file->high_mask >> 1 && file->max_bucket <= file->high_mask &&
           file->max_bucket >= file->low_mask;
}

int bdb_file_read(struct bdb_file *file, int fd, const char *name, struct failure *failure)
{
    uint8_t meta[META_SIZE];
    struct stat stat;
    size_t done = 0;
    const char *kind;
    int status = fstat(fd, &stat) ? -errno : io_read(fd, meta, sizeof meta, 0, &done);

    if (status)
        return status;
    if (done < sizeof meta)
        return failure_set(failure, -EUCLEAN, 0, "%s is a truncated Berkeley DB file", name);
    file->fd = fd;
    file->size = stat.st_size;
    if (!order_is_known(file, meta))
        return failure_set(failure, -EMEDIUMTYPE, 0,
                           "%s is not a hash file of Berkeley DB 2 or later, which is what "
                           "dbm.ndbm has: convert it with the tools of the library that made it",
                           name);
    kind = foreign_kind(file, meta);
    if (kind)
        return failure_set(failure, -EMEDIUMTYPE, 0, "%s %s: convert it with db_dump and db_load",
                           name, kind);
    read_fields(file, meta);
    file->pages = file->page_size && file->size / file->page_size <= UINT32_MAX
                      ? (uint32_t)(file->size / file->page_size)
                      : 0;
    if (!meta_makes_sense(file, meta))
        return failure_set(failure, -EUCLEAN, 0,
                           "%s is a damaged Berkeley DB file: its first page makes no sense", name);
    return 0;
}

/* --- pages --- */

static int read_page(struct bdb_file *file, uint32_t number, struct buffer *page)
{
    int status;

    if (!number || number > file->last_page || number >= file->pages)
        return -EUCLEAN;
    buffer_clear(page);
    buffer_resize(page, file->page_size);
    status = buffer_status(page);
    if (!status)
        status = io_read_exactly(file->fd, page->data, page->size, (off_t)number * file->page_size);
    return status;
}

static uint32_t page_entries(const struct bdb_file *file)
{
    return short_at(file, file->page.data + PAGE_ENTRIES);
}

static uint32_t page_next(const struct bdb_file *file, const struct buffer *page)
{
    return number_at(file, page->data + PAGE_NEXT);
}

static uint32_t item_offset(const struct bdb_file *file, uint32_t index)
{
    return short_at(file, file->page.data + PAGE_HEAD + 2 * index);
}

/* Items lie one below the other from the end of the page. */
static struct bytes item_at(const struct bdb_file *file, uint32_t index)
{
    uint32_t from = item_offset(file, index);
    uint32_t to = index ? item_offset(file, index - 1) : file->page_size;

    return bytes_of(file->page.data + from, to - from);
}

static bool items_make_sense(const struct bdb_file *file)
{
    uint32_t entries = page_entries(file), end = file->page_size;

    if (entries % 2 || PAGE_HEAD + 2 * entries > file->page_size)
        return false;
    for (uint32_t i = 0; i < entries; i++) {
        uint32_t offset = item_offset(file, i);

        if (offset < PAGE_HEAD + 2 * entries || offset >= end)
            return false;
        end = offset;
        if (file->page.data[offset] != ITEM_SHORT &&
            (file->page.data[offset] != ITEM_LONG || item_at(file, i).size != LONG_ITEM_SIZE))
            return false;
    }
    return (uint16_t)end == short_at(file, file->page.data + PAGE_LENGTH);
}

static bool is_zero(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i])
            return false;
    }
    return true;
}

/* A page of a bucket, and the one before it in its chain, or 0. One that was never written is empty. */
static int read_bucket_page(struct bdb_file *file, uint32_t number, uint32_t previous)
{
    int status = read_page(file, number, &file->page);
    const uint8_t *page = file->page.data;

    if (status)
        return status;
    if (is_zero(bytes_of(page, PAGE_HEAD)))
        return 0;
    if (number_at(file, page + PAGE_NUMBER) != number ||
        number_at(file, page + PAGE_PREVIOUS) != previous ||
        (page[PAGE_TYPE] != TYPE_HASH && page[PAGE_TYPE] != TYPE_UNSORTED))
        return -EUCLEAN;
    return items_make_sense(file) ? 0 : -EUCLEAN;
}

static uint32_t bucket_of(const struct bdb_file *file, struct bytes key)
{
    uint32_t bucket = hash_of(key) & file->high_mask;

    return bucket > file->max_bucket ? bucket & file->low_mask : bucket;
}

static uint32_t page_of_bucket(const struct bdb_file *file, uint32_t bucket)
{
    int doublings = 0;

    for (uint64_t limit = 1; limit < (uint64_t)bucket + 1; limit <<= 1)
        doublings++;
    return doublings < BDB_SPARES ? bucket + file->spares[doublings] : 0;
}

/* --- items --- */

/* Appends an item's bytes, without those that say how it is stored. */
static int read_long(struct bdb_file *file, struct bytes item, struct buffer *out)
{
    uint32_t number = number_at(file, item.data + LONG_PAGE), previous = 0;
    size_t size = number_at(file, item.data + LONG_SIZE), before = out->size;
    int status = (off_t)size <= file->size ? 0 : -EUCLEAN;

    if (!status && out->limit - before < size)
        return -EFBIG;
    while (!status && out->size - before < size) {
        size_t left = size - (out->size - before), length = 0;

        status = read_page(file, number, &file->long_page);
        if (!status) {
            const uint8_t *page = file->long_page.data;

            length = short_at(file, page + PAGE_LENGTH);
            if (page[PAGE_TYPE] != TYPE_LONG || number_at(file, page + PAGE_NUMBER) != number ||
                number_at(file, page + PAGE_PREVIOUS) != previous ||
                short_at(file, page + PAGE_ENTRIES) != 1 || !length || length > left ||
                length > file->page_size - PAGE_HEAD)
                status = -EUCLEAN;
        }
        if (status)
            break;
        buffer_add(out, bytes_of(file->long_page.data + PAGE_HEAD, length));
        status = buffer_status(out);
        previous = number;
        number = page_next(file, &file->long_page);
    }
    if (!status && number)
        status = -EUCLEAN;
    if (status)
        out->size = before;
    return status;
}

static int read_item(struct bdb_file *file, struct bytes item, struct buffer *out)
{
    if (item.data[0] == ITEM_LONG)
        return read_long(file, item, out);
    buffer_add(out, bytes_part(item, 1, SIZE_MAX));
    return buffer_status(out);
}

/* 1: it is the key's. */
static int is_of_key(struct bdb_file *file, struct bytes item, struct bytes key,
                     struct buffer *scratch)
{
    int status;

    if (item.data[0] == ITEM_SHORT)
        return bytes_equal(bytes_part(item, 1, SIZE_MAX), key);
    if (number_at(file, item.data + LONG_SIZE) != key.size)
        return 0;
    buffer_clear(scratch);
    status = read_item(file, item, scratch);
    return status ? status : bytes_equal(buffer_bytes(scratch), key);
}

/* Looks for the key in the page that was read: 1 and its index, 0, or negative errno. */
static int find_in_page(struct bdb_file *file, struct bytes key, struct buffer *scratch,
                        uint32_t *index)
{
    int found = 0;

    for (uint32_t i = 0; !found && i < page_entries(file); i += 2) {
        found = is_of_key(file, item_at(file, i), key, scratch);
        if (found > 0)
            *index = i;
    }
    return found;
}

int bdb_file_fetch(struct bdb_file *file, struct bytes key, struct buffer *value)
{
    struct buffer scratch = BUFFER_INIT;
    uint32_t number = page_of_bucket(file, bucket_of(file, key)), previous = 0, index = 0;
    int status = 0, found = 0;

    for (uint32_t steps = 0; !status && !found; steps++) {
        status = steps < file->pages ? read_bucket_page(file, number, previous) : -EUCLEAN;
        if (!status)
            found = find_in_page(file, key, &scratch, &index);
        if (found < 0)
            status = found;
        previous = number;
        number = status ? 0 : page_next(file, &file->page);
        if (!number)
            break;
    }
    buffer_release(&scratch);
    if (status)
        return status;
    if (!found)
        return -ENOENT;
    return value ? read_item(file, item_at(file, index + 1), value) : 0;
}

/* --- all of them --- */

/* One through the buckets. */
struct tour {
    struct walk *walk;
    struct buffer *value; /* to read each one's into; NULL: only keys */
    uint64_t steps;       /* left: no chain is endless */
};

static int visit_record(struct bdb_file *file, uint32_t index, uint32_t bucket, struct tour *tour)
{
    struct buffer *key = &tour->walk->key;
    int status;

    buffer_clear(key);
    status = read_item(file, item_at(file, index), key);
    if (!status && bucket_of(file, buffer_bytes(key)) != bucket)
        status = -EUCLEAN;
    if (!status && tour->value) {
        buffer_clear(tour->value);
        status = read_item(file, item_at(file, index + 1), tour->value);
    }
    return walk_take(tour->walk, status);
}

static int visit_bucket(struct bdb_file *file, uint32_t bucket, struct tour *tour)
{
    uint32_t number = page_of_bucket(file, bucket), previous = 0;
    int status;

    do {
        status = tour->steps ? read_bucket_page(file, number, previous) : -EUCLEAN;
        if (status)
            return walk_note(tour->walk, status);
        tour->steps--;
        for (uint32_t i = 0; !status && !tour->walk->stopped && i < page_entries(file); i += 2)
            status = visit_record(file, i, bucket, tour);
        previous = number;
        number = page_next(file, &file->page);
    } while (!status && !tour->walk->stopped && number);
    return status;
}

static int visit_buckets(struct bdb_file *file, struct walk *walk, struct buffer *value)
{
    struct tour tour = {walk, value, (uint64_t)file->pages + file->max_bucket + 1};
    int status = 0;

    for (uint32_t bucket = 0; !status && !walk->stopped && tour.steps; bucket++) {
        status = visit_bucket(file, bucket, &tour);
        if (bucket == file->max_bucket)
            break;
    }
    if (!tour.steps)
        walk->damaged++;
    return status;
}

int bdb_file_visit(struct bdb_file *file, struct walk *walk)
{
    return visit_buckets(file, walk, NULL);
}

static bool pass(void *context, struct bytes key)
{
    return true;
}

static int check_buckets(struct bdb_file *file)
{
    struct buffer value = BUFFER_INIT;
    struct walk walk;
    int status;

    walk_init(&walk, pass, NULL);
    status = visit_buckets(file, &walk, &value);
    walk_release(&walk);
    buffer_release(&value);
    return status ? status : walk_verdict(&walk);
}

static int check_free_pages(struct bdb_file *file)
{
    uint32_t number = file->free_page;

    for (uint32_t steps = 0; number; steps++) {
        int status = steps < file->pages ? read_page(file, number, &file->page) : -EUCLEAN;

        if (status)
            return status;
        if (file->page.data[PAGE_TYPE] != TYPE_UNUSED)
            return -EUCLEAN;
        number = page_next(file, &file->page);
    }
    return 0;
}

int bdb_file_check(struct bdb_file *file)
{
    int status = check_buckets(file);

    return status ? status : check_free_pages(file);
}
