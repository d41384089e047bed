/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tape.c - recordings from a file, and what redaction makes of any text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "net/redact.h"
#include "net/tape.h"

static void redact(const char *bytes, size_t size)
{
    tkx__secrets secrets = {0};
    tkx__buf once, again;

    tkx__secrets_add(&secrets, "a-secret");
    tkx__buf_init(&once, (size_t)16 << 20);
    tkx__buf_init(&again, (size_t)16 << 20);
    tkx__redact_text(&once, bytes, size, &secrets);
    tkx__redact_text(&again, bytes, size, &secrets);
    if (once.size != again.size ||
        strcmp(tkx__buf_text(&once), tkx__buf_text(&again)) != 0)
        abort();
    tkx__buf_clear(&once);
    tkx__buf_clear(&again);
    tkx__secrets_clear(&secrets);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const tkx__io_ops no_ops = {0}; /* reading needs none */
    char path[64];
    tkx__tape_config config = {
        .io = {&no_ops, NULL}, .base_url = "http://x", .path = path};
    tkx__tape *tape = NULL;
    tkx_error *err = NULL;

    redact((const char *)bytes, size);
    snprintf(path, sizeof path, "/tmp/tkx-fuzz-tape-%d", (int)getpid());
    FILE *to = fopen(path, "w");
    if (!to)
        return 0;
    fwrite(bytes, 1, size, to);
    fclose(to);
    if (tkx__tape_replay(&config, &tape, &err) != TKX_OK && !err)
        abort();
    tkx_error_free(err);
    tkx__tape_free(tape);
    unlink(path);
    return 0;
}
