# FerroMCP as a container image.
#
#   docker build --tag ferromcp .                             the program and nothing else, for any engine with BuildKit
#   docker build --tag ferromcp:servers --target servers .    with Node.js and Python, for MCP servers that are programs
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/ferromcp --push .
#
# The last one builds for each platform in an emulated machine, which is slow. Faster: `cargo xtask image --rootfs
# target/image/rootfs --target TRIPLE` on a machine with that target and its linker, and then
# `docker build --build-arg FILES=prebuilt --platform ... .`, which compiles nothing.

ARG BUILDER=docker.io/library/rust:1-bookworm
ARG SERVERS_BASE=docker.io/library/node:24-bookworm-slim
# built: compile here; prebuilt: take what `cargo xtask image --rootfs target/image/rootfs` made.
ARG FILES=built

FROM ${BUILDER} AS built
WORKDIR /src
COPY . .
RUN cargo xtask image --rootfs /rootfs

FROM scratch AS prebuilt
COPY target/image/rootfs/ /rootfs/

FROM ${FILES} AS files

FROM ${SERVERS_BASE} AS servers
# The base image has Node.js with npm; this adds Python with pip, venv and pipx.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates pipx python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=files /rootfs/usr/ /usr/
COPY --from=files /rootfs/etc/ferromcp/ /etc/ferromcp/
COPY --from=files --chown=65532:65532 /rootfs/var/lib/ferromcp/ /var/lib/ferromcp/
# Children get HOME and TMPDIR from here: npx and pipx keep what they fetch in HOME, so give it a volume or a tmpfs.
ENV HOME=/var/lib/ferromcp TMPDIR=/tmp
USER 65532:65532
WORKDIR /var/lib/ferromcp
EXPOSE 8080
VOLUME /var/lib/ferromcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/ferromcp", "health"]
ENTRYPOINT ["/usr/bin/ferromcp"]
CMD ["serve", "--config", "/etc/ferromcp/ferromcp.yaml"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="FerroMCP with Node.js and Python" \
      org.opencontainers.image.description="The guarded front door for MCP tools" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/ferromcp/ferromcp" \
      org.opencontainers.image.licenses="Apache-2.0" \
      io.github.ferromcp.sbom="/usr/share/doc/ferromcp/sbom.cdx.json"

# The last stage is what is built when no target is named.
FROM scratch AS ferromcp
COPY --from=files /rootfs/ /
COPY --from=files --chown=65532:65532 /rootfs/var/lib/ferromcp/ /var/lib/ferromcp/
ENV HOME=/var/lib/ferromcp TMPDIR=/tmp
USER 65532:65532
WORKDIR /var/lib/ferromcp
EXPOSE 8080
VOLUME /var/lib/ferromcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/ferromcp", "health"]
ENTRYPOINT ["/usr/bin/ferromcp"]
CMD ["serve", "--config", "/etc/ferromcp/ferromcp.yaml"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="FerroMCP" \
      org.opencontainers.image.description="The guarded front door for MCP tools" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/ferromcp/ferromcp" \
      org.opencontainers.image.licenses="Apache-2.0" \
      io.github.ferromcp.sbom="/usr/share/doc/ferromcp/sbom.cdx.json"
