#!/usr/bin/env bash
# A watched run: metrics, trace, recording and budget; then the same run from the recording,
# with no server.
. "$(dirname "$0")/lib.sh"
start_server

cat >"$work/data.jsonl" <<'DATA'
{"prompt": "colour of the sky?", "completion": " blue"}
{"prompt": "colour of grass?", "completion": " green"}
DATA
train=("$TKX_BIN/tkx" train sft --data "$work/data.jsonl" --model tkx/bytes --rank 8 --steps 12 --lr 0.003
    --batch-size 2 --save colours --json)
echo '{"currency": "EUR", "models": {"tkx/bytes": {"prefill": 1, "sample": 2, "train": 3}}}' >"$work/prices.json"

export TINKER_API_KEY=tml-watched-secret
run 0 "${train[@]}" --metrics "$work/metrics" --trace "$work/trace" --record "$work/tape" --prices "$work/prices.json" \
    --traceparent new
cp "$work/out.txt" "$work/trained.txt"
grep -q 'tokens: [0-9]* train; cost: [0-9.]* EUR' "$work/err.txt" || fail "no summary: $(cat "$work/err.txt")"

grep -q '^tkx_operations_total{operation="forward_backward",outcome="ok"} 12$' "$work/metrics" ||
    fail "12 steps are not in the metrics"
grep -q '^tkx_operation_duration_quantile_seconds{operation="optim_step",quantile="0.99"} ' "$work/metrics" ||
    fail "no quantiles"
grep -q '^tkx_tokens_total{model="tkx/bytes",kind="train"} [1-9]' "$work/metrics" || fail "no tokens in the metrics"

# test_observe.c looks closer.
! command -v python3 >/dev/null || python3 - "$work/trace" <<'PY' || fail "the trace does not nest"
import json, sys
rows, names, last = {}, set(), {}
for e in json.load(open(sys.argv[1])):
    if e["ph"] not in "BE":
        continue
    assert e["ts"] >= last.get(e["tid"], 0), "time goes back"
    last[e["tid"]] = e["ts"]
    row = rows.setdefault(e["tid"], [])
    if e["ph"] == "B":
        row.append(e["name"])
        names.add("/".join(row))
    else:
        row.pop()
assert not any(rows.values()), "slices are open"
for want in ("forward_backward/submit/forward_backward", "forward_backward/wait/retrieve_future",
             "forward_backward/decode", "optim_step/queued: turn", "create_session/create_session"):
    assert want in names, want
PY

for file in metrics trace tape; do
    ! grep -q 'tml-watched\|eyJ' "$work/$file" || fail "a secret is in $file"
done
[ "$(stat -c %a "$work/tape")" = 600 ] || fail "others may read the recording"

stop_server
unset TINKER_API_KEY TINKER_BASE_URL
run 0 "${train[@]}" --replay "$work/tape"
cmp "$work/trained.txt" "$work/out.txt" || fail "the replay gave other results"
[ ! -s "$work/err.txt" ] || fail "the replay complains: $(cat "$work/err.txt")"

run 1 "${train[@]}" --replay "$work/tape" --steps 13
grep -q 'is not what was recorded' "$work/err.txt" || fail "the mismatch is not told: $(cat "$work/err.txt")"

# The budget stops a run before its first step; nothing is sent, so no server is asked for it.
start_server
run 1 "${train[@]}" --budget-tokens 5
grep -q 'budget: this call may use' "$work/err.txt" || fail "the budget is not told: $(cat "$work/err.txt")"
run 2 "${train[@]}" --budget-cost 1
run 2 "${train[@]}" --record a --replay b
stop_server
