# An image with the command `clbench`. For a CPU:
#
#     docker build -t clbench .
#     docker run --rm -v "$PWD/results:/results" -v clbench-home:/home/clbench/.cache clbench run -s slca --stream split-digits
#
# For NVIDIA GPUs, choose the index that fits the driver, and run with `--gpus all`:
#
#     docker build -t clbench:cuda --build-arg TORCH=https://download.pytorch.org/whl/cu126 .
#
# EXTRAS adds optional packages, as in --build-arg EXTRAS="[ray,tune,remote]".

ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ARG TORCH=https://download.pytorch.org/whl/cpu
ARG EXTRAS=""

RUN pip install --no-cache-dir --index-url ${TORCH} torch torchvision

WORKDIR /opt/clbench
COPY pyproject.toml README.md LICENSE MANIFEST.in CHANGELOG.md CITATION.cff SECURITY.md ./
COPY cl cl
COPY strategies strategies
COPY streams streams
RUN pip install --no-cache-dir ".${EXTRAS}"

RUN useradd --create-home clbench && mkdir /results && chown clbench /results
USER clbench
WORKDIR /home/clbench
ENV CLBENCH_RESULTS=/results
VOLUME ["/results", "/home/clbench/.cache"]
ENTRYPOINT ["clbench"]
CMD ["--help"]
