/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.c - see sampler.h. */
#include "sampler.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "loading.h"
#include "output.h"

cli_option *cli_sampler_local_options(cli_sampler *s, cli_option *rows)
{
    const cli_option ours[] = {
        {"local", CLI_STRING, &s->model, "MODEL",
         "compute here: a model folder or GGUF file", 0, 0, NULL},
        {"adapter", CLI_STRINGS, &s->adapters, "DIR|TAR",
         "apply an adapter: the service's archive, packed or not", 0, 0, NULL},
        {"compute", CLI_STRING, &s->compute, "MODE", "f32 or fast (fast)", 0, 0, NULL},
        {"weights", CLI_STRING, &s->weight_type, "TYPE",
         "quantise while loading: q8_0 or q4_0 (as stored)", 0, 0, NULL},
        {"threads", CLI_INTEGER, &s->n_threads, "N", "threads that compute (all cores)",
         1, 64, NULL},
        {"max-memory", CLI_INTEGER, &s->max_memory_mib, "MIB",
         "use no more than that (what machine and cgroup allow)", 1, 1LL << 30, NULL},
    };

    return cli_options_add(rows, ours, sizeof ours / sizeof *ours);
}

cli_option *cli_sampler_remote_options(cli_sampler *s, cli_option *rows)
{
    const cli_option ours[] = {
        {"backend", CLI_STRING, &s->backend, "WHICH",
         "remote, local, or auto: here when the service cannot be had", 0, 0, NULL},
        {"base-model", CLI_STRING, &s->base_model, "NAME", "of the service: a base model",
         0, 0, NULL},
        {"model-path", CLI_STRING, &s->model_path, "PATH",
         "of the service: a checkpoint, tinker://...", 0, 0, NULL},
    };

    return cli_connection_options(
        &s->connection, cli_options_add(rows, ours, sizeof ours / sizeof *ours));
}

/* ---- checks ---- */

static int usage(const char *why)
{
    cli_error("%s", why);
    return CLI_USAGE;
}

static int find_mode(cli_sampler *s)
{
    static const char *const names[] = {"remote", "local", "auto"};

    s->mode = s->model ? TKX_SAMPLER_LOCAL : TKX_SAMPLER_REMOTE;
    if (!s->backend)
        return CLI_OK;
    for (int i = 0; i < 3; i++) {
        if (strcmp(s->backend, names[i]) == 0) {
            s->mode = (tkx_sampler_mode)i;
            return CLI_OK;
        }
    }
    cli_error("--backend %s: expected remote, local or auto", s->backend);
    return CLI_USAGE;
}

static int check_file(const char *path)
{
    static const char pointer[] = "version https://git-lfs";
    char start[sizeof pointer] = "";
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(start, 1, sizeof start - 1, file) : 0;

    if (file)
        fclose(file);
    if (!file || (n >= 4 && memcmp(start, "GGUF", 4) == 0))
        return CLI_OK; /* who opens it says what is wrong */
    if (strcmp(start, pointer) == 0) {
        cli_error("the file %s is a git-lfs pointer, not the model itself", path);
        cli_hint("fetch that with: git lfs pull");
        return CLI_FAILED;
    }
    cli_error("the file %s is no model: it does not begin as a GGUF file does", path);
    cli_hint("of a model in other files name the folder that holds them and config.json");
    return CLI_FAILED;
}

/* Said before the tokenizer is looked for, which stands beside the weights. */
static int check_model(const char *path)
{
    char config[4200];
    struct stat sb;

    if (stat(path, &sb) != 0) {
        cli_error("there is no model %s: %s", path, strerror(errno));
        cli_hint("name a folder with config.json and safetensors, or a GGUF file");
        return CLI_FAILED;
    }
    snprintf(config, sizeof config, "%.4096s/config.json", path);
    if (S_ISDIR(sb.st_mode) && access(config, F_OK) != 0) {
        cli_error("the folder %s holds no model: it has no config.json", path);
        return CLI_FAILED;
    }
    return S_ISREG(sb.st_mode) ? check_file(path) : CLI_OK;
}

int cli_sampler_check(cli_sampler *s)
{
    if (find_mode(s) != CLI_OK)
        return CLI_USAGE;
    if (s->adapters.n_items > 1)
        return usage("give one --adapter: a request is answered by one");
    s->adapter_path = s->adapters.n_items ? s->adapters.items[0] : NULL;
    if (strcmp(s->compute, "fast") != 0 && strcmp(s->compute, "f32") != 0) {
        cli_error("--compute %s: expected f32 or fast", s->compute);
        return CLI_USAGE;
    }
    if (s->mode != TKX_SAMPLER_REMOTE && !s->model)
        return usage("give --local MODEL: a model folder or a GGUF file");
    if (s->mode == TKX_SAMPLER_LOCAL && (s->base_model || s->model_path))
        return usage("--base-model and --model-path are the service's: give --backend "
                     "auto to use both");
    if (s->mode != TKX_SAMPLER_LOCAL && !s->base_model && !s->model_path)
        return usage("give --base-model NAME or --model-path PATH");
    if (s->mode == TKX_SAMPLER_AUTO && !s->model_path != !s->adapter_path)
        return usage(s->model_path
                         ? "--model-path needs --adapter: the base never answers in its "
                           "place"
                         : "--adapter needs --model-path: the checkpoint that it is");
    if (s->mode == TKX_SAMPLER_REMOTE && s->adapter_path)
        return usage("--adapter is applied here, not by the service: give --local MODEL, "
                     "or --model-path for a checkpoint of the service");
    return s->mode == TKX_SAMPLER_REMOTE ? CLI_OK : check_model(s->model);
}

/* ---- opening ---- */

static int open_local(cli_sampler *s)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;
    const char *warning = NULL;
    cli_loading loading;
    tkx_error *err = NULL;
    tkx_status st;

    options.compute =
        strcmp(s->compute, "f32") == 0 ? TKX_LOCAL_COMPUTE_F32 : TKX_LOCAL_COMPUTE_FAST;
    options.weight_type = s->weight_type;
    options.n_threads = (int)s->n_threads;
    options.max_memory_bytes = (uint64_t)s->max_memory_mib << 20;
    options.on_progress = cli_loading_report;
    options.user_data = &loading;
    cli_loading_begin(&loading);
    st = tkx_local_open(s->model, &options, &s->local, &err);
    cli_loading_end(&loading);
    if (st != TKX_OK)
        return cli_fail(err, "cannot open the model %s", s->model);
    if (s->adapter_path &&
        tkx_local_adapter_load(s->local, s->adapter_path, &s->adapter, &err) != TKX_OK)
        return cli_fail(err, "cannot load the adapter %s", s->adapter_path);
    if (s->adapter)
        warning = tkx_local_label(s->local, s->adapter, TKX_LOGPROB_MODE_RAW).warning;
    if (warning)
        fprintf(stderr, "Warning: %s\n", warning);
    return CLI_OK;
}

int cli_sampler_open(cli_sampler *s)
{
    tkx_sampler_options options = TKX_SAMPLER_OPTIONS_INIT;
    tkx_error *err = NULL;
    int status = CLI_OK;

    if (s->mode != TKX_SAMPLER_REMOTE)
        status = open_local(s);
    if (status == CLI_OK && s->mode != TKX_SAMPLER_LOCAL)
        status = cli_connection_open(&s->connection);
    if (status != CLI_OK)
        return status;
    options.mode = s->mode;
    options.service = s->connection.service;
    options.base_model = s->base_model;
    options.model_path = s->model_path;
    options.local = s->local;
    options.adapter = s->adapter;
    if (tkx_sampler_new(&options, &s->sampler, &err) != TKX_OK)
        return cli_fail(err, "cannot sample");
    return CLI_OK;
}

void cli_sampler_close(cli_sampler *s)
{
    tkx_sampler_free(s->sampler);
    cli_connection_close(&s->connection);
    tkx_local_adapter_unload(s->adapter);
    tkx_local_free(s->local);
    cli_list_clear(&s->adapters);
}

void cli_sampler_say(const cli_sampler *s, const tkx_sample_label *label)
{
    if (s->mode == TKX_SAMPLER_AUTO)
        fprintf(stderr, "(answered by the %s side: %s)\n", label->backend, label->reason);
}

int cli_sampler_tokenizer(const cli_sampler *s, const char *file, tkx_tokenizer **out)
{
    const char *id =
        s->base_model && strcmp(s->base_model, "tkx/bytes") == 0 ? "bytes" : NULL;

    if (!file && s->model)
        file = s->model;
    return cli_text_open(file, id, out);
}
