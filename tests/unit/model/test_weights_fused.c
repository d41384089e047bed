/* SPDX-License-Identifier: Apache-2.0 */
/* Experts in two tensors a layer are the same experts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "model/weights.h"
#include "support/suite.h"

#define MODEL TKX_TEST_DATA "/models/qwen3moe"

enum { MAX_TENSORS = 512 };

static char dir[] = "/tmp/tkx-fused-XXXXXX";
static tkx__tensor made[MAX_TENSORS];
static size_t n_made;

static void copy_file(const char *name)
{
    char command[1024];

    snprintf(command, sizeof command, "cp '" MODEL "/%s' '%s/'", name, dir);
    ck_assert_int_eq(system(command), 0);
}

/* Gates and ups of all experts as rows of one tensor, or the downs alone. */
static void fuse(const tkx__tensors *table, size_t layer, size_t n_experts, int is_down)
{
    static char names[64][64];
    static size_t n_names;
    static const char *const parts[] = {"gate", "up"};
    const tkx__tensor *t = NULL;
    tkx__tensor *out = &made[n_made++];
    char *data = NULL;
    char *at = NULL;
    char name[128];

    for (size_t e = 0; e < n_experts; e++) {
        for (int p = 0; p < (is_down ? 1 : 2); p++) {
            snprintf(name, sizeof name, "model.layers.%zu.mlp.experts.%zu.%s_proj.weight",
                     layer, e, is_down ? "down" : parts[p]);
            t = tkx__tensors_find(table, name);
            ck_assert_ptr_nonnull(t);
            if (!data)
                at = data = malloc(2 * n_experts * t->size_bytes);
            memcpy(at, t->data, t->size_bytes);
            at += t->size_bytes;
        }
    }
    snprintf(names[n_names], sizeof names[0], "model.layers.%zu.mlp.experts.%s", layer,
             is_down ? "down_proj" : "gate_up_proj");
    *out = (tkx__tensor){.name = names[n_names++],
                         .dtype = t->dtype,
                         .n_dims = 3,
                         .dims = {n_experts, (is_down ? 1 : 2) * t->dims[0], t->dims[1]},
                         .data = data};
    ck_assert(tkx__tensor_measure(out));
}

static void write_model(void)
{
    char path[256];
    int fd;

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_eq(
        tkx__safetensors_write(made, n_made, NULL, 0, tkx__write_to_fd, &fd, NULL),
        TKX_OK);
    close(fd);
}

START_TEST(fused_experts_are_the_same)
{
    tkx__weights *a = NULL;
    tkx__weights *b = NULL;
    tkx__safetensors *file = NULL;
    const tkx__tensors *table;
    tkx_error *err = NULL;
    char command[128];

    ck_assert_ptr_nonnull(mkdtemp(dir));
    copy_file("config.json");
    copy_file("generation_config.json");
    ck_assert_int_eq(tkx__weights_open(MODEL, &a, NULL), TKX_OK);
    ck_assert_int_eq(tkx__safetensors_open(MODEL "/model.safetensors", &file, NULL),
                     TKX_OK);
    table = tkx__safetensors_tensors(file);
    for (size_t i = 0; i < table->n; i++) {
        if (!strstr(table->items[i].name, ".experts."))
            made[n_made++] = table->items[i];
    }
    for (size_t i = 0; i < a->config.n_layers; i++) {
        fuse(table, i, a->config.n_experts, 0);
        fuse(table, i, a->config.n_experts, 1);
    }
    write_model();
    ck_assert_msg(tkx__weights_open(dir, &b, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    for (size_t i = 0; i < a->config.n_layers; i++) {
        for (size_t k = 0; k < 3 * a->config.n_experts; k++) {
            const tkx__stored *x = &a->layers[i].experts[k];
            const tkx__stored *y = &b->layers[i].experts[k];

            ck_assert_uint_eq(x->n_rows, y->n_rows);
            ck_assert_uint_eq(x->n_cols, y->n_cols);
            ck_assert_mem_eq(x->data, y->data, x->n_rows * x->row_bytes);
        }
    }
    tkx__weights_free(b);
    tkx__weights_free(a);

    made[n_made - 1].dims[1]--; /* another shape is told by name */
    ck_assert(tkx__tensor_measure(&made[n_made - 1]));
    write_model();
    ck_assert_int_eq(tkx__weights_open(dir, &b, &err), TKX_ERR_PARSE);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "mlp.experts.down_proj"));
    tkx_error_free(err);
    for (size_t i = 0; i < n_made; i++) {
        if (strstr(made[i].name, ".experts."))
            free((void *)(uintptr_t)made[i].data);
    }
    tkx__safetensors_free(file);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fused experts");
    TCase *tc = tcase_create("fused experts");

    tcase_add_test(tc, fused_experts_are_the_same);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
