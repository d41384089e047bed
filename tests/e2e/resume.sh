#!/usr/bin/env bash
# tkx train sft --run-dir: killed at chosen points and run again, it ends with the weights of a run that
# nobody touched; what was begun otherwise is refused; a finished run says so.
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || exit 77
start_server
for i in 1 2 3 4 5; do echo "{\"prompt\": \"question $i\", \"completion\": \"answer $i\"}"; done >"$work/data.jsonl"

train() { # train NAME OPTION...
    local name=$1
    shift
    echo train sft --data "$work/data.jsonl" --model tkx/bytes --rank 2 --seed 7 --steps 12 --lr 0.003 \
        --batch-size 2 --save-every 4 --save "$name" --run-dir "$work/$name" "$@"
}

scenario() { # scenario JSON - the server's faults from now on
    curl -sf -H 'X-API-Key: tml-test' -d "{\"rules\":[$1]}" "$TINKER_BASE_URL/mock/scenario" >"$work/curl.out"
}

applied() { # how many operations the server has carried out
    curl -sf -H 'X-API-Key: tml-test' "$TINKER_BASE_URL/mock/journal" | grep -o '"op"' | wc -l
}

# shellcheck disable=SC2046
run 0 "$TKX_BIN/tkx" $(train calm)
before=$(applied)

# kill_at N RULE - with that fault, until the server has carried out N more operations of this run.
kill_at() {
    local wanted=$((before + $1))
    scenario "$2"
    # shellcheck disable=SC2046
    "$TKX_BIN/tkx" $(train stormy) >"$work/out.txt" 2>"$work/killed.err" </dev/null &
    client=$!
    while [ "$(applied)" -lt "$wanted" ]; do kill -0 "$client" || fail "the run ended by itself"; done
    kill -KILL "$client"
    wait "$client" 2>/dev/null || true
    scenario ''
}

stall() { # stall ROUTE NTH PHASE
    echo "{\"route\":\"POST /$1\",\"nth\":[$2],\"phase\":\"$3\",\"fault\":\"stall\",\"ms\":60000}"
}

kill_at 1 "$(stall create_model 1 after)"              # a model that nobody heard of
kill_at 2 "$(stall forward_backward 1 after)"          # done, and not answered
kill_at 5 "$(stall retrieve_future 6 after)"           # answered, and the result on its way
kill_at 9 "$(stall optim_step 4 after)"
kill_at 10 "$(stall save_weights 1 after)"             # during a save
kill_at 12 "$(stall forward_backward 4 before)"        # on its way to the service
run 1 "$TKX_BIN/tkx" $(train stormy --lr 0.1)
says "was begun with another --lr"
echo '{"prompt": "x", "completion": "y"}' >>"$work/data.jsonl"
run 1 "$TKX_BIN/tkx" $(train stormy)
says "was begun with another --data"
sed -i '$d' "$work/data.jsonl"
kill_at 28 "$(stall save_weights_for_sampler 1 after)" # during the last save
run 0 "$TKX_BIN/tkx" $(train stormy)
says "resumed"
prints '^saved tinker://.*/stormy$'
[ "$(applied)" = $((2 * before)) ] || fail "$(applied) operations in two runs of $before"
run 0 "$TKX_BIN/tkx" $(train stormy --json)
prints '^{"path":"tinker://.*/stormy"}$'
stormy=$(json_text path <"$work/out.txt")
run 0 "$TKX_BIN/tkx" $(train calm --json)
calm=$(json_text path <"$work/out.txt")

for name in calm stormy; do
    run 0 "$TKX_BIN/tkx" checkpoint download "${!name}" -o "$work/got-$name"
done
cmp "$work"/got-calm/*/adapter_model.safetensors "$work"/got-stormy/*/adapter_model.safetensors ||
    fail "the weights differ"

# Ctrl-C keeps the state; the same command goes on.
set -m
"$TKX_BIN/tkx" $(train third --json) >"$work/third.out" 2>"$work/third.err" </dev/null &
client=$!
set +m
until grep -s -q step "$work/third.out"; do kill -0 "$client" || fail "the run ended by itself"; done
kill -INT "$client"
status=0
wait "$client" || status=$?
if [ "$status" = 130 ]; then
    run 0 "$TKX_BIN/tkx" $(train third)
    says "resumed"
else
    [ "$status" = 0 ] || fail "the status is $status"
fi

# A journal of something else is an error.
mkdir "$work/foreign"
echo "not a database" >"$work/foreign/journal.sqlite"
run 1 "$TKX_BIN/tkx" $(train foreign)
says "not a journal"
stop_server
