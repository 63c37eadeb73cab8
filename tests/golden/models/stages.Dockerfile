# syntax=docker/dockerfile:1
ARG VERSION=1
FROM debian:12 AS build
ARG VERSION
ARG FLAGS="-O2 -g"
WORKDIR /src
COPY --chmod=0644 go.* ./
COPY --link . .
RUN --mount=type=cache,target=/root/.cache,id=go-$VERSION \
    --mount=type=bind,source=tools,target=tools \
    make VERSION="$VERSION" && \
    make install

FROM build AS test
RUN make check

FROM debian:12
COPY --from=build --chown=1000:1000 /usr/local/bin/app /app/
COPY --from=test /src/report ./
ENV PATH=/app:$PATH VERSION=${VERSION:-none}
USER 1000
ENTRYPOINT ["app"]
CMD ["--help"]
