/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_fault_matrix.c - each operation meets each fault of the mock server once, before
 * and after it is carried out.  Judged by the server's journal: the outcome comes exactly
 * once, at its limit at the latest; what was told to have worked was done exactly once;
 * what failed was done at most once, and not at all when the service is said to have
 * refused it; the step that follows runs or fails at once.
 *
 *     e2e_fault_matrix [--full] [--jobs N] [--operation NAME]
 *
 * Without --full: a selection that takes seconds.  Prints the table; fails on any breach.
 */
#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_matrix.h"

/* One line of a worker's report. */
typedef struct verdict {
    size_t operation, fault;
    int is_after;
    tkx_status status;   /* of the operation */
    tkx_status followed; /* of the step behind it */
    bool is_waiting;     /* the step behind it waited for its limit */
    int n_applied;       /* -1: the journal has no such operations */
    int64_t elapsed_ms;
    char breach[200]; /* "": none */
} verdict;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- a cell ---------------------------------------------------------------------- */

static void on_complete(tkx_future *future, void *user_data)
{
    (void)future;
    atomic_fetch_add((atomic_int *)user_data, 1);
}

static void set_fault(world *w, const operation *o, const fault *f, bool is_after)
{
    char rule[512];

    snprintf(rule, sizeof rule, "{\"route\":\"%s\",\"nth\":[1],\"phase\":\"%s\",%s}",
             o->route, is_after ? "after" : "before", f->json);
    world_scenario(w, rule);
}

/* Wait for the outcome; false: it hangs.  How exactly limits are kept is for tests on a
   virtual clock; here a busy machine is no breach. */
static bool collect(tkx_future *future, tkx_status *status)
{
    if (tkx_future_wait(future, MATRIX_HANG_MS, NULL) != TKX_OK)
        return false;
    *status = tkx_error_status(tkx_future_error(future));
    return true;
}

static bool says_refused(const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    return tkx_error_status(error) == TKX_ERR_HTTP && http >= 400 && http < 500 &&
           http != 408 && http != 429;
}

/* How often it was told of its completion, once a callback added behind has run. */
static int told(tkx_future *future, atomic_int *n)
{
    static atomic_int n_behind;
    const int64_t until = now_ms() + MATRIX_HANG_MS;
    int before = atomic_load(&n_behind);

    if (tkx_future_on_complete(future, on_complete, &n_behind, NULL) != TKX_OK)
        return -1;
    while (atomic_load(&n_behind) == before && now_ms() < until)
        sched_yield();
    return atomic_load(n);
}

static void judge(verdict *v, const tkx_error *error, int n_told)
{
    if (n_told != 1)
        snprintf(v->breach, sizeof v->breach, "told %d times", n_told);
    else if (v->n_applied > 1)
        snprintf(v->breach, sizeof v->breach, "done %d times", v->n_applied);
    else if (!error && v->n_applied == 0)
        snprintf(v->breach, sizeof v->breach, "told to have worked, and was not done");
    else if (says_refused(error) && v->n_applied > 0)
        snprintf(v->breach, sizeof v->breach, "told to be refused, and was done");
}

/* The next step of the same client: nothing may hang behind a failure. */
static void follow(world *w, verdict *v)
{
    tkx_future *future = world_optim_step(w);

    if (v->status == TKX_ERR_PROMISE_GONE)
        tkx_future_set_deadline(future, MATRIX_DEADLINE_MS, NULL);
    bool has_ended = collect(future, &v->followed);
    if (v->status == TKX_ERR_PROMISE_GONE && v->followed == TKX_ERR_TIMEOUT)
        v->is_waiting = true; /* the server never got the number, and waits for it */
    else if (!has_ended || v->followed == TKX_ERR_TIMEOUT)
        snprintf(v->breach, sizeof v->breach, "the step behind it hangs");
    else if (v->status == TKX_OK && v->followed != TKX_OK)
        snprintf(v->breach, sizeof v->breach, "the step behind it failed: %.120s",
                 tkx_error_message(tkx_future_error(future)));
    tkx_future_unref(future);
}

static void run_cell(world *w, verdict *v)
{
    const operation *o = &matrix_operations[v->operation];
    const char *model = NULL;
    atomic_int n_told = 0;
    int before = 0;

    if (o->training != NO_TRAINING)
        world_begin_training(w, o->training == FRESH);
    if (w->training)
        model = tkx_training_model_id(w->training);
    if (o->journal)
        before = journal_count(w, o->journal, model);
    set_fault(w, o, &matrix_faults[v->fault], v->is_after);
    int64_t started = now_ms();
    tkx_future *future = o->call(w);
    tkx_future_on_complete(future, on_complete, &n_told, NULL);
    tkx_future_set_deadline(future, MATRIX_DEADLINE_MS, NULL);
    bool has_ended = collect(future, &v->status);
    v->elapsed_ms = now_ms() - started;
    world_scenario(w, "");
    if (!has_ended) {
        snprintf(v->breach, sizeof v->breach, "hangs");
    } else {
        if (w->training && o->journal)
            follow(w, v);
        v->n_applied = o->journal ? journal_count(w, o->journal, model) - before : -1;
        if (o->journal && strcmp(o->journal, "optim_step") == 0 && v->followed == TKX_OK)
            v->n_applied--; /* the step behind it */
        if (!v->breach[0])
            judge(v, tkx_future_error(future), told(future, &n_told));
        if (v->status != TKX_OK && getenv("MATRIX_VERBOSE"))
            fprintf(stderr, "%s, %s %s: %s\n", o->name, matrix_faults[v->fault].name,
                    v->is_after ? "after" : "before",
                    tkx_error_message(tkx_future_error(future)));
    }
    tkx_future_unref(future);
    tkx_training_free(w->training);
    w->training = NULL;
}

/* --- workers --------------------------------------------------------------------- */

typedef struct plan {
    verdict *cells;
    size_t n;
} plan;

/* Of the worker that this process is. */
static struct {
    const plan *plan;
    size_t job, n_jobs;
    int out;
} self;

/* Each worker has a server of its own, since a scenario is for all its clients.  It is a
   test of Check, as the support code wants. */
START_TEST(run_cells)
{
    verdict last = {.operation = SIZE_MAX};
    world w;

    world_open(&w);
    for (size_t i = self.job; i < self.plan->n; i += self.n_jobs) {
        verdict v = self.plan->cells[i];
        run_cell(&w, &v);
        MUST(write(self.out, &v, sizeof v) == (ssize_t)sizeof v);
    }
    journal_check(&w, last.breach, sizeof last.breach);
    world_close(&w);
    MUST(write(self.out, &last, sizeof last) == (ssize_t)sizeof last);
}
END_TEST

static int work(void)
{
    Suite *suite = suite_create("fault_matrix");
    TCase *tc = tcase_create("cells");
    SRunner *runner;

    tcase_add_test(tc, run_cells);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int n_failed = srunner_ntests_failed(runner);
    if (n_failed > 0)
        srunner_print(runner, CK_NORMAL);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void start(const plan *p, size_t job, size_t n_jobs, const int ends[2])
{
    if (fork() != 0)
        return;
    close(ends[0]);
    self.plan = p;
    self.job = job;
    self.n_jobs = n_jobs;
    self.out = ends[1];
    exit(work());
}

/* --- the table ------------------------------------------------------------------- */

static char letter(const verdict *v)
{
    if (v->breach[0])
        return '!';
    switch (v->status) {
    case TKX_OK:
        return '.';
    case TKX_ERR_PROMISE_GONE:
        return v->is_waiting ? 'W' : 'G';
    case TKX_ERR_PROTOCOL:
        return 'P';
    case TKX_ERR_CONNECTION:
        return 'C';
    case TKX_ERR_TIMEOUT:
        return 'T';
    case TKX_ERR_HTTP:
        return 'H';
    default:
        return 'E';
    }
}

static const verdict *find(const plan *p, size_t o, size_t f, int is_after)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->cells[i].operation == o && p->cells[i].fault == f &&
            p->cells[i].is_after == is_after)
            return &p->cells[i];
    return NULL;
}

static void print_table(const plan *p)
{
    printf("%-30s", "");
    for (size_t f = 0; f < matrix_n_faults; f++)
        printf(" %s", matrix_faults[f].name);
    printf("\n");
    for (size_t o = 0; o < matrix_n_operations; o++) {
        if (!find(p, o, 0, 0) && !find(p, o, 0, 1) && !find(p, o, 4, 1))
            continue;
        printf("%-30s", matrix_operations[o].name);
        for (size_t f = 0; f < matrix_n_faults; f++) {
            const verdict *b = find(p, o, f, 0), *a = find(p, o, f, 1);
            printf(" %*c%c", (int)strlen(matrix_faults[f].name) - 1, b ? letter(b) : ' ',
                   a ? letter(a) : ' ');
        }
        printf("\n");
    }
    printf("before, then after; . result, G promise gone, W the same and "
           "the step behind it waits for its limit, P unreadable answer, C no "
           "connection, T limit, H refused, E other, ! breach\n");
}

static int print_summary(const plan *p, int n_breaches)
{
    size_t n_results = 0, slowest = 0;

    for (size_t i = 0; i < p->n; i++) {
        const verdict *v = &p->cells[i];
        n_results += v->status == TKX_OK;
        if (v->elapsed_ms > p->cells[slowest].elapsed_ms)
            slowest = i;
        if (v->breach[0])
            printf("BREACH %s, %s %s: %s\n", matrix_operations[v->operation].name,
                   matrix_faults[v->fault].name, v->is_after ? "after" : "before",
                   v->breach);
        n_breaches += v->breach[0] != '\0';
    }
    const verdict *s = &p->cells[slowest];
    printf(
        "%zu cells: %zu results, %zu errors, %d breaches; slowest %.1f s (%s, %s %s)\n",
        p->n, n_results, p->n - n_results, n_breaches, (double)s->elapsed_ms / 1000,
        matrix_operations[s->operation].name, matrix_faults[s->fault].name,
        s->is_after ? "after" : "before");
    return n_breaches == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- the run --------------------------------------------------------------------- */

/* What the short form leaves out: all but the costly faults of the costly operations. */
static bool is_short(const operation *o, const fault *f, int is_after)
{
    static const char *const operations[] = {"forward_backward (protobuf)", "optim_step",
                                             "optim_step, poll", "sample"};
    static const char *const faults[] = {"503", "cut", "reset", "garbage", "lose"};
    bool has_operation = false, has_fault = false;

    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        has_operation |= strcmp(o->name, operations[i]) == 0;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        has_fault |= strcmp(f->name, faults[i]) == 0;
    return has_operation && has_fault && (is_after || strcmp(f->name, "503") == 0);
}

static plan make_plan(bool is_full, const char *only)
{
    plan p = {.cells =
                  calloc(matrix_n_operations * matrix_n_faults * 2, sizeof(verdict))};

    for (size_t o = 0; o < matrix_n_operations; o++)
        for (size_t f = 0; f < matrix_n_faults; f++)
            for (int after = 0; after < 2; after++)
                if ((!only || strcmp(only, matrix_operations[o].name) == 0) &&
                    (is_full ||
                     is_short(&matrix_operations[o], &matrix_faults[f], after)))
                    p.cells[p.n++] =
                        (verdict){.operation = o, .fault = f, .is_after = after};
    return p;
}

/* Into its cell; the last line of a worker is about its whole journal. */
static int take(plan *p, const verdict *v, size_t *n_ended)
{
    if (v->operation != SIZE_MAX) {
        *(verdict *)(uintptr_t)find(p, v->operation, v->fault, v->is_after) = *v;
        return 0;
    }
    ++*n_ended;
    if (v->breach[0])
        printf("BREACH journal: %s\n", v->breach);
    return v->breach[0] != '\0';
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    bool is_full = false;
    size_t n_jobs = 4, n_ended = 0, n_read = 0;
    int ends[2], n_breaches = 0;
    verdict v;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full") == 0)
            is_full = true;
        else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc)
            n_jobs = (size_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--operation") == 0 && i + 1 < argc)
            only = argv[++i];
    }
    plan p = make_plan(is_full || only, only);
    if (n_jobs < 1 || p.n == 0 || pipe(ends) != 0)
        return 2;
    /* Not for the servers, which may outlive a worker that fails. */
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    fflush(stdout);
    for (size_t job = 0; job < n_jobs; job++)
        start(&p, job, n_jobs, ends);
    close(ends[1]);
    while (read(ends[0], &v, sizeof v) == (ssize_t)sizeof v) {
        n_breaches += take(&p, &v, &n_ended);
        n_read++;
    }
    while (wait(NULL) > 0)
        ;
    if (n_ended != n_jobs || n_read != p.n + n_jobs) {
        printf("BREACH only %zu of %zu workers came to their end\n", n_ended, n_jobs);
        n_breaches++;
    }
    print_table(&p);
    int result = print_summary(&p, n_breaches);
    free(p.cells);
    return result;
}
