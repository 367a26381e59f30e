# gcvideo on processors, in about 2 GB: predict, prepare Kinetics, try things out. From the root of the project:
#     docker build -f scripts/docker/cpu.Dockerfile -t gcvideo:cpu .
#     docker run --rm --user "$(id -u)" -v "$PWD:/data" gcvideo:cpu predict clips/ --checkpoint best.ckpt
FROM python:3.12-slim

# PyTorch's wheels without CUDA, which its index for processors has
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /opt/gcvideo
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --index-url "$TORCH_INDEX" torch torchvision

COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY scripts/train_slurm.sbatch scripts/train_torchrun.sh scripts/
COPY gcvideo gcvideo
RUN pip install --no-cache-dir --constraint constraints.txt '.[export]'

# Whoever runs it: what libraries write beside their settings has a place
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["gcvideo"]
CMD ["--help"]
