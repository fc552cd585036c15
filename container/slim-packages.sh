#!/bin/sh
# Takes out of the installed Python packages what predict.py never loads: `slim-packages.sh SITE_PACKAGES`.
set -eu
cd "$1"

# OpenVINO's front ends and plug-ins for what is not an ONNX file on a processor.
(cd openvino && rm -rf include cmake tools torch frontend/jax frontend/paddle frontend/pytorch frontend/tensorflow libs/cache.json \
    libs/*_gpu_* libs/*_npu_* libs/*_gguf_* libs/*_tensorflow_* libs/*_pytorch_* libs/*_paddle_* libs/*_jax_*)
# onnxruntime's converters, and the library for other languages, which the Python module holds once more.
(cd onnxruntime && rm -rf backend datasets quantization tools transformers capi/libonnxruntime.so.*)
rm -rf bin ./*/share
find . -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.pxd' -o -name '*.lib' -o -name '*.a' \) -delete
