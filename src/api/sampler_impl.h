/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/sampler_impl.h - the inside of samplers and samples, for sampler.c, sample.c and
 * completions.c.
 *
 * A waiting sample is what there are thousands of, so its struct holds only what it needs
 * while it waits; transfers and timers come and go.
 */
#ifndef TKX_API_SAMPLER_IMPL_H
#define TKX_API_SAMPLER_IMPL_H

#include <pthread.h>

#include "api/call.h"
#include "api/sample_text.h"
#include "api/sampler.h"

typedef enum tkx__sample_state {
    TKX__SAMPLE_NEW = 0,
    TKX__SAMPLE_SLOT,   /* waits for one of the sampler's slots */
    TKX__SAMPLE_GATE,   /* waits for the dispatch limits */
    TKX__SAMPLE_PUSHED, /* inside, the service asked to wait */
    TKX__SAMPLE_SENDING,
    TKX__SAMPLE_WAITING, /* the service has it */
    TKX__SAMPLE_RETRY,   /* waits before a new submission */
} tkx__sample_state;

struct tkx__completions;

struct tkx__sample {
    tkx__sampler *sampler;
    const tkx__sample_kind *kind;
    void *arg;
    tkx__sample *next, *prev; /* in one of the sampler's lists */
    tkx__dispatch_wait gate;
    union {                /* what it waits for, by state; NULL: nothing of these */
        tkx__call *call;   /* SENDING */
        tkx__poll *poll;   /* WAITING */
        tkx__timer *timer; /* PUSHED, RETRY */
    };
    union {
        tkx__body *body;        /* SENDING */
        tkx__sample *hash_next; /* WAITING: among those whose completion is awaited */
    };
    tkx__span *span;
    tkx__timer *deadline; /* only with one */
    int64_t seq_id;
    union {
        int64_t deadline_ms; /* before its start */
        int64_t awaited_ms;  /* since when its completion is awaited */
        int64_t bytes;       /* announced, while queued */
    } when;
    tkx__sample_frame *frame;
    char *request_id;    /* NULL: no promise */
    char *ids;           /* of the sequences: a JSON array out of the submit's answer */
    uint32_t submit_ms;  /* how long the submit took */
    uint16_t n_attempts; /* stands still at the end */
    uint8_t state;
    uint8_t n_unknown; /* times that nobody knew its promise */
    bool retries : 1;
    bool has_slot : 1;
    bool is_awaited : 1;      /* in the completions' table */
    bool is_fetched : 1;      /* one of the bounded number of fetches */
    bool is_queued : 1;       /* has completed, and waits until it may be fetched */
    bool is_probe : 1;        /* its poll only asks whether it is still there */
    tkx__packed_prompt shape; /* of the bytes that follow */
    unsigned char prompt[];
};

typedef struct tkx__sample_list {
    tkx__sample *head, *tail;
} tkx__sample_list;

struct tkx__sampler {
    tkx__op base; /* ends all its samples when the site closes */
    tkx__site *site;
    tkx__dispatch *dispatch;
    tkx__retry_settings settings;
    char *id;
    int64_t next_seq;
    int64_t max_open;
    int64_t n_open; /* hold a slot */
    tkx__sample_list waiting, open;
    int64_t progress_ms; /* when something succeeded, or the first entered */
    tkx__timer *stuck;
    bool is_stuck_armed;
    struct tkx__completions *completions; /* NULL: one long poll for each sample */
    void *owner;
    struct {
        pthread_mutex_t lock;
        tkx__sample_list posted;  /* from any thread; a task of ours is on its way */
        tkx__sample_frame *frame; /* of the latest request */
    } shared;
};

/* The frame of a request, shared with the one before if they are alike.  Any thread. */
tkx_status tkx__sampler_get_frame(tkx__sampler *sampler,
                                  const tkx_sample_request *request,
                                  tkx__sample_frame **out, tkx_error **err);

/* The sampler's slots. */
bool tkx__sampler_enter(tkx__sampler *sampler, tkx__sample *sample);
void tkx__sampler_leave(tkx__sampler *sampler, tkx__sample *sample, bool has_succeeded);

/* sample.c: what the others may do to a sample. */
void tkx__sample_start(tkx__sample *sample);
void tkx__sample_go(tkx__sample *sample);                     /* it has a slot */
void tkx__sample_fail(tkx__sample *sample, tkx_error *error); /* for good; takes error */
/* Ask for its result; bytes: its size if that has been announced, else 0. */
void tkx__sample_fetch(tkx__sample *sample, int64_t bytes);
/* Ask, once, whether the service still knows it. */
void tkx__sample_probe(tkx__sample *sample);
/* Ids and checks; PROTOCOL when the service ignored what it was asked for. */
tkx_status tkx__sample_finish_response(tkx__sample *sample, tkx_sample_response *response,
                                       tkx_error **err);

/* completions.c: one long poll for all samples of a sampler. */
struct tkx__completions *tkx__completions_new(tkx__sampler *sampler);
void tkx__completions_free(struct tkx__completions *completions); /* accepts NULL */
bool tkx__completions_await(struct tkx__completions *completions, tkx__sample *sample);
void tkx__completions_forget(struct tkx__completions *completions, tkx__sample *sample);
/* Its fetch has ended, or its wait for one. */
void tkx__completions_fetched(struct tkx__completions *completions, tkx__sample *sample);
/* A probe has ended, one way or the other. */
void tkx__completions_probed(struct tkx__completions *completions);
/* Its result, or its error, has been read: the service may delete it.  The id is
   taken. */
void tkx__completions_retrieved(struct tkx__completions *completions, char **request_id);

#endif
