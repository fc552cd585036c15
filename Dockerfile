# The submission: one image, one entry point. Targets: gpu (default; CUDA through onnxruntime) and cpu (OpenVINO).
#   make image                                 or, without the labels that say which revision this is:
#   docker build -t leanseg .                  docker build -t leanseg --target cpu .
# What of this can be relied on: docs/security.md.
ARG BASE=python:3.11-slim-bookworm

# What only building needs, none of which is copied as it is: a compiler, and the writer of the inventory.
FROM ${BASE} AS tools
COPY requirements/image.txt /tmp/requirements.txt
RUN python3 -m venv /tools && /tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt
COPY container/share_outputs.zig /tmp/
RUN cd /tmp && /tools/bin/python -m ziglang build-exe -O ReleaseSmall -fstrip -fsingle-threaded \
        -target "$(uname -m)-linux-none" -femit-bin=/usr/local/bin/share-outputs share_outputs.zig

FROM tools AS packages-cpu
COPY requirements/runtime-cpu.txt requirements/dicom.txt container/packages.sh /tmp/
RUN sh /tmp/packages.sh /packages /packages.json /tmp/runtime-cpu.txt /tmp/dicom.txt

FROM tools AS packages-gpu
COPY requirements/runtime-gpu.txt requirements/dicom.txt container/packages.sh /tmp/
RUN sh /tmp/packages.sh /packages /packages.json /tmp/runtime-gpu.txt /tmp/dicom.txt

FROM ${BASE} AS system
COPY container/slim-system.sh /tmp/
RUN sh /tmp/slim-system.sh && rm /tmp/slim-system.sh
WORKDIR /workspace
COPY model model
COPY inference inference
COPY leanseg leanseg
COPY bundles/default bundles/default
COPY predict.py predict.sh LICENSE ./
RUN python3 -m compileall -q --invalidation-mode checked-hash leanseg model inference && mkdir -p inputs outputs && chmod 777 outputs

FROM system AS inventory-cpu
COPY --from=packages-cpu /packages.json /tmp/
COPY container/inventory.py /tmp/
ARG VERSION=0.1.0
RUN python3 /tmp/inventory.py /tmp/packages.json --system / --bundle bundles/default --version "$VERSION" --output /sbom.cdx.json

FROM system AS inventory-gpu
COPY --from=packages-gpu /packages.json /tmp/
COPY container/inventory.py /tmp/
ARG VERSION=0.1.0
RUN python3 /tmp/inventory.py /tmp/packages.json --system / --bundle bundles/default --version "$VERSION" --output /sbom.cdx.json

# From nothing: what was taken out of the system lies in no layer beneath.
FROM scratch AS submission
COPY --from=system / /
COPY --from=tools /usr/local/bin/share-outputs /usr/local/bin/share-outputs
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=/opt/packages
# CAP_CHOWN and CAP_FOWNER, for predict.sh where outputs/ belongs to root; see docs/decisions/container-user.md.
RUN python3 -c "import os, struct; os.setxattr('/usr/local/bin/share-outputs', 'security.capability', struct.pack('<5I', 0x02000001, 1 << 0 | 1 << 3, 0, 0, 0))"
WORKDIR /workspace
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="LeanSeg" \
      org.opencontainers.image.description="Labels abdominal organs in CTs within a memory budget. Not a medical device." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 1000:1000
CMD ["sh", "predict.sh"]

FROM submission AS cpu
COPY --from=packages-cpu /packages /opt/packages
COPY --from=inventory-cpu /sbom.cdx.json /workspace/

FROM submission AS gpu
COPY --from=packages-gpu /packages /opt/packages
COPY --from=inventory-gpu /sbom.cdx.json /workspace/

# For grand-challenge.org: docs/grand-challenge.md.
FROM cpu AS grand-challenge
ARG RESULT=images/abdominal-organ-segmentation
ARG SOCKETS=
ENV LEANSEG_RESULT=${RESULT} LEANSEG_SOCKETS="${SOCKETS}"
CMD ["python3", "-m", "inference.grand_challenge"]

FROM gpu AS grand-challenge-gpu
ARG RESULT=images/abdominal-organ-segmentation
ARG SOCKETS=
ENV LEANSEG_RESULT=${RESULT} LEANSEG_SOCKETS="${SOCKETS}"
CMD ["python3", "-m", "inference.grand_challenge"]

# What is built without --target is the last one.
FROM gpu
