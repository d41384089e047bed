/* SPDX-License-Identifier: Apache-2.0 */
/* test_chunk.c - where a batch of datums is cut. */
#include "api/chunk.h"
#include "base/mem.h"
#include "support/suite.h"

#define MAX_BYTES 5000000
#define MAX_COUNT 1024

/* A datum of so many estimated bytes: an image's count as they are.  The plan never looks
   at the bytes themselves. */
static tkx_datum datum_of(size_t n_bytes, tkx_chunk *chunk)
{
    tkx_datum datum = {0};

    *chunk = (tkx_chunk){
        .kind = TKX_CHUNK_IMAGE, .bytes = "", .n_bytes = n_bytes, .format = "png"};
    datum.model_input.chunks = chunk;
    datum.model_input.n_chunks = 1;
    return datum;
}

static void check_plan(const size_t *sizes, size_t n, const size_t *counts,
                       size_t n_counts)
{
    tkx_chunk *inputs = tkx__calloc(n, sizeof *inputs);
    tkx_datum *data = tkx__calloc(n, sizeof *data);
    tkx__chunk *chunks = NULL;
    size_t n_chunks = 0;
    size_t from = 0;

    for (size_t i = 0; i < n; i++)
        data[i] = datum_of(sizes[i], &inputs[i]);
    ck_assert_int_eq(
        tkx__chunk_plan(data, n, MAX_BYTES, MAX_COUNT, &chunks, &n_chunks, NULL), TKX_OK);
    ck_assert_uint_eq(n_chunks, n_counts);
    for (size_t i = 0; i < n_chunks; i++) {
        ck_assert_uint_eq(chunks[i].from, from);
        ck_assert_uint_eq(chunks[i].count, counts[i]);
        from += chunks[i].count;
    }
    ck_assert_uint_eq(from, n);
    tkx__free(chunks);
    tkx__free(data);
    tkx__free(inputs);
}

START_TEST(many_small_datums_are_cut_by_count)
{
    static const size_t sizes[2500] = {0};

    check_plan(sizes, 2500, (const size_t[]){1024, 1024, 452}, 3);
}
END_TEST

/* Each next one would pass the limit; one that is larger than it stands alone. */
START_TEST(large_datums_are_cut_by_bytes)
{
    check_plan((const size_t[]){3000000, 3000000, 6000000, 10}, 4,
               (const size_t[]){1, 1, 1, 1}, 4);
}
END_TEST

START_TEST(exactly_the_limit_still_fits)
{
    check_plan((const size_t[]){2000000, 3000000, 1}, 3, (const size_t[]){2, 1}, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chunk");
    TCase *tc = tcase_create("chunk");

    tcase_add_test(tc, many_small_datums_are_cut_by_count);
    tcase_add_test(tc, large_datums_are_cut_by_bytes);
    tcase_add_test(tc, exactly_the_limit_still_fits);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
