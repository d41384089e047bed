/* SPDX-License-Identifier: Apache-2.0 */
/* proc.h - descriptors, threads and ports of this process. */
#ifndef TESTS_SUPPORT_PROC_H
#define TESTS_SUPPORT_PROC_H

int proc_n_files(void);
int proc_n_threads(void);
/* Return when the calling thread is the only one.  One that was joined may be listed for
   another moment, since its joiner is woken before the kernel takes it off; one that
   stays is ended by the test's limit. */
void proc_await_alone(void);

/*
 * A port of 127.0.0.1 on which nobody listens, and which nobody else is given while the
 * returned descriptor is open.  A server that sets SO_REUSEADDR may still be told to
 * listen on it by its number; when it dies, connections are refused again.
 */
int proc_hold_port(int *port);

#endif
