/* SPDX-License-Identifier: Apache-2.0 */
/* util.c - small things that need the operating system or libcrypto. */
#include "mock_server/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t mock_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t mock_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

static void split_time(int64_t ms, struct tm *tm, int *fraction_ms)
{
    time_t seconds = (time_t)(ms / 1000);
    *fraction_ms = (int)(ms % 1000);
    if (*fraction_ms < 0) {
        *fraction_ms += 1000;
        seconds--;
    }
    gmtime_r(&seconds, tm);
}

void mock_time_text(int64_t ms, char out[MOCK_TIME_SIZE])
{
    struct tm tm;
    char text[MOCK_TIME_SIZE];
    int fraction;
    split_time(ms, &tm, &fraction);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, MOCK_TIME_SIZE, "%.24s.%03d000Z", text, fraction);
}

void mock_http_date(int64_t ms, char out[MOCK_TIME_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    int fraction;
    split_time(ms, &tm, &fraction);
    snprintf(out, MOCK_TIME_SIZE, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT",
             days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Z, +hh:mm or nothing; minutes east of UTC. */
static bool parse_zone(const char *text, int *minutes)
{
    int hh, mm, n = 0;
    *minutes = 0;
    if (!*text || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if ((*text != '+' && *text != '-' && *text != ' ') ||
        sscanf(text + 1, "%2d:%2d%n", &hh, &mm, &n) != 2 || text[1 + n])
        return false;
    *minutes = (hh * 60 + mm) * (*text == '-' ? -1 : 1); /* a blank was a plus */
    return true;
}

bool mock_parse_time(const char *text, int64_t *ms)
{
    struct tm tm = {0};
    int n = 0, fraction = 0, scale = 100, zone;
    if (!text ||
        sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &n) != 3)
        return false;
    text += n;
    if (*text == 'T' || *text == 't') {
        if (sscanf(text + 1, "%2d:%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) !=
            3)
            return false;
        text += 1 + n;
    }
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9'; text++, scale /= 10)
            fraction += (*text - '0') * scale;
    if (!parse_zone(text, &zone))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ms = ((int64_t)timegm(&tm) - (int64_t)zone * 60) * 1000 + fraction;
    return true;
}

bool mock_has_word(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; text && *text; text++)
        if (strncasecmp(text, part, n) == 0)
            return true;
    return false;
}

void mock_random(void *to, size_t n)
{
    if (RAND_bytes(to, (int)n) != 1)
        abort(); /* a machine without randomness cannot sign or name anything */
}

void mock_uuid(char out[MOCK_UUID_SIZE])
{
    unsigned char b[16];
    mock_random(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    snprintf(out, MOCK_UUID_SIZE,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
             b[13], b[14], b[15]);
}

static void put_hex(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = '\0';
}

void mock_sha256_hex(const void *bytes, size_t n, char out[MOCK_SHA_SIZE])
{
    unsigned char digest[32] = {0};
    unsigned int size = sizeof digest;
    EVP_Digest(bytes ? bytes : "", n, digest, &size, EVP_sha256(), NULL);
    put_hex(digest, sizeof digest, out);
}

void mock_base64url(const void *bytes, size_t n, char *out)
{
    size_t size = tkx__base64_size(n);
    tkx__base64_encode(bytes, n, out);
    while (size && out[size - 1] == '=')
        size--;
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    out[size] = '\0';
}

static tkx_status write_all(int fd, const char *data, size_t size, const char *path,
                            tkx_error **err)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tkx__fail_errno(err, errno, "write %s", path);
        data += n;
        size -= (size_t)n;
    }
    if (fsync(fd) != 0)
        return tkx__fail_errno(err, errno, "sync %s", path);
    return TKX_OK;
}

tkx_status mock_write_file(const char *path, const void *data, size_t size,
                           tkx_error **err)
{
    char temp[4096];
    tkx_status st;
    int fd;
    if ((size_t)snprintf(temp, sizeof temp, "%s.tmp", path) >= sizeof temp)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "path too long: %s", path);
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return tkx__fail_errno(err, errno, "create %s", temp);
    st = write_all(fd, data, size, temp, err);
    close(fd);
    if (st == TKX_OK && rename(temp, path) != 0)
        st = tkx__fail_errno(err, errno, "rename %s", temp);
    if (st != TKX_OK)
        unlink(temp);
    return st;
}

tkx_status mock_read_file(const char *path, char **data, size_t *size, tkx_error **err)
{
    struct stat sb;
    char *bytes = NULL;
    size_t have = 0;
    tkx_status st = TKX_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &sb) != 0) {
        st = tkx__fail_errno(err, errno, "open %s", path);
        goto done;
    }
    bytes = tkx__malloc((size_t)sb.st_size + 1);
    if (!bytes) {
        st = tkx__fail_memory(err);
        goto done;
    }
    while (have < (size_t)sb.st_size) {
        ssize_t n = read(fd, bytes + have, (size_t)sb.st_size - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            st = tkx__fail_errno(err, n ? errno : EIO, "read %s", path);
            goto done;
        }
        have += (size_t)n;
    }
    bytes[have] = '\0';
    *data = bytes;
    *size = have;
    bytes = NULL;
done:
    tkx__free(bytes);
    if (fd >= 0)
        close(fd);
    return st;
}
