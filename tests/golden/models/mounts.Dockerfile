ARG ID=token
FROM debian:12 AS tools
RUN true
FROM debian:12
ARG ID
WORKDIR /w
USER app:staff
RUN --mount=type=secret,id=$ID,env=TOKEN,required --mount=type=secret,id=netrc,target=.netrc,mode=0440 one
RUN --mount=from=tools,source=/usr,target=/tools --mount=type=tmpfs,target=/tmp,size=64m two
RUN --mount=type=cache,target=cache,sharing=locked,uid=1000,from=debian:12,source=/var --network=none three
ADD --checksum=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa https://x.example/a.tgz /d/
ADD --keep-git-dir=true https://x.example/r.git#v1:docs /docs
