# syntax=docker/dockerfile:1
# One image for all roles: `api`, `ingester`, `embedder`, `migrate`, and the client commands.
#
#     docker build --tag penstock .
#     docker run --read-only --env-file settings penstock ingester
#
# It runs as a user without rights and writes to /tmp only, where files are read: a volume of a few GiB, on disk, and
# executable or not as you like. The model and Tesseract's language data are inside; nothing is fetched at the start.

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
WORKDIR /build
# By hash, uv by pip and everything else by uv, as in the Makefile.
COPY requirements-uv.lock ./
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --require-hashes --requirement requirements-uv.lock
COPY requirements-image.lock ./
RUN python -m venv --without-pip /opt/penstock \
    && /opt/uv/bin/uv pip install --python /opt/penstock/bin/python --compile-bytecode \
        --no-deps --require-hashes --requirement requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/uv/bin/uv pip install --python /opt/penstock/bin/python --compile-bytecode --no-deps .
# An image without the model that was published would fail at its first message, or ask a hub. Fail here.
COPY deploy/image/check_model.py ./
RUN /opt/penstock/bin/python check_model.py

FROM python:${PYTHON} AS run
# Text in pictures is read in these languages; more are slower and read worse where they are not needed.
ARG OCR_PACKAGES="tesseract-ocr-eng"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ${OCR_PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 penstock \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin penstock
COPY --from=build /opt/penstock /opt/penstock
COPY deploy/image/healthy.py /opt/healthy.py
# HOME: a platform may choose a user that /etc/passwd does not know, and OpenVINO ends where there is no home.
ENV PATH=/opt/penstock/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/tmp/huggingface \
    PENSTOCK_API_HOST=0.0.0.0 \
    PENSTOCK_API_PORT=8321 \
    PENSTOCK_WORKER_HEALTH_PORT=8322 \
    PENSTOCK_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
VOLUME /tmp
EXPOSE 8321 8322
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "/opt/healthy.py"]
ENTRYPOINT ["penstock"]
CMD ["api"]
