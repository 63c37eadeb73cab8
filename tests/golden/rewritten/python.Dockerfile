# syntax=docker/dockerfile:1
FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/venv/bin:$PATH
WORKDIR /src
# The compiler is for wheels alone.
RUN apt-get update && \
    apt-get install -y --no-install-recommends \
        build-essential \
        libpq-dev && \
    rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
COPY requirements*.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pypi.token,env=TOKEN \
    pip install -r requirements.txt
COPY . .
RUN python -m compileall -q . ; echo "$HOME $$ ${PATH}"

FROM python:3.12-slim
LABEL org.opencontainers.image.title=shop
COPY --from=build /opt/venv /opt/venv
COPY --from=build --chown=1000:1000 /src/shop /app/shop
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=30s CMD ["python", "-m", "shop.health"]
ENTRYPOINT ["python", "-m", "shop"]
