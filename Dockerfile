# One image for every process of a site, the simulated plant and the command line.
#
#   docker build -t plantops .            dependencies have layers of their own and are built once
#   docker run --rm plantops --help
#
# Where packages come from is the installer's business: give pip's own settings as a build secret,
#   docker build --secret id=pip,src=pip.conf -t plantops .

FROM python:3.13-slim AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-build.txt requirements-run.txt ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv tools \
    && tools/bin/pip install -q --require-hashes -r requirements-build.txt \
    && python -m venv --without-pip /opt/plantops \
    && tools/bin/pip --python /opt/plantops/bin/python install -q --require-hashes -r requirements-run.txt

FROM dependencies AS code
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
RUN tools/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir dist . \
    && tools/bin/pip --python /opt/plantops/bin/python install -q --no-deps --no-index --prefix /code dist/*.whl

FROM python:3.13-slim
# A new volume takes its rights from the folder on which it is first mounted. Any user may run the image, and
# each volume is mounted by one service, so these are open; what the processes make in them is not.
RUN install -d -m 1777 /site/data /site/data/archive /site/data/archive/serve \
    /volumes/nats /volumes/nats-config /volumes/mosquitto /volumes/grafana
COPY --from=dependencies /opt/plantops /opt/plantops
COPY --from=code /code /opt/plantops
ENV PATH=/opt/plantops/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PLANTOPS_FOLDER=/site \
    PLANTOPS_HEARTBEAT=/tmp/heartbeat
USER 10001:10001
WORKDIR /site
# A process renews the file every second while it is connected, restored and at work. No Python is started here.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD find "$PLANTOPS_HEARTBEAT" -newermt '-10 seconds' 2>/dev/null | grep -q .
ENTRYPOINT ["plantops"]
CMD ["--help"]
