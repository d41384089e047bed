/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mock_process.h - the real tkx-mock-server as a child process, and plain HTTP to it.
 *
 * The server listens on a port of its own choice, or on one that is held for it, and
 * keeps its state in a temporary folder; both last until mock_process_remove().  Failures
 * end the test with a message.
 */
#ifndef TESTS_SUPPORT_MOCK_PROCESS_H
#define TESTS_SUPPORT_MOCK_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

typedef struct mock_process {
    pid_t pid; /* 0: not running */
    char url[128];
    char state_dir[64];
    int out;  /* its standard output */
    int port; /* held; 0: none */
    int held;
} mock_process;

/* Before the first start: one port for every start, on which nobody else listens while
   the server is down. */
void mock_process_hold_port(mock_process *p);
/* flags: NULL-terminated, behind --port N --state DIR; may be NULL.  The folder is made
   on the first start and kept for later ones. */
void mock_process_start(mock_process *p, const char *const *flags);
/* SIGTERM; gives the exit status. */
int mock_process_stop(mock_process *p);
/* SIGKILL. */
void mock_process_kill(mock_process *p);
/* Stop, if need be, and remove the state. */
void mock_process_remove(mock_process *p);

typedef struct mock_answer {
    long status; /* 0: no answer */
    int curl_code;
    char *body; /* NUL-terminated */
    size_t size;
    char content_type[96];
    char location[2048];
} mock_answer;

typedef struct mock_request {
    const char *method;
    const char *path; /* behind the base, or an absolute link */
    const char *body; /* NULL: none */
    size_t size;      /* 0: strlen(body) */
    const char *key;  /* NULL: tml-test; "": none */
    const char *headers[4];
    long timeout_ms; /* 0: 300 s, for what hangs */
} mock_request;

/* Ownership: mock_answer_free(). */
mock_answer mock_send(const mock_process *p, const mock_request *request);
mock_answer mock_post(const mock_process *p, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
mock_answer mock_get(const mock_process *p, const char *path);
void mock_answer_free(mock_answer *a);

/* The text behind "name":" in a JSON body, up to the next quote; the test fails
   without. */
void mock_take_text(const char *json, const char *name, char *out, size_t size);
double mock_take_number(const char *json, const char *name);

/* Poll a promise until it is settled, and give its last answer. */
mock_answer mock_wait(const mock_process *p, const char *handle_json);

#endif
