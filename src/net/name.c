/* SPDX-License-Identifier: Apache-2.0 */
/* name.c - what the transfers run on, and the codings that it undoes. */
#include <curl/curl.h>

#include "net/io.h"

const char *tkx__net_curl_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}

const char *tkx__net_codings(void)
{
    int has = curl_version_info(CURLVERSION_NOW)->features;
    bool has_gzip = has & CURL_VERSION_LIBZ;
    bool has_zstd = has & CURL_VERSION_ZSTD;

    return has_gzip && has_zstd ? "gzip, zstd"
           : has_gzip           ? "gzip"
           : has_zstd           ? "zstd"
                                : "identity";
}
