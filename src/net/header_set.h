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

#endif
