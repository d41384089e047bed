#!/usr/bin/env bash
# Ctrl-C ends a training run cleanly: the weights are saved, the status is 130.
. "$(dirname "$0")/lib.sh"
start_server
echo '{"prompt": "a", "completion": "b"}' >"$work/data.jsonl"

mkfifo "$work/steps"
# A background job of a script ignores SIGINT; a shell of its own with job control does not.
set -m
"$TKX_BIN/tkx" train sft --data "$work/data.jsonl" --model tkx/bytes --rank 2 --steps 1000000 --lr 0.001 \
    --batch-size 1 --save kept --json >"$work/steps" 2>"$work/train.err" &
train_pid=$!
set +m
exec 8<"$work/steps"
read -r line <&8 || fail "no step was printed"
kill -INT "$train_pid"
last=$line
while read -r line <&8; do last=$line; done
status=0
wait "$train_pid" || status=$?
[ "$status" = 130 ] || fail "the status is $status"
case $last in
'{"path":"tinker://'*'/kept"}') ;;
*) fail "the last line is '$last'" ;;
esac
stop_server
