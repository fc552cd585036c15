# The submission: one image, one entry point. Targets: gpu (default; CUDA through onnxruntime) and cpu (OpenVINO).
#   docker build -t leanseg .                  docker build -t leanseg --target cpu .
ARG BASE=python:3.11-slim-bookworm
# OpenVINO's front ends and device plug-ins that ONNX on a CPU never loads.
ARG UNUSED="include cmake libs/cache.json libs/*_gpu_* libs/*_npu_* libs/*_gguf_* libs/*_tensorflow_* libs/*_pytorch_* libs/*_paddle_* libs/*_jax_*"

FROM ${BASE} AS submission
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=/opt/packages HOME=/tmp
# A second name for the interpreter that may write where the default user may not: organisers' scripts often make
# outputs/ as root. predict.sh uses it only then; see docs/decisions/container-user.md. 1 << 1 is CAP_DAC_OVERRIDE.
RUN python="$(readlink -f "$(command -v python3)")" && cp "$python" "${python%/*}/python3-outputs" && \
    python3 -c "import os, struct, sys; os.setxattr(sys.argv[1], 'security.capability', struct.pack('<5I', 0x02000001, 1 << 1, 0, 0, 0))" \
        "${python%/*}/python3-outputs"
WORKDIR /workspace
COPY model model
COPY inference inference
COPY leanseg leanseg
COPY bundles/default bundles/default
COPY predict.py predict.sh LICENSE ./
RUN python3 -m compileall -q . && mkdir -p inputs outputs && chmod 777 outputs
USER 1000:1000
CMD ["sh", "predict.sh"]

# --no-deps: the lists are complete, and leave OpenVINO's telemetry out. Hashes: nothing but what was tested gets in.
FROM ${BASE} AS packages-cpu
COPY requirements/runtime-cpu.txt requirements/dicom.txt /tmp/
RUN pip install --no-cache-dir --no-deps --require-hashes --target /packages -r /tmp/runtime-cpu.txt -r /tmp/dicom.txt
ARG UNUSED
RUN cd /packages/openvino && rm -rf $UNUSED

FROM submission AS cpu
COPY --from=packages-cpu /packages /opt/packages

FROM ${BASE} AS packages-gpu
COPY requirements/runtime-gpu.txt requirements/dicom.txt /tmp/
RUN pip install --no-cache-dir --no-deps --require-hashes --target /packages -r /tmp/runtime-gpu.txt -r /tmp/dicom.txt
ARG UNUSED
RUN cd /packages/openvino && rm -rf $UNUSED

FROM submission AS gpu
COPY --from=packages-gpu /packages /opt/packages
