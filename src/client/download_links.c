/* SPDX-License-Identifier: Apache-2.0 */
/*
 * download_links.c - where a checkpoint's bytes can be fetched: an archive, or one link for
 * each file of an external save.
 *
 * Which of the two a service has for a path is found out by asking; every name of a list
 * is judged before the first byte is fetched.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/checkpoint_download_in.h"

#define MAX_LINKS_BYTES ((size_t)16 << 20)

static const char *way_name(download_way way)
{
    return way == WAY_ARCHIVE ? "an archive" : "external weights";
}

/* Does the answer say that this way does not exist, for this path at least? */
static bool is_missing(const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    return http == 400 || http == 404 || http == 405 || http == 422 || http == 501;
}

static void on_no_links(download *d, tkx_error *error)
{
    download_way other = d->way == WAY_ARCHIVE ? WAY_EXTERNAL : WAY_ARCHIVE;
    tkx_error *both = NULL;

    if (!is_missing(error) || d->next > 0) {
        tkx__download_fail(d, error);
        return;
    }
    if (!d->was_tried[other]) {
        d->first_error = error;
        d->way = other;
        tkx__download_ask(d);
        return;
    }
    tkx__fail_cause(&both, TKX_ERR_UNSUPPORTED, NULL, &error,
                    "%s cannot be downloaded: unknown, or the service offers neither %s "
                    "(%s) nor %s of it",
                    d->path, way_name(other), tkx_error_message(d->first_error),
                    way_name(d->way));
    tkx__download_fail(d, both);
}

static void on_archive(void *arg, tkx_archive_url *url, tkx_error *error)
{
    download *d = arg;

    if (error) {
        on_no_links(d, error);
        return;
    }
    d->archive = url;
    if (!tkx__download_is_over(d))
        tkx__download_fetch(d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tkx_pair *)a)->key, ((const tkx_pair *)b)->key);
}

/* Every name is judged before the first byte is fetched. */
static tkx_status take_links(download *d, tkx_external_weights_urls *links,
                             tkx_error **err)
{
    size_t n = links->urls.count;

    tkx_external_weights_urls_free(d->links);
    d->links = links;
    d->n_since_signed = 0;
    if (n == 0 || n > TKX__DOWNLOAD_MAX_FILES || (d->next > 0 && n != d->n_files))
        return tkx__fail(err, TKX_ERR_PROTOCOL,
                         "the service lists %zu files of %s (before: %zu)", n, d->path,
                         d->n_files);
    tkx__free(d->files);
    d->files = tkx__calloc(n, sizeof *d->files);
    if (!d->files)
        return tkx__fail_memory(err);
    d->n_files = n;
    for (size_t i = 0; i < n; i++) {
        d->files[i] = links->urls.items[i];
        tkx_status st = tkx__download_check_name(d->files[i].key, err);
        if (st != TKX_OK)
            return st;
    }
    qsort(d->files, n, sizeof *d->files, by_name);
    return TKX_OK;
}

static void on_external(void *arg, void *result, tkx_error *error)
{
    download *d = arg;

    if (error)
        on_no_links(d, error);
    else if (take_links(d, result, &error) != TKX_OK)
        tkx__download_fail(d, error);
    else if (!tkx__download_is_over(d))
        tkx__download_fetch(d);
}

static tkx_status ask_external(download *d, tkx_error **err)
{
    const tkx__rest_route *route = &tkx__rest_external_urls;
    tkx__rest_text args[2];
    tkx__buf path;
    tkx_status st = tkx__rest_checkpoint_args(d->path, args, err);

    if (st != TKX_OK)
        return st;
    tkx__buf_init(&path, (size_t)16 << 10);
    st = tkx__rest_route_print(route, args, NULL, 0, &path, err);
    if (st == TKX_OK) {
        const tkx__exchange_call spec = {
            .call = {.what = route->what,
                     .method = route->method,
                     .route = path.data,
                     .lane = TKX__LANE_REST,
                     .sdk_method = route->sdk_method,
                     .seq_id = -1,
                     .max_retries = TKX__INNER_RETRIES,
                     .is_outer = true,
                     .max_reply_bytes = MAX_LINKS_BYTES},
            .decode = route->decode,
        };
        st = tkx__exchange_start(d->task.service->site, &spec, on_external, d, err);
    }
    tkx__buf_clear(&path);
    return st;
}

void tkx__download_ask(download *d)
{
    tkx__archive_wait *wait;
    tkx_error *error = NULL;
    tkx_status st;

    if (tkx__download_is_over(d))
        return;
    d->was_tried[d->way] = true;
    if (d->way == WAY_ARCHIVE)
        st = tkx__archive_start(d->task.service->site, d->path, on_archive, d, &wait,
                                &error);
    else
        st = ask_external(d, &error);
    if (st != TKX_OK)
        tkx__download_fail(d, error);
}
