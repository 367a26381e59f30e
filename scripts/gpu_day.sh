#!/bin/sh
# All that is to be measured on a GPU, in 25 minutes: scripts/gpu_day.sh OUT [--wheels FOLDER] [gpu_day.py's options].
# Python and torch are those of the machine (PYTHON, python3 if unset); what they lack comes from FOLDER, without a
# network, into GPU_DAY_ENVIRONMENT (OUT/environment if unset).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
case ${1:--h} in
-h | --help) cd "$here/scripts" && exec "$python" gpu_day.py --help ;;
esac
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
environment=${GPU_DAY_ENVIRONMENT:-$out/environment}
if [ "${1:-}" = --wheels ]; then
    wheels=$2
    shift 2
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --upgrade \
        --target "$environment" "$wheels"/*.whl
fi
export PYTHONPATH="$here:$here/scripts:$environment${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" "$here/scripts/gpu_day.py" "$out" "$@"
