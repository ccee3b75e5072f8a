# The server as an image. It listens on its loopback only: what faces a network is the front proxy beside it.
#
#   docker build -t staa-serve .                                   for CPUs, with the default model in it
#   docker build -t staa-serve --build-arg ACCELERATOR=cuda .      for NVIDIA GPUs
#   docker build -t staa-serve --build-arg MODELS="motions mine" . the archives of these models in it; "" for none
#   docker build -t staa-ray --target ray .                        the second home, on Ray; ACCELERATOR and MODELS as above
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --stop-timeout 60 staa-serve
#
# Behind a proxy that signs for others, without a trace of it in the image:
#   docker build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt --secret id=pipconf,src=pip.conf .
# where pip.conf says "[global]" and "cert = /run/secrets/ca.crt".
ARG BASE=debian:bookworm-slim

# What runs: Debian's Python and tini. Debian's fixes are wanted, so its packages are not pinned. Java comes with the
# pinned requirements: half the size of Debian's, by hash, and the same that runs where there is no other.
FROM ${BASE} AS runtime
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get upgrade -y --no-install-recommends \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates libseccomp2 python3 tini \
 && groupadd --gid 10001 staa \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin staa \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/* /tmp/*

# The environment, and beside it what makes its bill of materials. Every file that pip installs is named by its hash; no
# package is built.
FROM runtime AS environment
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /build/pip \
 && python3 -m venv --without-pip /app/.venv
ARG ACCELERATOR=cpu
# Where torch's builds for the CPU are; empty: only where pip looks anyway.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY deploy/image/requirements/${ACCELERATOR}.txt /build/requirements.txt
COPY deploy/image/requirements/build.txt /build/build.txt
# Torch brings headers for compilers, a compiler of protocols, and its own tests: 190 MB that nothing here runs.
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt,required=false \
    --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    /build/pip/bin/pip --python /app/.venv/bin/python install --disable-pip-version-check --progress-bar off \
      --require-hashes --no-deps --only-binary=:all: ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
      -r /build/requirements.txt \
 && /build/pip/bin/pip install --disable-pip-version-check --progress-bar off \
      --require-hashes --no-deps --only-binary=:all: -r /build/build.txt \
 && /build/pip/bin/pip --python /app/.venv/bin/python check \
 && rm -rf /app/.venv/lib/python3.11/site-packages/torch/include /app/.venv/lib/python3.11/site-packages/torch/test \
 && find /app/.venv/lib/python3.11/site-packages/torch/bin -type f ! -name torch_shm_manager -delete

# /out is what will be /app: what is read at run time, the archives and the bill, and nothing that built them; readable for
# whom it is run as, whatever the rights in the checkout.
FROM environment AS application
COPY LICENSE config.properties metrics.yaml serve.sh /out/
COPY deploy/staa_serve /out/deploy/staa_serve
WORKDIR /build/source
COPY . .
ARG MODELS=motions
ENV PYTHONPATH=/build/project PYTHONDONTWRITEBYTECODE=1
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt,required=false \
    if [ -e /run/secrets/ca.crt ]; then export SSL_CERT_FILE=/run/secrets/ca.crt; fi \
 && /build/pip/bin/pip --python /app/.venv/bin/python install --disable-pip-version-check --quiet \
      --no-deps --no-build-isolation --no-index --no-cache-dir --target /build/project . \
 && mkdir -p /out/model_store \
 && for name in ${MODELS}; do /app/.venv/bin/python deploy/image/archive.py "$name" --output /out/model_store || exit 1; done \
 && PYTHONPATH='' /build/pip/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
      --spec-version 1.6 --output-file /out/sbom.cdx.json /app/.venv/bin/python \
 && chmod -R a+rX,go-w /out

# What Ray needs on top of that environment: the versions of what is there already are the same.
FROM environment AS ray-environment
ARG ACCELERATOR=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY deploy/image/requirements/ray-${ACCELERATOR}.txt /build/requirements.txt
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt,required=false \
    --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    /build/pip/bin/pip --python /app/.venv/bin/python install --disable-pip-version-check --progress-bar off \
      --require-hashes --no-deps --only-binary=:all: ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
      -r /build/requirements.txt \
 && /build/pip/bin/pip --python /app/.venv/bin/python check

# The distributions, as folders that Ray's processes import from /app, with each model's yaml and weights; and the bill.
FROM ray-environment AS ray-application
COPY LICENSE deploy/staa_serve/probe.sh /out/
WORKDIR /build/source
COPY . .
ARG MODELS=motions
RUN /build/pip/bin/pip --python /app/.venv/bin/python install --disable-pip-version-check --quiet \
      --no-deps --no-build-isolation --no-index --no-cache-dir --target /out . ./video ./client ./scale \
 && mkdir -p /out/model_store \
 && for name in ${MODELS}; do cp -R "model_store/$name.yaml" "model_store/$name" /out/model_store/ || exit 1; done \
 && /build/pip/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
      --spec-version 1.6 --output-file /out/sbom.cdx.json /app/.venv/bin/python \
 && chmod -R a+rX,go-w /out

FROM runtime AS ray
COPY --from=ray-environment /app/.venv /app/.venv
COPY --from=ray-application /out /app
WORKDIR /app
# The lines with RAY are those of scale/__main__.py: KubeRay starts Ray by another command, and they must hold there, too.
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0 \
    RAY_worker_niceness=0 \
    RAY_ENABLE_ZERO_COPY_TORCH_TENSORS=1 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=scale.edge.middlewares
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="staa-ray" \
      org.opencontainers.image.description="Labels and spatio-temporal attention maps of a video, served by Ray" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 CMD ["/app/probe.sh", "live", "8080"]
ENTRYPOINT ["tini", "--", "python", "-m", "scale"]
CMD ["motions"]

# Last, so that it is what is built where no target is named.
FROM runtime
COPY --from=environment /app/.venv /app/.venv
COPY --from=application /out /app
WORKDIR /app
# HOME is for libraries that look for a place of their own; no CUDA library is in the base, so the driver's are asked for.
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="staa-serve" \
      org.opencontainers.image.description="Labels and spatio-temporal attention maps of a video, served by TorchServe" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/app/deploy/staa_serve/probe.sh", "live"]
ENTRYPOINT ["tini", "--", "/app/serve.sh"]
CMD ["motions"]
