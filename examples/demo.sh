#!/bin/sh
# What `make demo` runs: Penstock's main job on the example documents, command by command.
set -eu
cd "$(dirname "$0")/.."
penstock=.venv/bin/penstock
export PENSTOCK_DATA="$PWD/.demo-data"
port=$(.venv/bin/python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PENSTOCK_URL="http://127.0.0.1:$port"

run() {
    printf '\n$ penstock'
    for word in "$@"; do
        case $word in *" "*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    printf '\n'
    "$penstock" "$@"
}

trap '"$penstock" down >/dev/null 2>&1 || true' EXIT
trap 'exit 130' INT TERM
"$penstock" down >/dev/null 2>&1 || true
rm -rf "$PENSTOCK_DATA"

run up --detach --port "$port"
run add examples/documents
run search "how fast may the intake gate be closed" -k 2
run search "what caused the turbine trip in March" -k 2
run search "who must sign the lock-out sheet" -k 2
run down

cat <<'END'

That was the whole of it: files in, searchable passages out. To go on with documents of your own:

    source .venv/bin/activate
    penstock up                              # in one terminal; Ctrl-C stops it, your data stays
    penstock add ~/Documents --recursive     # in another
    penstock search "what you want to know"

The HTTP API is at http://127.0.0.1:8321/docs, and README.md says the rest.
END
