/* SPDX-License-Identifier: Apache-2.0 */
/* proc.c - see the header. */
#include "support/proc.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    if (!dir)
        abort();
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2; /* . and .. */
}

int proc_n_files(void)
{
    return count_entries("/proc/self/fd") - 1; /* its own */
}

int proc_n_threads(void)
{
    return count_entries("/proc/self/task");
}

void proc_await_alone(void)
{
#if defined(__SANITIZE_THREAD__)
    const int n_own =
        3; /* the sanitizer keeps one, and another in a process that forked */
#else
    const int n_own = 1;
#endif

    while (proc_n_threads() > n_own)
        sched_yield();
}

int proc_hold_port(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        abort();
    *port = ntohs(at.sin_port);
    return fd;
}
