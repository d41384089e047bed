/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/header_set.h - a header set as libcurl sees it; the rest is in net/io.h.
 */
#ifndef TKX_NET_HEADER_SET_H
#define TKX_NET_HEADER_SET_H

#include <curl/curl.h>

#include "net/io.h"

/* The set as a list, borrowed; libcurl only reads it.  NULL for none. */
struct curl_slist *tkx__header_set_list(tkx__header_set *set);

/* Write "name: value" with its NUL, at most strlen(name) + strlen(value) + 3 bytes;
   returns the bytes written. */
size_t tkx__header_write(char *to, const char *name, const char *value);

/*
 * libcurl goes through the lines of a request a dozen times, looking for those that
 * concern it, which took half of a small request's time.  It sends each as it stands, so
 * those that it need not find one by one (X-..., with a value) go as one, the lines in it
 * joined by CR LF.  Returns the bytes written with the NUL, 0 for none; at most
 * strlen(name) + strlen(value) + 4 for each header.  is_sent picks; NULL: all.
 */
bool tkx__header_is_joined(const tkx__header *header);
size_t tkx__headers_join(char *to, const tkx__header *headers, size_t n,
                         bool (*is_sent)(const void *arg, const char *name),
                         const void *arg);

#endif
