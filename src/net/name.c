/* SPDX-License-Identifier: Apache-2.0 */
/* name.c - what the transfers run on, for the User-Agent. */
#include <curl/curl.h>

#include "net/io.h"

const char *tkx__net_curl_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}
