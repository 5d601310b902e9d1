#!/bin/bash
# Decide an instance.   run_instance.sh v1 BENCHMARK ONNX VNNLIB RESULTS TIMEOUT
# RESULTS gets sat (with the counterexample), unsat, timeout or unknown. What is not known for sure is unknown: a
# network that spikecert did not write, a property that it can't read, and any end that was not foreseen.
set -u
. "$(dirname -- "$(realpath -- "$0")")/common.sh"
[ "$#" -eq 6 ] || { echo "arguments: got $#, expected v1 BENCHMARK ONNX VNNLIB RESULTS TIMEOUT" >&2; exit 1; }
results=$5 seconds=$6
rm -f -- "$results"
# Python and torch are loaded within the time, and the result is written: that takes the last seconds.
search=$(awk -v all="$seconds" 'BEGIN { print (all > 12 ? all - 6 : all / 2) }')
timeout --signal=KILL "$seconds" \
    "$env/bin/spikecert" vnnlib "$network" "$property" --legacy --timeout "$search" --out "$results"
status=$?
# Status 0 and 1 come with a whole file, which was renamed to its name at once; after any other nothing counts.
[ "$status" -le 1 ] && [ -s "$results" ] && exit 0
word=unknown
[ "$status" -eq 137 ] && word=timeout
echo "$word" > "$results"
