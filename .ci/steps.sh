# shellcheck shell=bash
# Steps of a run, to be sourced: each is run to its end whatever the others do, what failed is tried
# once more when all else is done, and the summary tells what each made of it.
#
#   step NAME COMMAND...    now, its output printed as it comes
#   begin NAME COMMAND...   beside the steps that follow: each tier of real servers waits for half of
#                           its time
#   collect NAME            waits for a step that was begun, and prints its output
#   finish                  the second tries and the summary; the exit code of the run
#
# A second try runs the same command, with `second_try` set to a word.

# shellcheck disable=SC2034  # read by the commands
second_try=
logs=$(mktemp -d)
steps=() # in the order in which they began
declare -A verdict seconds command begun

step() {
    local name="$1"
    add "$@"
    echo "=== $name"
    : >"$logs/$name"
    tail -n +1 -f "$logs/$name" &
    run "$name"
    sleep 0.2 # until the last line is printed
    kill $! && wait $! 2>/dev/null
    tell "$name"
}

begin() {
    local name="$1"
    add "$@"
    (
        run "$name"
        echo "${verdict[$name]} ${seconds[$name]}" >"$logs/$name.ended"
    ) &
    begun[$name]=$!
}

collect() {
    local name="$1"
    echo "=== $name"
    wait "${begun[$name]}"
    read -r "verdict[$name]" "seconds[$name]" <"$logs/$name.ended"
    cat "$logs/$name"
    tell "$name"
}

finish() {
    local name failed=0 flaky=()
    for name in "${steps[@]}"; do
        if [ "${verdict[$name]}" = FAILED ]; then
            echo "=== once more: $name"
            second_try=yes
            run "$name"
            cat "$logs/$name"
            if [ "${verdict[$name]}" = passed ]; then
                verdict[$name]=flaky
                flaky+=("$name")
            else
                failed=1
            fi
        fi
    done
    if [ ${#flaky[@]} -gt 0 ]; then
        echo "=== flaky: passed the second time; the first time it said"
        for name in "${flaky[@]}"; do cat "$logs/$name.why"; done
    fi
    if [ "$failed" != 0 ]; then
        echo "=== why"
        for name in "${steps[@]}"; do
            if [ "${verdict[$name]}" = FAILED ]; then cat "$logs/$name.why"; fi
        done
    fi
    echo "=== summary"
    for name in "${steps[@]}"; do line "$name"; done
    printf '%-16s         %4d s\n' total "$SECONDS"
    rm -rf "$logs"
    return "$failed"
}

# --- inside -----------------------------------------------------------------------------------

add() {
    steps+=("$1")
    command[$1]=$(printf '%q ' "${@:2}")
}

# Run a step's command to its end; its output goes to the step's log.
run() {
    local name="$1" start=$SECONDS
    if eval "${command[$name]}" </dev/null >"$logs/$name" 2>&1; then
        verdict[$name]=passed
    else
        verdict[$name]=FAILED
    fi
    seconds[$name]=$((SECONDS - start))
}

tell() {
    echo "=== $(line "$1")"
    if [ "${verdict[$1]}" = FAILED ]; then
        {
            echo "--- $1"
            grep -E '^(E  |FAILED |ERROR |fatal: |lint: failed|make: )' "$logs/$1" ||
                tail -n 20 "$logs/$1"
        } | cut -c 1-300 | tail -n 60 >"$logs/$1.why"
    fi
}

line() {
    printf '%-16s %-7s %4d s\n' "$1" "${verdict[$1]}" "${seconds[$1]}"
}
