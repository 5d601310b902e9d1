# What prepare_instance.sh and run_instance.sh share: the arguments v1 BENCHMARK ONNX VNNLIB.
[ "${1-}" = v1 ] || { echo "version: got '${1-}', expected v1" >&2; exit 1; }
[ "$#" -ge 4 ] || { echo "arguments: got $#, expected v1 BENCHMARK ONNX VNNLIB" >&2; exit 1; }
here=$(cd -- "$(dirname -- "$(realpath -- "$0")")" && pwd)
env=${SPIKECERT_ENV:-$here/.vnncomp}
network=$3 property=$4
# VNN-LIB 2.0 has a list of networks, [("name", "path"), …]; one alone is that network, of several none is known.
if [[ $network == \[* ]]; then
    network=$("$env/bin/python" -c '
import ast, sys
pairs = ast.literal_eval(sys.argv[1])
print(pairs[0][1] if len(pairs) == 1 else "several networks")' "$network") || network="no list of networks"
fi
