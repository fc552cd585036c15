#!/bin/sh
# Installs the Python packages of the submission, lists them, takes out what predict.py never loads, and compiles the rest:
# `packages.sh FOLDER INVENTORY.json REQUIREMENTS...`. Run while the image is built.
set -eu
folder=$1 inventory=$2
shift 2

python3 -m venv --without-pip /env
# --no-deps: the lists are complete, and leave OpenVINO's telemetry out. Hashes: nothing but what was tested gets in.
for list; do set -- "$@" -r "$list"; shift; done
pip --python /env/bin/python install --no-cache-dir --no-compile --no-deps --require-hashes "$@"
/tools/bin/cyclonedx-py environment --output-reproducible --of JSON -o "$inventory" /env/bin/python
mv /env/lib/python3*/site-packages "$folder"
cd "$folder"

# OpenVINO's front ends and plug-ins for what is not an ONNX file on a processor.
(cd openvino && rm -rf include cmake tools torch frontend/jax frontend/paddle frontend/pytorch frontend/tensorflow libs/cache.json \
    libs/*_gpu_* libs/*_npu_* libs/*_gguf_* libs/*_tensorflow_* libs/*_pytorch_* libs/*_paddle_* libs/*_jax_*)
# onnxruntime's converters, and the library for other languages, which the Python module holds once more.
(cd onnxruntime && rm -rf backend datasets quantization tools transformers capi/libonnxruntime.so.*)
rm -rf bin ./*/share
find . -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.pxd' -o -name '*.lib' -o -name '*.a' \) -delete
# Checked by hash, so that a source that is edited in an image made from this one is compiled anew, not passed over.
python3 -m compileall -q --invalidation-mode checked-hash .
