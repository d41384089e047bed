/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/site.h - what all calls to one service share: address, headers, limits, pause
 * state.
 *
 * Made in any thread, then used on the loop thread only.  It outlives every call on it.
 */
#ifndef TKX_API_SITE_H
#define TKX_API_SITE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "api/billing.h"
#include "api/budget.h"
#include "api/reach.h"
#include "base/log.h"
#include "net/io.h"

#define TKX__PROXY_400_BUDGET 16
#define TKX__SDK_VERSION "0.38.0"

/* What the service said at start (client/config); defaults where it said nothing. */
typedef struct tkx__config {
    bool pjwt_auth_enabled;
    bool needs_credential_cmd;
    bool parallel_fwdbwd_chunks;
    bool proto_compress_fwdbwd;
    bool sample_no_retries;
    bool sample_enable_stuck_detection;
    bool sample_use_retrieve_futures;
    bool sample_join_sampling_session;
    bool custom_loss_server_side;
    int64_t sample_dispatch_bytes;
    int64_t inflight_response_bytes;
    int64_t fwdbwd_max_chunk_len;
    int64_t fwdbwd_max_chunk_bytes;
    int64_t fwdbwd_dispatch_bytes;
    int64_t billing_max_pause_ms;
    int64_t sample_max_concurrent;
} tkx__config;

/* What it repeats while the session lives (client/dynamic_config). */
typedef struct tkx__dynamic_config {
    int64_t refresh_interval_ms;
    bool sample_cancel_enabled;
    int64_t sample_cancel_max_batch;
} tkx__dynamic_config;

void tkx__config_default(tkx__config *config);

struct tkx__auth;
struct tkx__breakers;
struct tkx__observer;
struct tkx__limiter;
struct tkx__op;
struct tkx__profile;
struct tkx__cancel;

typedef struct tkx__site_options {
    tkx__io io;
    const tkx__log *log;        /* outlives the site; NULL: silent */
    const char *base_url;       /* http(s)://host[:port][/path] */
    const char *sdk_version;    /* NULL: TKX__SDK_VERSION */
    const char *user_agent;     /* behind "tkx/VERSION libcurl/VERSION"; NULL: nothing */
    const char *api_prefix;     /* NULL: "/api/v1" */
    const tkx__header *headers; /* sent with every request; copied */
    size_t n_headers;
    /* Told of each send that failed and is repeated; the error is borrowed.  NULL: no. */
    void (*on_trouble)(void *arg, const tkx_error *error);
    void *trouble_arg;
    int64_t request_timeout_ms;     /* 0: 60 s */
    int64_t poll_timeout_ms;        /* 0: 45 s */
    struct tkx__breakers *breakers; /* outlive the site; NULL: none */
    struct tkx__observer *observer; /* outlives the site; NULL: nobody looks */
    struct tkx__limiter *limiter;   /* outlives the site; NULL: none */
} tkx__site_options;

typedef struct tkx__site {
    tkx__io io;
    const tkx__log *log;
    struct tkx__breakers *breakers; /* NULL: none */
    struct tkx__observer *observer; /* NULL: nobody looks; see span.h */
    struct tkx__limiter *limiter;   /* NULL: none */
    char *api_url;                  /* base, prefix and a slash */
    char *sdk_version;
    char *user_agent;
    tkx__header *headers; /* fixed ones of every request, strings owned */
    size_t n_headers;
    size_t n_platform; /* the first of them say what we run on: not in every request */
    void (*on_trouble)(void *arg, const tkx_error *error);
    void *trouble_arg;
    struct tkx__profile *profiles; /* headers joined once for requests alike: profile.c */
    size_t next_profile;
    int64_t request_timeout_ms;
    int64_t poll_timeout_ms;
    tkx__config config;
    tkx__dynamic_config dynamic;
    tkx__billing billing;
    tkx__reach reach;
    tkx__budget responses;  /* bytes of announced results being fetched */
    tkx__budget uploads;    /* bytes of training requests being submitted */
    struct tkx__auth *auth; /* set by auth.c; NULL: requests carry no key */
    int proxy_400_left[TKX__N_LANES];
    bool fresh_next[TKX__N_LANES]; /* next request opens a new connection */
    atomic_bool no_protobuf; /* a 415 or 422 taught us that this server reads JSON only */
    bool protobuf_works;     /* one protobuf request was accepted */
    bool no_create_by_load;  /* behaves like the 0.25 generation */
    bool is_closed;
    struct tkx__cancel *cancels, *cancels_tail; /* not sent yet: cancel_queue.c */
    int64_t n_cancels;                          /* under way */
    struct tkx__op *ops;                        /* every operation that has not settled */
    int64_t trouble_said_ms; /* when a resend was last told to the user; 0: never */
    char *seen_notes[8];     /* deprecation notes already logged */
} tkx__site;

/* Errors: INVALID_ARGUMENT for a base URL that is not http(s). */
tkx_status tkx__site_new(const tkx__site_options *options, tkx__site **out,
                         tkx_error **err);
void tkx__site_free(tkx__site *site);

/* Take over what client/config said; before any operation. */
void tkx__site_configure(tkx__site *site, const tkx__config *config);

/* Shorthands for the io table. */
int64_t tkx__site_now(const tkx__site *site);
double tkx__site_uniform(tkx__site *site);

/*
 * An operation that must end when the site closes: embedded first in its struct.  abort()
 * settles it with CLOSED and unregisters it, maybe later if a worker holds it.
 */
typedef struct tkx__op {
    struct tkx__op *next, *prev;
    void (*abort)(struct tkx__op *op);
    bool is_listed;
} tkx__op;

void tkx__op_register(tkx__site *site, tkx__op *op, void (*abort)(tkx__op *op));
void tkx__op_unregister(tkx__site *site, tkx__op *op);

/* Stop: every operation is aborted; later ones are refused by their own makers. */
void tkx__site_close(tkx__site *site);

#endif
