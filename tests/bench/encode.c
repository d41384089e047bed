/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.c - tkx-bench encode: a training body of 128 datums x 2,048 tokens as JSON,
 * beside memcpy of as many bytes in the same run.
 */
#include <stdio.h>
#include <string.h>

#include "batch.h"
#include "bench.h"
#include "types/forward_backward.h"

int bench_encode(int argc, char **argv)
{
    int is_json = argc > 1 && strcmp(argv[1], "--json") == 0;
    batch *b = batch_new(0);
    double best = 0;
    double copy;
    size_t size = 0;
    tkx__buf buf;

    if (!b)
        return 1;
    tkx__buf_init(&buf, SIZE_MAX);
    for (int i = 0; i < 12; i++) {
        double start = bench_cpu_seconds();
        double rate;

        tkx__buf_reset(&buf);
        if (tkx__forward_backward_encode_json(&b->request, false, &buf, NULL) != TKX_OK) {
            fprintf(stderr, "tkx-bench encode: encoding failed\n");
            break;
        }
        size = buf.size;
        rate = (double)size / (bench_cpu_seconds() - start) / 1e6;
        best = rate > best ? rate : best;
    }
    copy = size ? bench_memcpy_mb_s(size) : 0;
    if (is_json)
        printf(
            "{\"bytes\": %zu, \"mb_s\": %.1f, \"memcpy_mb_s\": %.1f, \"ratio\": %.4f}\n",
            size, best, copy, copy > 0 ? best / copy : 0);
    else
        printf(
            "JSON body   %10zu bytes\nencode      %10.1f MB/s\nmemcpy      %10.1f MB/s\n"
            "ratio       %10.4f\n",
            size, best, copy, copy > 0 ? best / copy : 0);
    tkx__buf_clear(&buf);
    batch_free(b);
    return size ? 0 : 1;
}
