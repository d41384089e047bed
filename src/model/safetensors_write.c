/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_write.c - composing a header and passing the data on behind it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/safetensors.h"

#define MAX_HEADER_BYTES ((size_t)100 << 20) /* what readers accept */

static void put_text(tkx__buf *json, const char *text)
{
    tkx__buf_putc(json, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            tkx__buf_printf(json, "\\%c", *p);
        else if (*p < 0x20)
            tkx__buf_printf(json, "\\u%04x", *p);
        else
            tkx__buf_putc(json, (char)*p);
    }
    tkx__buf_putc(json, '"');
}

static void put_metadata(tkx__buf *json, const tkx__safetensors_pair *metadata, size_t n)
{
    tkx__buf_puts(json, "\"__metadata__\":{");
    for (size_t i = 0; i < n; i++) {
        if (i)
            tkx__buf_putc(json, ',');
        put_text(json, metadata[i].key);
        tkx__buf_putc(json, ':');
        put_text(json, metadata[i].value);
    }
    tkx__buf_putc(json, '}');
}

static void put_tensor(tkx__buf *json, const tkx__tensor *tensor, size_t start)
{
    if (json->size > 1)
        tkx__buf_putc(json, ',');
    put_text(json, tensor->name);
    tkx__buf_printf(json, ":{\"dtype\":\"%s\",\"shape\":[",
                    tkx__dtype_name(tensor->dtype));
    for (size_t d = 0; d < tensor->n_dims; d++)
        tkx__buf_printf(json, d ? ",%zu" : "%zu", tensor->dims[d]);
    tkx__buf_printf(json, "],\"data_offsets\":[%zu,%zu]}", start,
                    start + tensor->size_bytes);
}

/* Measured copies, the wider types first. */
static tkx_status arrange(const tkx__tensor *tensors, size_t n, tkx__tensor *order,
                          tkx_error **err)
{
    size_t at = 0;

    for (unsigned width = 8; width >= 1; width /= 2) {
        for (size_t i = 0; i < n; i++) {
            const tkx__dtype_info *info = tkx__dtype_get(tensors[i].dtype);

            if (info->alignment != width)
                continue;
            order[at] = tensors[i];
            if (!info->in_safetensors || !tkx__tensor_measure(&order[at]))
                return tkx__fail(
                    err, TKX_ERR_INVALID_ARGUMENT,
                    "tensor '%.200s' of type %s cannot be written as safetensors",
                    tensors[i].name, info->name);
            at++;
        }
    }
    return TKX_OK;
}

static tkx_status compose(tkx__buf *json, const tkx__tensor *order, size_t n,
                          const tkx__safetensors_pair *metadata, size_t n_metadata,
                          tkx_error **err)
{
    size_t start = 0;

    tkx__buf_putc(json, '{');
    if (n_metadata)
        put_metadata(json, metadata, n_metadata);
    for (size_t i = 0; i < n; i++) {
        size_t end;

        if (!tkx__add(start, order[i].size_bytes, &end))
            return tkx__fail(err, TKX_ERR_LIMIT,
                             "the tensors are too large for one file");
        put_tensor(json, &order[i], start);
        start = end;
    }
    tkx__buf_putc(json, '}');
    while (json->size % 8 != 0 && json->status == TKX_OK)
        tkx__buf_putc(json, ' ');
    if (json->status != TKX_OK)
        return tkx__fail(err, json->status, "compose the header of a safetensors file");
    return TKX_OK;
}

tkx_status tkx__safetensors_write(const tkx__tensor *tensors, size_t n_tensors,
                                  const tkx__safetensors_pair *metadata,
                                  size_t n_metadata, tkx__write_fn *write, void *ctx,
                                  tkx_error **err)
{
    tkx__tensor *order = tkx__calloc(n_tensors + 1, sizeof *order);
    tkx__buf json;
    tkx_status st;
    uint64_t size;

    if (!order)
        return tkx__fail_memory(err);
    tkx__buf_init(&json, MAX_HEADER_BYTES);
    st = arrange(tensors, n_tensors, order, err);
    if (st == TKX_OK)
        st = compose(&json, order, n_tensors, metadata, n_metadata, err);
    size = json.size;
    if (st == TKX_OK)
        st = write(ctx, &size, sizeof size, err);
    if (st == TKX_OK)
        st = write(ctx, json.data, json.size, err);
    for (size_t i = 0; i < n_tensors && st == TKX_OK; i++) {
        if (order[i].size_bytes)
            st = write(ctx, order[i].data, order[i].size_bytes, err);
    }
    tkx__buf_clear(&json);
    tkx__free(order);
    return st;
}

tkx_status tkx__write_to_buf(void *ctx, const void *bytes, size_t n, tkx_error **err)
{
    tkx__buf *buf = ctx;

    tkx__buf_append(buf, bytes, n);
    if (buf->status != TKX_OK)
        return tkx__fail(err, buf->status, "keep %zu bytes of a safetensors file", n);
    return TKX_OK;
}

tkx_status tkx__write_to_fd(void *ctx, const void *bytes, size_t n, tkx_error **err)
{
    const int fd = *(const int *)ctx;
    const char *p = bytes;

    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return tkx__fail_errno(err, errno, "write a safetensors file");
        p += done;
        n -= (size_t)done;
    }
    return TKX_OK;
}
