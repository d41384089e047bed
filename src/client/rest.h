/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/rest.h - the inside of the REST client: one table of routes, one way to call.
 */
#ifndef TKX_CLIENT_REST_H
#define TKX_CLIENT_REST_H

#include <tkx/rest.h>
#include <tkx/types/tinker_path.h>

#include "client/record.h"
#include "client/task.h"

struct tkx_rest {
    tkx_service *service;
};

/* One route.  In the pattern "{}" is a path segment and "{/}" one that may hold slashes
   (a checkpoint id); both are escaped. */
typedef struct tkx__rest_route {
    const char *what; /* for messages; also the SDK's name of the method */
    const char *method;
    const char *pattern;
    const char *sdk_method;
    const tkx__result_type *result;
    void *(*decode)(const tkx__payload *payload, void *arg, tkx_error **err);
    int64_t page_size; /* of a list: asked for unless the caller says otherwise */
    bool has_scope;    /* takes access_scope: "owned" unless the caller says otherwise */
    bool final_409;
    bool has_one_key; /* resends of all layers share an idempotency key */
    bool is_preview;  /* goes out only when the client's options say so */
} tkx__rest_route;

typedef struct tkx__rest_text {
    const char *text; /* NULL: not there */
    size_t size;
} tkx__rest_text;

static inline tkx__rest_text tkx__rest_view(const char *text, size_t size)
{
    return (tkx__rest_text){text, size};
}

typedef struct tkx__rest_request {
    const tkx__rest_route *route;
    tkx__rest_text args[2];
    const tkx_pair *query; /* pairs with a NULL value are left out */
    size_t n_query;
    tkx__buf *body;         /* taken; NULL: none */
    const char *header;     /* name of the header that carries secret, or NULL */
    const char *secret;     /* copied; NULL: none */
    bool is_secret_the_key; /* it replaces our own credential */
} tkx__rest_request;

/* Append a route with its arguments to out.  INVALID_ARGUMENT for empty ones and for "."
   and "..", which mean another place in a URL. */
tkx_status tkx__rest_route_print(const tkx__rest_route *route, const tkx__rest_text *args,
                                 const tkx_pair *query, size_t n_query, tkx__buf *out,
                                 tkx_error **err);

/* UNSUPPORTED for a preview route of a client that was made without them. */
tkx_status tkx__rest_may_send(const tkx_rest *rest, const tkx__rest_route *route,
                              tkx_error **err);

/* Send it.  Any thread. */
tkx_status tkx__rest_send(tkx_rest *rest, const tkx__rest_request *request,
                          tkx_future **out, tkx_error **err);

/* The two arguments that a checkpoint's routes take.  Views into path. */
tkx_status tkx__rest_checkpoint_args(const char *path, tkx__rest_text args[2],
                                     tkx_error **err);

extern const tkx__rest_route tkx__rest_external_urls;
extern const tkx__rest_route tkx__rest_list_runs, tkx__rest_list_checkpoints;
extern const tkx__rest_route tkx__rest_list_sessions, tkx__rest_find_sessions;
extern const tkx__rest_route tkx__rest_find_checkpoints;

/*
 * The machine behind tkx_rest_get_archive_url(), for the loop thread.  fn is told once,
 * never inside start; also when the site closes.
 */
typedef struct tkx__archive_wait tkx__archive_wait;
typedef void tkx__archive_fn(void *arg, tkx_archive_url *url, tkx_error *error);
tkx_status tkx__archive_start(tkx__site *site, const char *tinker_path,
                              tkx__archive_fn *fn, void *arg, tkx__archive_wait **out,
                              tkx_error **err);

#endif
