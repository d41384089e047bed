# lib.sh - what the end-to-end tests share: a server of their own, and assertions.
# TKX_BIN is the folder of the programs.
set -euo pipefail
export LC_ALL=C
work=$(mktemp -d)
server_pid=
unset TINKER_BASE_URL TINKER_API_KEY TINKER_CREDENTIAL_CMD TINKER_TAGS TINKER_PROJECT_ID TINKER_TELEMETRY
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY SSL_CERT_FILE
export HOME=$work

stop_server() {
    [ -n "$server_pid" ] || return 0
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" || fail "the server ended with status $?"
    server_pid=
}

finish() {
    local status=$?
    if [ -n "$server_pid" ]; then
        kill "$server_pid" 2>/dev/null || true
        wait "$server_pid" 2>/dev/null || true
    fi
    [ $status = 0 ] || cat "$work"/*.err 2>/dev/null | tail -n 40 >&2 || true
    rm -rf "$work"
    exit $status
}
trap finish EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

start_server() { # start_server OPTION... - sets TINKER_BASE_URL and TINKER_API_KEY
    rm -f "$work/server.out"
    mkfifo "$work/server.fifo"
    "$TKX_BIN/tkx-mock-server" --port 0 --state "$work/state" "$@" >"$work/server.fifo" 2>"$work/server.err" &
    server_pid=$!
    exec 9<"$work/server.fifo"
    rm "$work/server.fifo"
    local line=
    read -r line <&9 || fail "the server said nothing"
    case $line in
    "listening on http://127.0.0.1:"*) ;;
    *) fail "the server's first line is '$line'" ;;
    esac
    export TINKER_BASE_URL=${line#listening on } TINKER_API_KEY=tml-test
}

# run STATUS COMMAND... - runs it; stdout and stderr are left in $work/out.txt and $work/err.txt
run() {
    local expected=$1 status=0
    shift
    timeout -k 5 "${RUN_SECONDS:-600}" "$@" >"$work/out.txt" 2>"$work/err.txt" </dev/null || status=$?
    if [ "$status" != "$expected" ]; then
        cat "$work/out.txt" "$work/err.txt" >&2
        fail "expected status $expected, got $status: $*"
    fi
}

says() { # says TEXT - the last run's stderr contains it
    grep -qF -- "$1" "$work/err.txt" || {
        cat "$work/err.txt" >&2
        fail "stderr does not say '$1'"
    }
}

prints() { # prints REGEX - the last run's stdout contains it
    grep -qE -- "$1" "$work/out.txt" || {
        cat "$work/out.txt" >&2
        fail "stdout has no '$1'"
    }
}

json_text() { # json_text KEY < line - a plain text value of a one-line object
    sed -n 's/.*"'"$1"'":"\(\([^"\\]\|\\.\)*\)".*/\1/p' | head -n 1
}
