/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - one table of flags; each row says where its value goes. */
#include "mock_server/options.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"

const char mock_usage[] =
    "usage: tkx-mock-server --state DIR [options]\n"
    "\n"
    "A Tinker-compatible server that computes for real, for rehearsal and tests.\n"
    "\n"
    "  --state DIR             where records and tensors are kept (made if absent)\n"
    "  --port N                0 picks a free one (default 8200)\n"
    "  --host ADDRESS          what to listen on (default 127.0.0.1)\n"
    "  --api-key KEY           accept this key alone (default: any that begins with "
    "tml-)\n"
    "  --dialect NAME          hosted, hosted25, skyrl or twinkle (default hosted)\n"
    "  --strict                refuse what the hosted service refuses\n"
    "  --jwt SECONDS           hand out tokens of that life and ask for them\n"
    "  --base-model NAME=PATH  offer a Hugging Face folder or a GGUF file (repeatable)\n"
    "  --threads N             of the engine (default: all cores)\n"
    "  --scenario FILE         faults to inject, as JSON\n"
    "  --client-config JSON    flags laid over the answer of client/config\n"
    "  --hold-ms N             longest wait of a poll\n"
    "  --metadata-bytes N      results this large are announced before they are sent\n"
    "  --archive-delay-ms N    answer 503 that long before an archive is ready\n"
    "  --retain-s N            how long results stay readable (default 3600)\n"
    "  --session-timeout-ms N  a session ends that long after its last heartbeat\n"
    "                          (default 300000; 0: never)\n"
    "  --max-models N          live models (default 64)\n"
    "  --max-tokens N          tokens of one request (default 4194304)\n"
    "  --max-memory-mb N       memory of all models (default 8192)\n"
    "  --max-queue N           waiting samples before 429 (default 20000)\n"
    "  --max-body-mb N         largest request body (default 1024)\n"
    "\n"
    "The first line on standard output is `listening on http://HOST:PORT`.\n";

typedef enum kind { FLAG, TEXT, COUNT, INTEGER, SIZE, DIALECT, BASE } kind;

typedef struct row {
    const char *name;
    kind kind;
    size_t offset;
    int64_t min;
    int64_t max;
} row;

#define AT(field) offsetof(mock_options, field)
static const row rows[] = {
    {"--state", TEXT, AT(state_dir), 0, 0},
    {"--port", INTEGER, AT(port), 0, 65535},
    {"--host", TEXT, AT(host), 0, 0},
    {"--api-key", TEXT, AT(api_key), 0, 0},
    {"--dialect", DIALECT, AT(dialect), 0, 0},
    {"--strict", FLAG, AT(is_strict), 0, 0},
    {"--jwt", COUNT, AT(jwt_s), 1, 1000000000},
    {"--base-model", BASE, 0, 0, 0},
    {"--threads", INTEGER, AT(n_threads), 1, 1024},
    {"--scenario", TEXT, AT(scenario_path), 0, 0},
    {"--client-config", TEXT, AT(client_config), 0, 0},
    {"--hold-ms", COUNT, AT(hold_ms), 1, 3600000},
    {"--metadata-bytes", SIZE, AT(metadata_bytes), 0, INT64_MAX},
    {"--archive-delay-ms", COUNT, AT(archive_delay_ms), 0, 3600000},
    {"--retain-s", COUNT, AT(retain_s), 1, 1000000000},
    {"--session-timeout-ms", COUNT, AT(session_ms), 0, 1000000000000},
    {"--max-models", SIZE, AT(max_models), 1, 1000000},
    {"--max-tokens", SIZE, AT(max_tokens), 1, INT64_MAX},
    {"--max-memory-mb", SIZE, AT(max_memory_mb), 1, 1000000000},
    {"--max-queue", SIZE, AT(max_queue), 0, 1000000000},
    {"--max-body-mb", SIZE, AT(max_body_mb), 1, 65536},
    {"--help", FLAG, AT(wants_help), 0, 0},
};

static const char *const dialect_names[] = {"hosted", "hosted25", "skyrl", "twinkle"};

static tkx_status set_dialect(const char *value, mock_dialect *out, tkx_error **err)
{
    for (size_t i = 0; i < sizeof dialect_names / sizeof *dialect_names; i++)
        if (strcmp(value, dialect_names[i]) == 0) {
            *out = (mock_dialect)i;
            return TKX_OK;
        }
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                     "--dialect %s: known are hosted, hosted25, skyrl, twinkle", value);
}

static tkx_status add_base(mock_options *out, const char *value, tkx_error **err)
{
    const char *equals = strchr(value, '=');
    mock_base_option *base = &out->bases[out->n_bases];
    size_t n = equals ? (size_t)(equals - value) : 0;
    if (n == 0 || !equals[1] || n >= sizeof base->name)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "--base-model %s: NAME=PATH is wanted", value);
    if (out->n_bases == MOCK_MAX_BASES)
        return tkx__fail(err, TKX_ERR_LIMIT, "--base-model: at most %d", MOCK_MAX_BASES);
    memcpy(base->name, value, n);
    base->name[n] = '\0';
    base->path = equals + 1;
    out->n_bases++;
    return TKX_OK;
}

static tkx_status set_number(mock_options *out, const row *r, const char *value,
                             tkx_error **err)
{
    char *at = (char *)out + r->offset;
    int64_t n;
    if (!tkx__parse_i64(value, &n) || n < r->min || n > r->max)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "%s %s: a number from %lld to %lld", r->name, value,
                         (long long)r->min, (long long)r->max);
    if (r->kind == INTEGER)
        *(int *)(void *)at = (int)n;
    else if (r->kind == SIZE)
        *(size_t *)(void *)at = (size_t)n;
    else
        *(int64_t *)(void *)at = n;
    return TKX_OK;
}

static tkx_status set_value(mock_options *out, const row *r, const char *value,
                            tkx_error **err)
{
    char *at = (char *)out + r->offset;
    switch (r->kind) {
    case FLAG:
        *(bool *)at = true;
        return TKX_OK;
    case TEXT:
        *(const char **)(void *)at = value;
        return TKX_OK;
    case DIALECT:
        return set_dialect(value, &out->dialect, err);
    case BASE:
        return add_base(out, value, err);
    case COUNT:
    case INTEGER:
    case SIZE:
        break;
    }
    return set_number(out, r, value, err);
}

/* --name value or --name=value. */
static const row *find_row(const char *arg, const char **value)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].name);
        *value = NULL;
        if (strncmp(arg, rows[i].name, n) != 0)
            continue;
        if (arg[n] == '\0')
            return &rows[i];
        *value = arg + n + 1;
        if (arg[n] == '=' && rows[i].kind != FLAG)
            return &rows[i];
    }
    return NULL;
}

tkx_status mock_options_parse(int argc, char **argv, mock_options *out, tkx_error **err)
{
    *out = (mock_options){.host = "127.0.0.1",
                          .port = 8200,
                          .retain_s = 3600,
                          .session_ms = 300000,
                          .metadata_bytes = 1 << 20,
                          .max_models = 64,
                          .max_tokens = 1 << 22,
                          .max_memory_mb = 8192,
                          .max_queue = 20000,
                          .max_body_mb = 1024};
    for (int i = 1; i < argc; i++) {
        const char *value;
        const row *r = find_row(argv[i], &value);
        tkx_status st;
        if (!r)
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "unknown flag %s", argv[i]);
        if (r->kind != FLAG && !value && ++i == argc)
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "%s needs a value", r->name);
        st = set_value(out, r, value ? value : argv[i], err);
        if (st != TKX_OK)
            return st;
    }
    if (!out->state_dir && !out->wants_help)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "--state DIR is needed");
    return TKX_OK;
}
