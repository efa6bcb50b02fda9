# Two commands from a bare clone: `make demo` and `make test`. All they need is Python 3.11 or 3.12 with pip.

PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
JAX_VENV := .venv-jax
SERVING_VENV := .venv-serving
BIN := $(VENV)/bin
TEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: help demo test test-all test-jax test-serving notebooks docs lint coverage wheel bench-layers bench-toy bench-pipeline bench-retrieval bench-spoken-digits bench-flickr8k-retrieval bench-micro-batches bench-easy-vqa bench-mosi bench-avdigits bench-fsdd bench-esc10 bench-eeg bench-toy-captions bench-flickr8k-caption bench-translate bench-generate bench-toy-clips bench-grid bench-video bench-export bench-export-matrix bench-gpu tables clean

help:  ## Say what there is to make
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/ready  ## Train, ship and ask four models of the toy world, on one page; under 5 minutes
	$(BIN)/python examples/demo.py

test: $(VENV)/ready  ## Run the tests
	$(TEST)

test-all: $(VENV)/ready  ## Run the tests and their exhaustive tier
	$(TEST) --slow

test-jax: $(JAX_VENV)/ready  ## Run the tests on the JAX backend with TensorFlow blocked
	KERAS_BACKEND=jax JAX_COMPILATION_CACHE_DIR=$(JAX_VENV)/cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1 $(JAX_VENV)/bin/python -m pytest -n 2 --dist worksteal -p no:cacheprovider

test-serving: $(VENV)/ready $(SERVING_VENV)/ready  ## Ask a real model server and compare: make test-serving MODEL=saved_models/captioner/1
	TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 $(BIN)/python -m tests.serving.ask_kserve --server $(SERVING_VENV)/bin/python $(MODEL)

notebooks: $(VENV)/ready  ## Run every notebook and keep what it shows; about 20 minutes
	$(BIN)/python notebooks/build.py

docs: $(VENV)/docs-ready  ## Build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(VENV)/ready  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

coverage: $(VENV)/ready  ## Run the tests and report which lines they reach
	$(TEST) --cov=mmkeras --cov-report=term-missing

wheel: $(VENV)/ready  ## Build the wheel and install it into a clean environment
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist
	rm -rf build/wheel-test && $(PYTHON) -m venv build/wheel-test
	build/wheel-test/bin/pip install --quiet --constraint constraints.txt dist/*.whl
	cd build && wheel-test/bin/python -c "import mmkeras; print('mmkeras', mmkeras.__version__, 'imports from its wheel')"

bench-layers: $(VENV)/ready  ## Time the layers against Keras' own
	$(BIN)/python benchmarks/layers.py --record

bench-toy: $(VENV)/ready  ## Score parcels of the toy world over three seeds
	$(BIN)/python benchmarks/toy.py --seeds 3 --record

bench-pipeline: $(VENV)/ready  ## Time files becoming batches: make bench-pipeline DATA=Flickr8k TORCH=python-with-torch
	$(BIN)/python benchmarks/pipeline.py --data $(DATA) --torch $(TORCH) --record

bench-retrieval: $(VENV)/ready  ## Time retrieval measures and exact search
	$(BIN)/python benchmarks/retrieval.py --record

bench-spoken-digits: $(VENV)/ready  ## Score spoken digits that find written ones: make bench-spoken-digits DATA=folder-of-mnist-and-fsdd
	$(BIN)/python benchmarks/spoken_digits.py --data $(DATA) --seeds 3 --record

bench-flickr8k-retrieval: $(VENV)/ready  ## Score photos found by sentences: make bench-flickr8k-retrieval DATA=Flickr8k
	$(BIN)/python benchmarks/flickr8k_retrieval.py --data $(DATA) --record

bench-micro-batches: $(VENV)/ready  ## Measure the memory of large contrastive batches
	$(BIN)/python benchmarks/micro_batches.py --record

bench-easy-vqa: $(VENV)/ready  ## Score answers about coloured shapes: make bench-easy-vqa DATA=easy-VQA
	$(BIN)/python benchmarks/easy_vqa.py --data $(DATA) --seeds 3 --record

bench-mosi: $(VENV)/ready  ## Score the sentiment of utterances: make bench-mosi DATA=mosi
	$(BIN)/python benchmarks/mosi.py --data $(DATA) --seeds 10 --record

bench-avdigits: $(VENV)/ready  ## Score weak pictures fused with noisy speech: make bench-avdigits DATA=folder-of-mnist-fsdd-and-avdigits
	$(BIN)/python benchmarks/avdigits.py --data $(DATA) --seeds 3 --record

bench-fsdd: $(VENV)/ready  ## Score spoken digits by known and unknown voices: make bench-fsdd DATA=fsdd
	$(BIN)/python benchmarks/fsdd.py --data $(DATA) --record

bench-esc10: $(VENV)/ready  ## Score ten environmental sounds, cross-validated: make bench-esc10 DATA=ESC-10
	$(BIN)/python benchmarks/esc10.py --data $(DATA) --seeds 3 --record

bench-eeg: $(VENV)/ready  ## Score eyes open or closed, and fists, by EEG: make bench-eeg DATA=eegmmi_s001
	$(BIN)/python benchmarks/eeg.py --data $(DATA) --seeds 3 --record

bench-toy-captions: $(VENV)/ready  ## Score captions of the toy world by its own grammar
	$(BIN)/python benchmarks/toy_captions.py --seeds 3 --record

bench-flickr8k-caption: $(VENV)/ready  ## Score captions of photos: make bench-flickr8k-caption DATA=Flickr8k
	$(BIN)/python benchmarks/flickr8k_caption.py --data $(DATA) --record

bench-translate: $(VENV)/ready  ## Score translations: make bench-translate DATA=multi30k PICTURES=Flickr8k/Flicker8k_Dataset
	$(BIN)/python benchmarks/translate.py --data $(DATA) $(if $(PICTURES),--pictures $(PICTURES)) --record

bench-generate: $(VENV)/ready  ## Time saying a sentence beside other ways: make bench-generate TORCH=python-that-has-torch
	$(BIN)/python benchmarks/generate.py $(if $(TORCH),--torch $(TORCH)) --record

tables: $(VENV)/ready  ## Fill the tables of the READMEs from benchmarks/results
	$(BIN)/python benchmarks/tables.py

bench-toy-clips: $(VENV)/ready  ## Score clips of the toy world over three seeds
	$(BIN)/python benchmarks/toy_clips.py --seeds 3 --record

bench-grid: $(VENV)/ready  ## Score words and sentences by lips and sound: make bench-grid DATA=GRID
	$(BIN)/python benchmarks/grid.py --data $(DATA) --full --record

bench-video: $(VENV)/ready  ## Time training steps on clips: make bench-video TORCH=python-with-torch
	$(BIN)/python benchmarks/video.py --torch $(TORCH) --record

bench-export: $(VENV)/ready  ## Time shipped models, and what 8 bits lose: make bench-export DATA=DIR TORCH=python-with-torch
	$(BIN)/python benchmarks/export.py $(if $(DATA),--data $(DATA)) $(if $(TORCH),--torch $(TORCH)) --record

bench-export-matrix: $(VENV)/ready  ## Ship every task in every format
	$(BIN)/python benchmarks/export_matrix.py --record

bench-gpu: $(JAX_VENV)/ready  ## Time model.fit on an accelerator, JAX backend
	KERAS_BACKEND=jax $(JAX_VENV)/bin/python benchmarks/gpu.py --record

clean:  ## Remove what was built
	rm -rf $(VENV) $(JAX_VENV) $(SERVING_VENV) build dist .pytest_cache .ruff_cache .coverage*

$(VENV)/ready: setup.cfg constraints.txt
	@test -n "$(PYTHON)" || { echo "mmkeras needs Python 3.11 or 3.12 on the PATH (or make PYTHON=...)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

$(JAX_VENV)/ready: setup.cfg constraints.txt
	@test -n "$(PYTHON)" || { echo "mmkeras needs Python 3.11 or 3.12 on the PATH (or make PYTHON=...)"; exit 1; }
	$(PYTHON) -m venv $(JAX_VENV)
	$(JAX_VENV)/bin/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(JAX_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(SERVING_VENV)/ready: tests/serving/requirements.txt
	@test -n "$(PYTHON)" || { echo "mmkeras needs Python 3.11 or 3.12 on the PATH (or make PYTHON=...)"; exit 1; }
	$(PYTHON) -m venv $(SERVING_VENV)
	$(SERVING_VENV)/bin/python -m pip install --quiet --requirement $<
	@touch $@
