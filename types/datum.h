/* SPDX-License-Identifier: Apache-2.0 */
/* types/datum.h - the size of a datum and its JSON. */
#ifndef TKX_TYPES_DATUM_CODEC_H
#define TKX_TYPES_DATUM_CODEC_H

#include <tkx/types/datum.h>

#include "json/writer.h"

/* Bytes that chunking and the dispatch budget count for one datum. */
size_t tkx__datum_bytes(const tkx_datum *datum);

/* Provenance has no JSON form and is left out. */
void tkx__datum_write_json(tkx__json_writer *w, const tkx_datum *datum);

#endif
