# spikecert with what bounds, gains, attacks and reports need:  docker build -t spikecert .
# docker run --rm -v "$PWD:/work" spikecert certify network.safetensors --data digits --epsilon 8/255 --out runs
FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev libgomp1 && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip install --no-cache-dir -c /source/requirements/constraints.txt /source && rm -rf /source
WORKDIR /work
ENTRYPOINT ["spikecert"]
