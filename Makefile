# make demo: segment the phantom in examples/ and score it; make demo CT=path: your own.   make test: run the tests.   make help: everything else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
GPU_VENV := .venv-gpu
GPU_PIP := $(GPU_VENV)/bin/pip --disable-pip-version-check --quiet

.PHONY: help demo $(VENV) cohort test test-slow container-test training dicom peers viewer lint docs requirements image gpu-benchmark gpu-check clean

help: ## this list
	@grep -E '^[a-z$$()A-Z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^\$$\(VENV\)/$(VENV)/; s/^([a-z.-]+):.*## /\1\t/' | expand -t 20

ifdef CT
demo: $(VENV)/.demo ## segment the phantom in examples/ with the embedded bundle, score it, draw it; CT=path: your own file or DICOM folder
	@$(BIN)/python docs/demonstration/my_ct.py "$(CT)"
else
demo: $(VENV)/.demo
	@$(BIN)/python predict.py --input examples/phantom/imagesTr --output build/demo --report build/demo/run.json
	@$(BIN)/python -m eval score --pred build/demo --truth examples/phantom/labelsTr --labels flare23 --output build/demo/scores.csv --force
	@$(BIN)/python -m eval picture --image examples/phantom/imagesTr/phantom_0000.nii.gz --labels build/demo/phantom.nii.gz \
	    --truth examples/phantom/labelsTr/phantom.nii.gz --run build/demo/run.json --output build/demo/phantom.png --force >/dev/null
	@echo "picture: build/demo/phantom.png   labels: build/demo/phantom.nii.gz   scores: build/demo/scores.csv"
endif

$(VENV): $(VENV)/.demo ## set up the packages that predict.py and the judging commands need

cohort: $(VENV)/.cohort ## set up what `python -m inference cohort` needs beside that: fsspec, Ray

training: $(VENV)/.training ## set up the training package (torch, MONAI, the exporter)

dicom: $(VENV)/.dicom ## set up the packages that write results as DICOM (predict.py --format)

peers: .venv-peers/.done ## set up nnU-Net itself, to compare with: its tests, `model verify --python`, `eval benchmark peers`

# Two at a time; a worker that is done takes tests from the other.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

test: $(VENV)/.dev ## every test but the slow ones and the container's, and the checks
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(PYTEST) -m "not slow and not container"

test-slow: $(VENV)/.dev ## the slow tests
	@$(PYTEST) -m slow

image: ## build the cpu image, labelled with this revision (needs docker)
	@docker build -t leanseg --target cpu --build-arg REVISION=$$(git describe --always --abbrev=40 --dirty) \
	    --build-arg SOURCE=$$(git remote get-url origin 2>/dev/null || echo unknown) .

container-test: $(VENV)/.dev ## build the cpu image and run it as organisers do (needs docker)
	@$(BIN)/python -m pytest -m container

gpu-benchmark: ## measure training and predict.py on an NVIDIA GPU, into docs/benchmarks.md
	@nvidia-smi -L >/dev/null 2>&1 || { echo "make gpu-benchmark needs an NVIDIA GPU and its driver: nvidia-smi finds none" >&2; exit 1; }
	@$(MAKE) --no-print-directory $(GPU_VENV)/.ready
	@$(GPU_VENV)/bin/python -m eval benchmark gpu --output build/gpu-benchmark --page docs/benchmarks.md

gpu-check: ## check on an NVIDIA GPU, in ten minutes, what predict.py promises there, into docs/benchmarks.md; BUNDLES="a b": these too
	@nvidia-smi -L >/dev/null 2>&1 || { echo "make gpu-check needs an NVIDIA GPU and its driver: nvidia-smi finds none" >&2; exit 2; }
	@$(MAKE) --no-print-directory $(GPU_VENV)/.engine
	@$(GPU_VENV)/bin/python -m eval gpu-check --output build/gpu-check --page docs/benchmarks.md $(addprefix --bundle ,$(BUNDLES)) $(if $(CT),--image "$(CT)")

viewer: build/viewer/niivue.umd.js ## fetch the 3D viewer of reports (needs npm)

lint: $(VENV)/.dev ## mend what ruff can mend, then check
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format . ; $(BIN)/mypy

docs: $(VENV)/.training ## write docs/manifest.md, docs/recipes.md and docs/plans.md from the docstrings
	@$(BIN)/python docs/generate.py

requirements: $(VENV)/.dev ## pin and hash the runtime packages anew
	@$(PIP) install uv
	@for list in runtime-cpu runtime-gpu eval dicom image; do \
	    $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-package openvino-telemetry \
	        --no-header --quiet requirements/$$list.in --output-file requirements/$$list.txt || exit 1 ; done

clean: ## remove what was built, the environment too
	@rm -rf $(VENV) $(GPU_VENV) .venv-peers build

# The environment grows with what is asked of it: the demo needs no torch.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "LeanSeg needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.python requirements/runtime-cpu.txt requirements/eval.txt
	@echo "installing the runtime packages into $(VENV)"
	@$(PIP) install --no-deps --require-hashes -r requirements/runtime-cpu.txt -r requirements/eval.txt
	@touch $@

$(VENV)/.dicom: $(VENV)/.demo requirements/dicom.txt
	@echo "installing the packages for DICOM results into $(VENV)"
	@$(PIP) install --no-deps --require-hashes -r requirements/dicom.txt
	@touch $@

$(VENV)/.training: $(VENV)/.demo requirements/training.txt
	@echo "installing the training packages into $(VENV)"
	@$(PIP) install -r requirements/training.txt
	@touch $@

$(VENV)/.cohort: $(VENV)/.demo requirements/cohort.txt
	@echo "installing the packages for cohorts into $(VENV)"
	@$(PIP) install -r requirements/cohort.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.training $(VENV)/.dicom requirements/dev.txt requirements/cohort.txt
	@echo "installing the test packages into $(VENV)"
	@$(PIP) install -r requirements/dev.txt
	@touch $@

# The GPU's environment is one of its own: onnxruntime and onnxruntime-gpu are the same files, of which only one set fits.
$(GPU_VENV)/.engine: requirements/runtime-gpu.txt requirements/eval.txt
	@echo "installing onnxruntime for CUDA and the judging packages into $(GPU_VENV)"
	@$(PYTHON) -m venv $(GPU_VENV)
	@$(GPU_PIP) install --no-deps --require-hashes -r requirements/runtime-gpu.txt -r requirements/eval.txt
	@touch $@

# What training.txt brings overwrites the files of onnxruntime-gpu, which are installed anew.
$(GPU_VENV)/.ready: $(GPU_VENV)/.engine requirements/training.txt
	@echo "installing the training packages into $(GPU_VENV)"
	@$(GPU_PIP) install -r requirements/training.txt
	@$(GPU_PIP) uninstall --yes onnxruntime onnxruntime-gpu
	@$(GPU_PIP) install --no-deps --require-hashes -r requirements/runtime-gpu.txt
	@touch $@

# Beside .venv and not in it: peers pin other versions, and nothing here may come to need them.
.venv-peers/.done: requirements/peers.txt
	@echo "installing nnU-Net and MONAI into .venv-peers (about 2 GB)"
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/pip --disable-pip-version-check --quiet install -r requirements/peers.txt
	@touch $@

# NiiVue is not part of this project: its released package is fetched, checked and unpacked; eval/report/viewer.py checks the file again.
NIIVUE := niivue-niivue-0.69.0.tgz
NIIVUE_SHA512 := 60c8d0bc9803d56d9bec3ba8c64c250b85716eb80878f449e6ac90cd72b18b6bf6301560dbce4ffc2210ca0e3aa030c60c871a3656ddf8c86d3bf79d31b5c990

build/viewer/niivue.umd.js:
	@command -v npm > /dev/null || { echo "make viewer needs npm (apt-get install npm); reports show slices without it" >&2; exit 1; }
	@mkdir -p build/viewer
	@npm pack --silent --pack-destination build/viewer @niivue/niivue@0.69.0 > /dev/null
	@echo "$(NIIVUE_SHA512)  build/viewer/$(NIIVUE)" | sha512sum --check --quiet
	@tar -xzOf build/viewer/$(NIIVUE) package/dist/niivue.umd.js > $@.part && mv $@.part $@
	@rm build/viewer/$(NIIVUE)
