# gcvideo on NVIDIA GPUs. The wheels of PyTorch bring CUDA along; the machine brings the driver and the container toolkit.
#     docker build -f scripts/docker/cuda.Dockerfile -t gcvideo:cuda .
#     docker run --rm --gpus all --ipc host --user "$(id -u)" -v "$PWD:/data" gcvideo:cuda \
#         fit --config base+kinetics400+slow_r50+gc5 --data.root kinetics400 --run_dir runs/gc5
FROM python:3.12-slim

# Triton compiles its kernels on the machine that runs them
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/gcvideo
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt torch torchvision

COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY scripts/train_slurm.sbatch scripts/train_torchrun.sh scripts/
COPY gcvideo gcvideo
RUN pip install --no-cache-dir --constraint constraints.txt '.[export]'

ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib TRITON_CACHE_DIR=/tmp/triton
WORKDIR /data
ENTRYPOINT ["gcvideo"]
CMD ["--help"]
