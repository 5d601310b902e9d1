#!/bin/bash
# Say by the status whether an instance is one for this tool.   prepare_instance.sh v1 BENCHMARK ONNX VNNLIB
set -u
. "$(dirname -- "$(realpath -- "$0")")/common.sh"
"$env/bin/spikecert" vnnlib "$network" "$property" --timeout 0.001 > /dev/null
[ $? -le 1 ]
