#!/bin/bash
# Training on every GPU of one machine, or of several: the same line on each of them.
#
#   scripts/train_torchrun.sh --config ... --run_dir runs/k400
#   NNODES=4 RDZV_ENDPOINT=node0:29400 scripts/train_torchrun.sh --config ... --run_dir runs/k400
#   PREFLIGHT=1 NNODES=4 RDZV_ENDPOINT=...     the same, to check the machines and not to train
#
# All arguments go to `gcvideo fit --resume auto`: when a process dies, torchrun starts all of them again and
# they go on from the newest whole checkpoint; so does the same line typed again. run_dir must be a folder
# that every machine sees.
#
#   NNODES           machines (1)
#   RDZV_ENDPOINT    HOST:PORT where they meet: one of these machines, a free port; needed for more than one
#   RDZV_ID          name of the rendezvous, the same on all machines (gcvideo)
#   NPROC_PER_NODE   processes on each machine (its GPUs, or 1 where there is none)
#   MAX_RESTARTS     how often processes are started again (10)
set -euo pipefail

nnodes=${NNODES:-1}
if ((nnodes == 1)); then
    rendezvous=(--standalone)
else
    : "${RDZV_ENDPOINT:?NNODES is $nnodes; set it to HOST:PORT of one of the machines, the same on all}"
    rendezvous=(--rdzv-backend c10d --rdzv-endpoint "$RDZV_ENDPOINT" --rdzv-id "${RDZV_ID:-gcvideo}")
fi
processes=${NPROC_PER_NODE:-$(python -c 'import torch; print(max(torch.cuda.device_count(), 1))')}
if [[ ${PREFLIGHT:-} ]]; then
    command=(preflight --resume auto) restarts=0
else
    command=(fit --resume auto) restarts=${MAX_RESTARTS:-10}
fi

# Else all attempts share one store, and a process that is started again may call a dead one's address.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=${TORCH_DISABLE_SHARE_RDZV_TCP_STORE:-1}

exec torchrun "${rendezvous[@]}" --nnodes "$nnodes" --nproc-per-node "$processes" --max-restarts "$restarts" \
    --no-python gcvideo "${command[@]}" \
    "$@" --trainer.num_nodes "$nnodes" --trainer.devices "$processes"
