#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh COMPILER EMULATOR SOURCE_DIR BUILD_DIR - build the kernels for another
# architecture and run their tests under emulation.
set -eu
cc=$1 emulator=$2 src=$3 out=$4
mkdir -p "$out"
flags="-std=c11 -O2 -ffp-contract=off -Wall -Wextra -Werror -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE
    -DTKX_VERSION_STRING=\"0\" -I$src/tests/unit/infer/cross -I$src/include -I$src/src -I$src/tests"
k=$src/src/infer/kernels
for t in test_matmul test_attention test_rows; do
    # shellcheck disable=SC2086
    "$cc" $flags -static -o "$out/$t" "$src/tests/unit/infer/$t.c" "$src/tests/unit/infer/weights.c" \
        "$k/attention.c" "$k/matmul.c" "$k/neon.c" "$k/qblock.c" "$k/rows.c" "$k/scalar.c" "$k/select.c" "$k/strips.c" \
        "$k/work.c" "$src/src/infer/threads.c" "$src/src/infer/core_share.c" "$src/src/infer/hw_limits.c" \
        "$src/src/model/blocks.c" "$src/src/model/dtype.c" \
        "$src/src/base/error.c" "$src/src/base/mem.c" "$src/src/base/status.c" -lm -lpthread
    "$emulator" "$out/$t"
done
