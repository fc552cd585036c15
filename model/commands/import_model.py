"""Make a bundle of a model that another program trained; it gives the labels that the program gives.

See `import nnunet --help`, `import monai --help` and `import onnx --help`.

exit codes: 0 written; 1 the exported network does not compute what the original does; 2 refused, with the
reason; in both cases nothing is written
"""

from model.commands import import_monai, import_nnunet, import_onnx

PARTS = {"nnunet": import_nnunet, "monai": import_monai, "onnx": import_onnx}
