#!/usr/bin/env bash
# Ctrl-C and a job scheduler's SIGTERM end a training run cleanly: the weights are saved, the status is 130.
. "$(dirname "$0")/lib.sh"
start_server
echo '{"prompt": "a", "completion": "b"}' >"$work/data.jsonl"
mkfifo "$work/steps"

interrupt_with() { # interrupt_with SIGNAL
    # A background job of a script ignores SIGINT; a shell of its own with job control does not.
    set -m
    "$TKX_BIN/tkx" train sft --data "$work/data.jsonl" --model tkx/bytes --rank 2 --steps 1000000 \
        --lr 0.001 --batch-size 1 --save "kept-$1" --json >"$work/steps" 2>"$work/train.err" &
    local train_pid=$! line last status=0
    set +m
    exec 8<"$work/steps"
    read -r line <&8 || fail "$1: no step was printed"
    kill "-$1" "$train_pid"
    last=$line
    while read -r line <&8; do last=$line; done
    wait "$train_pid" || status=$?
    [ "$status" = 130 ] || fail "$1: the status is $status"
    case $last in
    '{"path":"tinker://'*"/kept-$1\"}") ;;
    *) fail "$1: the last line is '$last'" ;;
    esac
}

interrupt_with INT
interrupt_with TERM
stop_server
