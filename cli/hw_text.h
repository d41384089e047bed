/* SPDX-License-Identifier: Apache-2.0 */
/* hw_text.h - a machine as text and as JSON, for `tkx hw` and `tkx doctor`. */
#ifndef CLI_HW_TEXT_H
#define CLI_HW_TEXT_H

#include <cjson/cJSON.h>

#include <tkx/hw.h>

void hw_print(const tkx_hw_info *info);
cJSON *hw_to_json(const tkx_hw_info *info);

/* What there is to say about kernel set i, or (i = n_kernels) about the choice among them:
   1, and the words; 0: nothing. */
int hw_warning(const tkx_hw_info *info, size_t i, char *text, size_t size);
/* One line for each that is not simply in order; returns how many. */
int hw_print_warnings(const tkx_hw_info *info);

#endif
