/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - runs a libFuzzer target without libFuzzer: every seed as it is, then a fixed
 * number of mutated inputs, the same ones on every machine.
 *
 * usage: TARGET [-mutations=N] [-max_len=N] SEED_FILE_OR_FOLDER...
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

typedef struct seed {
    uint8_t *bytes;
    size_t size;
} seed;

static seed *seeds;
static size_t n_seeds;
static size_t max_len = 1 << 16;
static uint64_t state = 0x9E3779B97F4A7C15U;

static size_t draw(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (size_t)(state >> 11) % below : 0;
}

static void add_seed(const uint8_t *bytes, size_t size)
{
    seed *more = realloc(seeds, (n_seeds + 1) * sizeof *seeds);
    uint8_t *copy = malloc(size + 1);

    if (!more || !copy)
        abort();
    memcpy(copy, bytes, size);
    seeds = more;
    seeds[n_seeds++] = (seed){copy, size};
}

static int add_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(max_len);
    size_t size;

    if (!file || !bytes) {
        perror(path);
        free(bytes);
        if (file)
            fclose(file);
        return 1;
    }
    size = fread(bytes, 1, max_len, file);
    fclose(file);
    add_seed(bytes, size);
    free(bytes);
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_path(const char *path)
{
    struct dirent **names;
    struct stat sb;
    char child[4096];
    int n;
    int failed = 0;

    if (stat(path, &sb) != 0) {
        perror(path);
        return 1;
    }
    if (!S_ISDIR(sb.st_mode))
        return add_file(path);
    n = scandir(path, &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
        snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && stat(child, &sb) == 0 && S_ISREG(sb.st_mode))
            failed |= add_file(child);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return failed || n < 0;
}

/* One of the changes that break parsers: flips, edge numbers, cuts, repeats, splices. */
static size_t mutate(uint8_t *bytes, size_t size)
{
    static const uint8_t edges[] = {0,   1,   0x7F, 0x80, 0xFF, '"', '\\', '[',  ']',
                                    '{', '}', ',',  '-',  '0',  'e', '.',  0xC0, 0xED};
    size_t at = draw(size);
    size_t n = 1 + draw(16);
    const seed *other;

    switch (size ? draw(7) : 5) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << draw(8));
        return size;
    case 1:
        bytes[at] = edges[draw(sizeof edges)];
        return size;
    case 2:
        return at; /* cut */
    case 3:        /* take out */
        n = n < size - at ? n : size - at;
        memmove(bytes + at, bytes + at + n, size - at - n);
        return size - n;
    case 4: /* repeat */
        n = n < size - at ? n : size - at;
        if (size + n > max_len)
            return size;
        memmove(bytes + at + n, bytes + at, size - at);
        return size + n;
    case 5: /* splice */
        other = &seeds[draw(n_seeds)];
        n = other->size ? draw(other->size) : 0;
        n = n < max_len - at ? n : max_len - at;
        memcpy(bytes + at, other->bytes + (other->size - n), n);
        return at + n;
    default:
        for (size_t i = at; i < size && i < at + n; i++)
            bytes[i] = (uint8_t)draw(256);
        return size;
    }
}

/* An exact allocation, so that the address sanitizer sees every byte too far. */
static void run_one(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    size_t n_mutations = 3000;
    uint8_t *work;
    int failed = 0;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-mutations=", 11) == 0)
            n_mutations = strtoul(argv[i] + 11, NULL, 10);
        else if (strncmp(argv[i], "-max_len=", 9) == 0)
            max_len = strtoul(argv[i] + 9, NULL, 10);
        else
            failed |= add_path(argv[i]);
    }
    if (failed)
        return 2;
    add_seed((const uint8_t *)"", 0);
    work = malloc(max_len + 1);
    if (!work)
        abort();
    for (size_t i = 0; i < n_seeds; i++)
        run_one(seeds[i].bytes, seeds[i].size);
    for (size_t i = 0; i < n_mutations; i++) {
        const seed *from = &seeds[draw(n_seeds)];
        size_t size = from->size;

        memcpy(work, from->bytes, size);
        for (size_t k = 1 + draw(4); k; k--)
            size = mutate(work, size);
        run_one(work, size);
    }
    printf("%zu seeds, %zu mutated inputs\n", n_seeds, n_mutations);
    free(work);
    for (size_t i = 0; i < n_seeds; i++)
        free(seeds[i].bytes);
    free(seeds);
    return 0;
}
