# spikecert with what bounds, gains, attacks and reports need:  docker build -t spikecert .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" spikecert certify network.safetensors --data digits --epsilon 8/255 --out runs
FROM python:3.11.16-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY requirements /source/requirements
RUN pip install --no-cache-dir --require-hashes -r /source/requirements/run.txt -r /source/requirements/release.txt
COPY . /source
RUN pip install --no-cache-dir --no-deps --no-index --no-build-isolation /source && rm -rf /source
RUN useradd --create-home user
ENV MPLCONFIGDIR=/tmp/matplotlib
USER user
WORKDIR /work
ENTRYPOINT ["spikecert"]
