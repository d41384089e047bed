/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/loss.h - which loss, and its settings.  Any name is passed to the server.
 */
#ifndef TKX_TYPES_LOSS_H
#define TKX_TYPES_LOSS_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

#define TKX_LOSS_CROSS_ENTROPY "cross_entropy"
#define TKX_LOSS_IMPORTANCE_SAMPLING "importance_sampling"
#define TKX_LOSS_PPO "ppo"
#define TKX_LOSS_CISPO "cispo"
#define TKX_LOSS_DRO "dro"
#define TKX_LOSS_GSPO "gspo"
#define TKX_LOSS_STABLE_REINFORCE "stable_reinforce"
#define TKX_LOSS_CUSTOM "custom"

/* A number, or a text where text is not NULL. */
typedef struct tkx_loss_setting {
    const char *key;
    double number;
    const char *text;
} tkx_loss_setting;

typedef struct tkx_loss {
    const char *name;
    const tkx_loss_setting *settings;
    size_t n_settings;
} tkx_loss;

TKX_END_DECLS
#endif
