FROM node:22
LABEL org.example.name="a b" \
      org.example.quote="q \"z\""
EXPOSE 8080 9000-9001/udp
VOLUME ["/data", "/log"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=1m30s --timeout=500ms --retries=5 CMD curl -f http://localhost/ || exit 1
ONBUILD COPY . /app
WORKDIR app
CMD node server.js
