FROM debian:12
MAINTAINER somebody
ADD site.tar.gz /srv/
COPY */go.mod /mods/
ADD https://user@example.com/x?token=1 /x
RUN --mount=type=ssh true
RUN <<EOF
#!/usr/bin/awk -f
BEGIN { print }
EOF
