/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/trace_file.h - a trace as Chrome's trace-event JSON, one event a line.
 *
 * The file is an array; a line is complete or missing, so a file that was cut by a crash
 * is read by Perfetto as it is, and becomes valid JSON by dropping the last line and
 * closing the bracket.  Begin and end events are written as they happen, in order.
 *
 * Bounded: past max_bytes no slice is begun any more (they are counted); what has begun
 * is still ended.  Loop thread only.
 */
#ifndef TKX_API_TRACE_FILE_H
#define TKX_API_TRACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef struct tkx__trace_file tkx__trace_file;

/* Errors: IO (the file cannot be made). */
tkx_status tkx__trace_file_open(const char *path, uint64_t max_bytes, int64_t now_us,
                                int64_t wall_ms, tkx__trace_file **out, tkx_error **err);
/* Complete and close.  Accepts NULL. */
void tkx__trace_file_close(tkx__trace_file *file, int64_t now_us);

/* A row of the picture; slices on one row nest.  Rows are used again.  -1: none is free,
   or the file is full. */
int tkx__trace_file_take_row(tkx__trace_file *file, const char *group);
void tkx__trace_file_give_row(tkx__trace_file *file, int row);

/*
 * A slice begins; false: it is not written and must not be ended.  args is the inside of
 * a JSON object, or NULL.
 */
bool tkx__trace_file_begin(tkx__trace_file *file, int row, int64_t now_us,
                           const char *name, const char *category, const char *args);
void tkx__trace_file_end(tkx__trace_file *file, int row, int64_t now_us,
                         const char *args);
/* A point in time inside a slice that has begun. */
void tkx__trace_file_point(tkx__trace_file *file, int row, int64_t now_us,
                           const char *name, const char *args);

/* An arrow from the open slice of one row to that of another: 's', 't' or 'f'. */
void tkx__trace_file_flow(tkx__trace_file *file, int row, int64_t now_us, char step,
                          uint64_t id);

/* Append "key":"text" (escaped) to what of args has been written; cut when there is no
   room.  Returns the new length. */
size_t tkx__trace_arg(char *args, size_t size, size_t at, const char *key,
                      const char *text);
size_t tkx__trace_arg_int(char *args, size_t size, size_t at, const char *key,
                          int64_t value);

#endif
