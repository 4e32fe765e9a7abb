/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Our side of bench_codec.py: does what the daemon does with each value of a file.
 *
 *     codec_peer INPUT       INPUT: values, each behind its size (8 bytes, little-endian)
 *
 * Each line on standard input is a request: "decode", "encode", or one of these, a blank and the path of a file that then gets the results, as INPUT
 * has them. The answer is a line "SECONDS BYTES MEMORY": processor time, bytes of all results, and the most memory so far, in
 * kibibytes beyond what the loaded input takes.
 */
#include "codecs/codec.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

struct values {
    struct bytes *at;
    size_t count;
};

static int read_file(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    uint8_t *room;
    long size;

    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0)
        return -EIO;
    rewind(file);
    room = buffer_extend(out, (size_t)size);
    if (!room || fread(room, 1, (size_t)size, file) != (size_t)size)
        return -EIO;
    return fclose(file);
}

static uint64_t size_at(struct bytes input, size_t offset)
{
    uint64_t size;

    memcpy(&size, input.data + offset, sizeof size);
    return le64toh(size);
}

static int split(struct bytes input, struct values *values)
{
    size_t offset, count = 0;

    for (offset = 0; input.size - offset >= 8; count++)
        offset += 8 + size_at(input, offset);
    values->at = calloc(count, sizeof *values->at);
    if (!values->at || offset != input.size)
        return -EINVAL;
    for (offset = 0; values->count < count; values->count++) {
        uint64_t size = size_at(input, offset);

        values->at[values->count] = bytes_part(input, offset + 8, size);
        offset += 8 + size;
    }
    return 0;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A line of /proc/self/status, in kibibytes. */
static long status_line(const char *name)
{
    char line[256];
    long size = -1;
    FILE *file = fopen("/proc/self/status", "r");

    while (file && size < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            size = atol(line + strlen(name));
    if (file)
        fclose(file);
    return size;
}

static int convert(bool decode, struct bytes value, struct buffer *out)
{
    const struct dialect dialect = dialect_default(CODEC_PICKLE);
    const struct codec_rules rules = {.max_value = SIZE_MAX};
    struct failure failure = {0};

    return decode ? codec_render(&dialect, value, out, NULL)
                  : codec_accept(&dialect, &rules, value, NULL, out, &failure);
}

static void write_result(FILE *file, struct bytes result)
{
    uint64_t size = htole64(result.size);

    fwrite(&size, sizeof size, 1, file);
    fwrite(result.data, 1, result.size, file);
}

static int run(bool decode, const struct values *values, FILE *results, size_t *size)
{
    for (size_t i = 0; i < values->count; i++) {
        struct buffer out = BUFFER_INIT;
        int status = convert(decode, values->at[i], &out);

        if (status)
            return status;
        *size += out.size;
        if (results)
            write_result(results, buffer_bytes(&out));
        buffer_release(&out);
    }
    return 0;
}

static int answer(const char *line, const struct values *values, long before)
{
    bool decode = strncmp(line, "decode", 6) == 0;
    const char *path = strchr(line, ' ');
    FILE *results = path ? fopen(path + 1, "wb") : NULL;
    double start = seconds();
    size_t size = 0;
    int status = run(decode, values, results, &size);

    if (status || (path && (!results || fclose(results))))
        return status ? status : -EIO;
    printf("%.6f %zu %ld\n", seconds() - start, size, status_line("VmHWM:") - before);
    return fflush(stdout);
}

int main(int argc, char **argv)
{
    struct buffer input = BUFFER_INIT;
    struct values values = {0};
    char line[4096];
    long before;
    int status;

    if (argc != 2)
        return 2;
    status = read_file(argv[1], &input);
    if (!status)
        status = split(buffer_bytes(&input), &values);
    before = status_line("VmRSS:");
    while (!status && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        status = answer(line, &values, before);
    }
    if (status)
        fprintf(stderr, "codec_peer: %s\n", strerror(-status));
    free(values.at);
    buffer_release(&input);
    return status != 0;
}
