# syntax=docker/dockerfile:1
# One image for the service and its workers: docker build -t lrsearch .
#
# EXTRAS                what to install of lrsearch; `service` alone makes a small image without training
# PIP_EXTRA_INDEX_URL   the address of PyTorch's CPU builds (pytorch.org, "Get Started"), for an image without CUDA; left
#                       out, pip takes PyTorch's default build, several GB larger, which trains on CPUs and NVIDIA GPUs
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG EXTRAS=service,train,vision
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL} PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/venv/bin:$PATH
WORKDIR /source
RUN python -m venv /venv

# What the project needs changes rarely, and is a layer of its own.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; \
p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = [r for e in '${EXTRAS}'.split(',') if e for r in p['optional-dependencies'][e]]; \
print(*p['dependencies'], *(r for r in extras if not r.startswith('lrsearch')), sep='\n')" > requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip pip install --quiet -c constraints.txt -r requirements.txt

COPY README.md LICENSE ./
COPY lrsearch lrsearch
COPY api api
COPY studies studies
RUN pip install --quiet --no-cache-dir --no-deps .

FROM python:${PYTHON}-slim
RUN useradd --uid 1000 --create-home lrsearch && install -d -o lrsearch /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 LRSEARCH_DATA=/data LRSEARCH_PREFIXES=/data/prefixes \
    XDG_DATA_HOME=/data XDG_CACHE_HOME=/tmp/cache
USER 1000
WORKDIR /data
EXPOSE 8000
ENTRYPOINT ["lrsearch"]
# Refuses to start without LRSEARCH_TOKEN or LRSEARCH_TOKEN_FILE: it can be reached from elsewhere.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
