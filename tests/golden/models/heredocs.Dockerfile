FROM scratch AS files
ENV NAME=world
COPY <<hello.txt <<"raw.txt" /etc/
hello $NAME
hello.txt
hello $NAME
raw.txt

FROM debian:12
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN <<EOF
apt-get update
apt-get install -y curl
EOF
RUN <<-SCRIPT
	#!/usr/bin/env python3
	print("tabs go")
	SCRIPT
RUN cat <<A > /a && cat <<B > /b
one
A
two
B
COPY --from=files /etc /etc
