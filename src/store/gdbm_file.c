/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/gdbm_layout.h"

#include "src/io.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

enum {
    MAGIC = 0x13579acf,
    MAGIC_OLD = 0x13579ace,
    MAGIC_NUMSYNC = 0x13579ad1,
    MAGIC_32 = 0x13579acd,
    MAGIC_32_NUMSYNC = 0x13579ad0,
    HASH_BITS = 31,
    VISIT_STEP = 512,   /* entries of the directory read at a time */
};

void gdbm_file_release(struct gdbm_file *file)
{
    mapped_end(&file->mapped);
    buffer_release(&file->bucket);
}

static bool lies_within(const struct gdbm_file *file, off_t offset, off_t size)
{
    return offset >= 0 && size >= 0 && offset <= file->size && size <= file->size - offset;
}

/* --- the header --- */

static int swap(int number)
{
    return (int)__builtin_bswap32((unsigned)number);
}

static int refuse_magic(int magic, const char *name, struct failure *failure)
{
    static const int known[] = {MAGIC, MAGIC_OLD, MAGIC_NUMSYNC, MAGIC_32, MAGIC_32_NUMSYNC};

    if (magic == MAGIC_32 || magic == MAGIC_32_NUMSYNC)
        return failure_set(failure, -EMEDIUMTYPE, 0,
                           "%s is a gdbm file of a 32-bit system: convert it there with gdbm_dump, "
                           "and here with gdbm_load",
                           name);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (magic == swap(known[i]))
            return failure_set(failure, -EMEDIUMTYPE, 0,
                               "%s is a gdbm file of a machine with the other byte order: convert "
                               "it there with gdbm_dump, and here with gdbm_load",
                               name);
    }
    return failure_set(failure, -EUCLEAN, 0, "%s is a damaged gdbm file: it has no magic number",
                       name);
}

static bool header_makes_sense(const struct gdbm_file *file, const struct header *header)
{
    return header->block_size > (int)sizeof *header && header->block_size <= file->size &&
           header->directory_bits >= 3 && header->directory_bits < HASH_BITS - 3 &&
           header->directory_size == (int)sizeof(off_t) << header->directory_bits &&
           header->directory >= header->block_size &&
           lies_within(file, header->directory, header->directory_size) &&
           header->bucket_size > (int)sizeof(struct bucket) && header->bucket_size <= file->size &&
           header->bucket_elements ==
               (int)((header->bucket_size - sizeof(struct bucket)) / sizeof(struct element) + 1) &&
           header->next_block >= header->block_size;
}

static bool table_makes_sense(const struct free_table *table)
{
    return table->size > 0 && table->count >= 0 && table->count <= table->size && table->next >= 0;
}

int gdbm_file_read(struct gdbm_file *file, int fd, const char *name, struct failure *failure)
{
    struct header header;
    const struct free_table *table;
    struct stat stat;
    int status;

    if (fstat(fd, &stat))
        return -errno;
    file->fd = fd;
    mapped_set(&file->mapped, fd, &stat);
    file->size = stat.st_size;
    file->bucket_at = 0;
    if (file->size < (off_t)sizeof header)
        return failure_set(failure, -EUCLEAN, 0, "%s is a truncated gdbm file", name);
    status = io_read_exactly(file->fd, &header, sizeof header, 0);
    if (status)
        return status;
    if (header.magic != MAGIC && header.magic != MAGIC_OLD && header.magic != MAGIC_NUMSYNC)
        return refuse_magic(header.magic, name, failure);
    table = header.magic == MAGIC_NUMSYNC ? &header.free.extended.table : &header.free.table;
    if (!header_makes_sense(file, &header) || !table_makes_sense(table))
        return failure_set(failure, -EUCLEAN, 0,
                           "%s is a damaged gdbm file: its header makes no sense", name);
    file->block_size = header.block_size;
    file->directory = header.directory;
    file->directory_size = header.directory_size;
    file->directory_bits = header.directory_bits;
    file->bucket_size = header.bucket_size;
    file->bucket_elements = header.bucket_elements;
    file->next_block = header.next_block;
    file->free_table = (const uint8_t *)table - (const uint8_t *)&header;
    file->free_block = table->next;
    file->free_size =
        (off_t)(table->size * sizeof(struct free_element) / 2 + sizeof(struct free_table));
    return 0;
}

bool gdbm_file_is_interrupted(const struct gdbm_file *file)
{
    return file->next_block < file->size;
}

/* --- buckets --- */

/* The same for the library that was built for this machine: `char` is signed there or not as it is here. */
static int hash_of(struct bytes key)
{
    unsigned value = 0x238F13AFu * (unsigned)key.size;

    for (size_t i = 0; i < key.size; i++)
        value = (value + ((unsigned)(char)key.data[i] << (i * 5 % 24))) & INT_MAX;
    return (int)((1103515243u * value + 12345) & INT_MAX);
}

static off_t entry_of(const struct gdbm_file *file, int hash)
{
    return hash >> (HASH_BITS - file->directory_bits);
}

static const struct bucket *bucket_of(const struct gdbm_file *file)
{
    return (const struct bucket *)(const void *)file->bucket.data;
}

static const struct element *element_of(const struct gdbm_file *file, int index)
{
    return &bucket_of(file)->elements[index];
}

static bool element_makes_sense(const struct gdbm_file *file, const struct element *element)
{
    return element->hash >= 0 && element->key_size >= 0 && element->value_size >= 0 &&
           element->offset >= file->block_size &&
           lies_within(file, element->offset, (off_t)element->key_size + element->value_size);
}

static bool bucket_makes_sense(const struct gdbm_file *file)
{
    const struct bucket *bucket = bucket_of(file);
    int used = 0;

    if (bucket->free_count < 0 || bucket->free_count > BUCKET_FREE || bucket->bits < 0 ||
        bucket->bits > file->directory_bits)
        return false;
    for (int i = 0; i < bucket->free_count; i++) {
        if (bucket->free[i].size < 0 || bucket->free[i].offset < file->block_size)
            return false;
    }
    for (int i = 0; i < file->bucket_elements; i++) {
        if (element_of(file, i)->hash == -1)
            continue;
        used++;
        if (!element_makes_sense(file, element_of(file, i)))
            return false;
    }
    return used == bucket->count;
}

int gdbm_file_bucket(struct gdbm_file *file, off_t at)
{
    int status;

    if (at < file->block_size || !lies_within(file, at, file->bucket_size))
        return -EUCLEAN;
    if (file->bucket_at == at)
        return 0;
    file->bucket_at = 0;
    file->bucket_entry = -1;
    buffer_clear(&file->bucket);
    buffer_resize(&file->bucket, (size_t)file->bucket_size);
    status = buffer_status(&file->bucket);
    if (!status)
        status = mapped_read(&file->mapped, file->bucket.data, file->bucket.size, at);
    if (status)
        return status;
    file->bucket_at = at;
    file->bucket_damaged = !bucket_makes_sense(file);
    return 0;
}

static int bucket_at(struct gdbm_file *file, off_t entry, off_t *out)
{
    return mapped_read(&file->mapped, out, sizeof *out,
                       file->directory + entry * (off_t)sizeof *out);
}

/* --- records --- */

static int read_key(struct gdbm_file *file, const struct element *element, struct buffer *key)
{
    uint8_t *room;

    buffer_clear(key);
    room = buffer_extend(key, (size_t)element->key_size);
    return room ? mapped_read(&file->mapped, room, key->size, element->offset) : buffer_status(key);
}

/* 1: this is the key's, 0: it is not. */
static int is_of_key(struct gdbm_file *file, const struct element *element, int hash,
                     struct bytes key, struct buffer *scratch)
{
    int status;

    if (element->hash != hash || (size_t)element->key_size != key.size ||
        memcmp(element->key_start, key.data ? key.data : (const uint8_t *)"",
               key.size < KEY_START ? key.size : KEY_START) != 0)
        return 0;
    if (!element_makes_sense(file, element))
        return -EUCLEAN;
    status = read_key(file, element, scratch);
    return status ? status : bytes_equal(buffer_bytes(scratch), key);
}

/* The element of the key, or NULL. */
static int find_element(struct gdbm_file *file, struct bytes key, const struct element **out)
{
    struct buffer scratch = BUFFER_INIT;
    int hash = hash_of(key), found = 0;
    int at = hash % file->bucket_elements;

    for (int i = 0; !found && i < file->bucket_elements && element_of(file, at)->hash != -1; i++) {
        found = is_of_key(file, element_of(file, at), hash, key, &scratch);
        if (found > 0)
            *out = element_of(file, at);
        at = (at + 1) % file->bucket_elements;
    }
    buffer_release(&scratch);
    return found < 0 ? found : 0;
}

/* The keys of a listing come bucket by bucket. */
static int read_bucket_of(struct gdbm_file *file, int hash)
{
    off_t entry = entry_of(file, hash), at = 0;
    int status;

    if (file->bucket_at && file->bucket_entry == entry)
        return 0;
    status = bucket_at(file, entry, &at);
    if (!status)
        status = gdbm_file_bucket(file, at);
    file->bucket_entry = status ? -1 : entry;
    return status;
}

int gdbm_file_find(struct gdbm_file *file, struct bytes key, struct gdbm_record *out)
{
    const struct element *element = NULL;
    int status;

    if (key.size > INT_MAX)
        return -ENOENT;
    status = read_bucket_of(file, hash_of(key));
    if (!status)
        status = find_element(file, key, &element);
    if (status)
        return status;
    if (!element)
        return file->bucket_damaged ? -EUCLEAN : -ENOENT;
    *out = (struct gdbm_record){
        .offset = element->offset,
        .key_size = (size_t)element->key_size,
        .value_size = (size_t)element->value_size,
    };
    return 0;
}

int gdbm_file_value(struct gdbm_file *file, const struct gdbm_record *record, struct buffer *value)
{
    size_t before = value->size;
    uint8_t *room = buffer_extend(value, record->value_size);
    int status;

    if (!room && record->value_size)
        return buffer_status(value);
    status = mapped_read(&file->mapped, room, record->value_size,
                         record->offset + (off_t)record->key_size);
    if (status)
        value->size = before;
    return status;
}

/* --- all of them --- */

/* The keys of the bucket that entries `from` to `to` of the directory name, less those that no search would find. */
static int visit_bucket(struct gdbm_file *file, off_t from, off_t to, struct walk *walk)
{
    int status = 0;

    for (int i = 0; !walk->stopped && !status && i < file->bucket_elements; i++) {
        const struct element *element = element_of(file, i);

        if (element->hash == -1)
            continue;
        status =
            element_makes_sense(file, element) ? read_key(file, element, &walk->key) : -EUCLEAN;
        if (!status &&
            (hash_of(buffer_bytes(&walk->key)) != element->hash ||
             entry_of(file, element->hash) < from || entry_of(file, element->hash) >= to))
            status = -EUCLEAN;
        status = walk_take(walk, status);
    }
    if (file->bucket_damaged && !walk->damaged)
        walk->damaged++;
    return status;
}

static int visit_run(struct gdbm_file *file, off_t at, off_t from, off_t to, struct walk *walk)
{
    int status = gdbm_file_bucket(file, at);

    return status ? walk_note(walk, status) : visit_bucket(file, from, to, walk);
}

static int visit_directory(struct gdbm_file *file, struct walk *walk)
{
    off_t entries = file->directory_size / (off_t)sizeof(off_t), start = 0, current = 0;
    off_t step[VISIT_STEP];
    int status = 0;

    for (off_t entry = 0; !status && !walk->stopped && entry < entries; entry++) {
        off_t left = entries - entry, index = entry % VISIT_STEP;

        if (index == 0)
            status = mapped_read(&file->mapped, step,
                                 (size_t)(left < VISIT_STEP ? left : VISIT_STEP) * sizeof *step,
                                 file->directory + entry * (off_t)sizeof *step);
        if (!status && entry > 0 && step[index] != current) {
            status = visit_run(file, current, start, entry, walk);
            start = entry;
        }
        current = step[index];
    }
    return status || walk->stopped ? status : visit_run(file, current, start, entries, walk);
}

int gdbm_file_visit(struct gdbm_file *file, struct walk *walk)
{
    int status;

    mapped_begin(&file->mapped, file->size, MAPPED_FLOCK);
    /* What of the directory can't be read leads nowhere. */
    status = walk_note(walk, visit_directory(file, walk));
    if (file->size > MAPPED_MOST)
        mapped_end(&file->mapped);
    return status;
}

void gdbm_file_hurry(struct gdbm_file *file)
{
    if (file->size <= MAPPED_MOST)
        mapped_begin(&file->mapped, file->size, MAPPED_FLOCK);
}

void gdbm_file_rest(struct gdbm_file *file)
{
    mapped_end(&file->mapped);
}

/* --- what libgdbm will look at --- */

/* The table of free space at `at`, which makes sense. `*step` counts them: a chain of more than fit into the file is a circle. */
static int read_free_table(struct gdbm_file *file, off_t at, off_t *step, off_t *next)
{
    struct free_table table;
    int status;

    if (++*step > file->size / file->free_size || at < file->block_size ||
        !lies_within(file, at, file->free_size))
        return -EUCLEAN;
    status = mapped_read(&file->mapped, &table, sizeof table, at);
    if (!status && !table_makes_sense(&table))
        return -EUCLEAN;
    *next = table.next;
    return status;
}

int gdbm_file_free_ranges(struct gdbm_file *file, unsigned count, gdbm_range *range, void *context,
                          off_t *next)
{
    off_t at = file->free_block, step = 0;
    int status = 0;

    while (!status && at && step < count) {
        off_t table = at;

        status = read_free_table(file, table, &step, &at);
        if (!status)
            status = range(context, table, file->free_size);
    }
    *next = at;
    return status;
}

int gdbm_file_has_free_table(struct gdbm_file *file, off_t table)
{
    off_t at = file->free_block, step = 0;
    int status = 0;

    while (!status && at && at != table)
        status = read_free_table(file, at, &step, &at);
    return status ? status : at == table;
}

/* libgdbm reads whole records to compare their keys. */
static int record_ranges(struct gdbm_file *file, int hash, gdbm_range *range, void *context)
{
    int status = 0;

    for (int i = 0; !status && i < file->bucket_elements; i++) {
        const struct element *element = element_of(file, i);

        if (element->hash == hash)
            status =
                range(context, element->offset, (off_t)element->key_size + element->value_size);
    }
    return status;
}

/* libgdbm takes the smallest that is large enough. NULL: none is. */
static const struct free_element *fitting(const struct free_element *elements, int count, size_t room)
{
    const struct free_element *best = NULL;

    for (int i = 0; i < count; i++) {
        if (elements[i].size >= (off_t)room && (!best || elements[i].size < best->size))
            best = &elements[i];
    }
    return best;
}

/* Where there is no such place in the bucket or the header, libgdbm makes the file larger, or looks into further tables. */
static int probable_place(struct gdbm_file *file, size_t room, gdbm_range *range, void *context)
{
    const struct bucket *bucket = bucket_of(file);
    const struct free_element *place = fitting(bucket->free, bucket->free_count, room);
    struct buffer rest = BUFFER_INIT;
    int status = 0;

    if (!place) {
        const size_t head = offsetof(struct free_table, elements);
        const struct free_table *table;
        uint8_t *data = buffer_extend(&rest, (size_t)(file->block_size - file->free_table));

        status = data ? mapped_read(&file->mapped, data, rest.size, file->free_table)
                      : buffer_status(&rest);
        table = (const struct free_table *)(const void *)data;
        if (!status && (size_t)table->count <= (rest.size - head) / sizeof *place)
            place = fitting(table->elements, table->count, room);
    }
    if (place && lies_within(file, place->offset, (off_t)room))
        status = range(context, place->offset, (off_t)room);
    buffer_release(&rest);
    return status;
}

int gdbm_file_ranges(struct gdbm_file *file, struct bytes key, size_t room, gdbm_range *range,
                     void *context)
{
    off_t at = 0;
    int status = bucket_at(file, entry_of(file, hash_of(key)), &at);

    if (!status)
        status = gdbm_file_bucket(file, at);
    if (!status && file->bucket_damaged)
        status = -EUCLEAN;
    if (!status)
        status = range(context, 0, file->block_size);
    if (!status)
        status = range(context, file->directory, file->directory_size);
    if (!status)
        status = range(context, at, file->bucket_size);
    if (!status)
        status = record_ranges(file, hash_of(key), range, context);
    if (!status && room)
        status = probable_place(file, room, range, context);
    return status;
}
