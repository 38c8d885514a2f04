# syntax=docker/dockerfile:1
#
#   docker build --target throughline     -t throughline .          every service of Throughline's own
#   docker build --target triton          -t throughline-triton .   Triton, for GPUs and for CPUs
#   docker build --target models-tensorrt -t throughline-models .   makes TensorRT plans, on the GPU that will serve

ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
# Plans are only good for the TensorRT that made them: both images must be of one release.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.12-py3
ARG TENSORRT_IMAGE=nvcr.io/nvidia/tensorrt:25.12-py3


FROM ${PYTHON_IMAGE} AS locked
RUN pip install --no-cache-dir uv==0.13.8
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /opt/throughline
COPY pyproject.toml uv.lock README.md LICENSE ./
# The packages first: they change less often than the code.
RUN uv sync --frozen --no-dev --no-install-project
COPY services services
RUN uv sync --frozen --no-dev --no-editable


FROM ${PYTHON_IMAGE} AS throughline
LABEL org.opencontainers.image.title="Throughline" \
      org.opencontainers.image.description="Finds one person across all cameras of a store and films their whole way through it." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 throughline \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin throughline \
 && install -d -o throughline -g throughline /var/cache/throughline
COPY --from=locked /opt/throughline/.venv /opt/throughline/.venv
ENV PATH=/opt/throughline/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    THROUGHLINE_CACHE_DIR=/var/cache/throughline \
    THROUGHLINE_LISTEN=0.0.0.0:7400 \
    THROUGHLINE_METRICS_LISTEN=0.0.0.0:9464
WORKDIR /var/cache/throughline
USER 10001:10001
EXPOSE 7400 9464
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["throughline", "healthy"]
ENTRYPOINT ["throughline"]
CMD ["--help"]


FROM ${TRITON_IMAGE} AS triton
LABEL org.opencontainers.image.title="Triton for Throughline" \
      org.opencontainers.image.description="Triton Inference Server with ONNX Runtime in its Python backend, for models on the CPU." \
      org.opencontainers.image.licenses="BSD-3-Clause"
COPY services/throughline/perception/triton/requirements.txt /tmp/requirements.txt
# nvidia-pytriton stands there for its server binary, which this image has of its own.
RUN grep -v '^nvidia-pytriton==' /tmp/requirements.txt > /tmp/backend.txt \
 && pip install --no-cache-dir --no-deps --break-system-packages -r /tmp/backend.txt \
 && rm /tmp/requirements.txt /tmp/backend.txt
USER 1000:1000
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=5)"]
CMD ["tritonserver", "--model-repository=/models"]


FROM ${TENSORRT_IMAGE} AS models-tensorrt
LABEL org.opencontainers.image.title="Model builder of Throughline" \
      org.opencontainers.image.description="Makes TensorRT plans of ONNX weights, on the GPU that will serve." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN pip install --no-cache-dir --break-system-packages uv==0.13.8
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /opt/throughline
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY services services
RUN uv sync --frozen --no-dev --no-editable
ENV PATH=/opt/throughline/.venv/bin:$PATH
USER 1000:1000
ENTRYPOINT ["throughline", "models"]
CMD ["build", "--help"]
