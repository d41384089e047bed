#!/usr/bin/env bash
# The main job over TLS and HTTP/2: nghttpx with a private authority in front of the server.
# Skipped (77) where nghttpx or openssl is absent.
command -v nghttpx >/dev/null && command -v openssl >/dev/null || exit 77
. "$(dirname "$0")/lib.sh"
proxy_pid=
stop_proxy() {
    [ -n "$proxy_pid" ] || return 0
    kill "$proxy_pid" 2>/dev/null || true
    wait "$proxy_pid" 2>/dev/null || true
    proxy_pid=
}
trap 'stop_proxy; finish' EXIT

make_certificates() { # an authority, another one, and certificates of the first
    local key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' ca days
    for ca in ca other; do
        openssl req -x509 $key -keyout "$work/$ca.key" -out "$work/$ca.pem" -days 2 -subj "/CN=test $ca"
    done
    openssl req $key -keyout "$work/srv.key" -out "$work/srv.csr" -subj /CN=localhost
    echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >"$work/ext"
    for days in 2 -1; do
        openssl x509 -req -in "$work/srv.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial \
            -out "$work/srv$days.pem" -days "$days" -extfile "$work/ext"
    done
}

start_proxy() { # start_proxy CERTIFICATE - sets TINKER_BASE_URL; a port that is taken: another one
    local port line try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + RANDOM % 30000))
        rm -f "$work/proxy.fifo"
        mkfifo "$work/proxy.fifo"
        nghttpx --conf=/dev/null "-f127.0.0.1,$port" "-b127.0.0.1,${backend##*:}" -n1 --no-ocsp --single-process \
            -LNOTICE --errorlog-file=/dev/stderr --accesslog-file="$work/access.log" \
            --accesslog-format='$remote_port $alpn $request' \
            --frontend-http2-window-size=16M --frontend-http2-connection-window-size=16M \
            "$work/srv.key" "$work/$1" 2>"$work/proxy.fifo" &
        proxy_pid=$!
        exec 8<"$work/proxy.fifo"
        while read -r line <&8; do
            case $line in
            *"Listening on"*)
                cat <&8 >/dev/null & # so that a full pipe never holds it up
                export TINKER_BASE_URL=https://localhost:$port
                return
                ;;
            esac
        done
        stop_proxy
    done
    fail "nghttpx does not start"
}

make_certificates >"$work/openssl.err" 2>&1
start_server
backend=$TINKER_BASE_URL
start_proxy srv2.pem
export SSL_CERT_FILE=$work/ca.pem

printf '%s\n' '{"prompt": "colour of grass?", "completion": " green"}' >"$work/data.jsonl"
run 0 "$TKX_BIN/tkx" train sft --data "$work/data.jsonl" --model tkx/bytes --rank 8 --steps 40 --lr 0.003 \
    --batch-size 1 --save colours --json
path=$(tail -n 1 "$work/out.txt" | json_text path)
run 0 "$TKX_BIN/tkx" sample --model-path "$path" --prompt "colour of grass?" --max-tokens 8 --temperature 0 --json
[ "$(json_text text <"$work/out.txt")" = " green" ] || fail "it says $(cat "$work/out.txt")"

# Every request was HTTP/2, and one connection carried all the passes and steps.
stop_proxy
grep -qv ' h2 ' "$work/access.log" && fail "not all was HTTP/2: $(grep -v ' h2 ' "$work/access.log" | head -n 3)"
n_streams=$(grep -cE 'POST /api/v1/(forward_backward|optim_step) ' "$work/access.log")
n_connections=$(grep -E 'POST /api/v1/(forward_backward|optim_step) ' "$work/access.log" | cut -d' ' -f1 | sort -u | wc -l)
[ "$n_streams" -ge 80 ] || fail "only $n_streams passes and steps"
[ "$n_connections" = 1 ] || fail "$n_connections connections for $n_streams passes and steps"

# Another authority, no authority, another name, an old certificate: said clearly, and nothing was sent.
rm -f "$work/access.log"
start_proxy srv2.pem
SSL_CERT_FILE=$work/other.pem run 1 "$TKX_BIN/tkx" sample --base-model tkx/bytes --prompt x --max-tokens 1
says "certificate is not trusted"
says "ca_file"
SSL_CERT_FILE=$work/none.pem run 1 "$TKX_BIN/tkx" sample --base-model tkx/bytes --prompt x --max-tokens 1
says "authorities"
stop_proxy
start_proxy srv-1.pem
run 1 "$TKX_BIN/tkx" sample --base-model tkx/bytes --prompt x --max-tokens 1
says "certificate"
grep -qi "expired" "$work/err.txt" || fail "nothing about an expired certificate: $(cat "$work/err.txt")"
stop_proxy
[ ! -s "$work/access.log" ] || fail "something was sent: $(cat "$work/access.log")"
stop_server
