#!/bin/bash
# Steps 4 and 5 of data_prep/README.md on one machine: one process a core, handed out by xargs.
#
#   scripts/prepare_xargs.sh data/k400 [NUM_SHARDS]
#
# data/k400 holds videos/ and lists/, as steps 1 to 3 leave them; small/ is written beside them.
# Stop it at any moment and start it again: what is done stays done.
set -euo pipefail

data=${1:?usage: scripts/prepare_xargs.sh DATA [NUM_SHARDS]}
num_shards=${2:-$(nproc)}
steps=$(dirname "$0")/../data_prep
export OMP_NUM_THREADS=1

transcode=(python "$steps/transcode.py" --root "$data/videos" --output "$data/small"
    --lists "$data"/lists/{train,val,test}.csv --workers 1)
verify=(python "$steps/verify.py" --root "$data/small" --output "$data/small"
    --lists "$data"/small/lists/{train,val,test}.csv --workers 1)

for step in transcode verify; do
    declare -n command=$step
    seq 0 $((num_shards - 1)) |
        xargs -I SHARD -P "$num_shards" "${command[@]}" --shard SHARD --num-shards "$num_shards"
    "${command[@]}"  # the lists of the whole
done
